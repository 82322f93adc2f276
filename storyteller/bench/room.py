"""The room as `bench ui` opens it: the real app, beside the paced engine or a real one.

Run as `python -m storyteller.bench.room FILE (--pace TOKENS_PER_SECOND | --model MODEL)`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from storyteller.engine.client import EngineClient
from storyteller.tui.run import Options, run


def main() -> int:
    """Open the room and stay until it is closed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    engine = parser.add_mutually_exclusive_group(required=True)
    engine.add_argument("--pace")
    engine.add_argument("--model")
    given = parser.parse_args()
    if given.model:
        return run(given.file, Options(model=given.model))
    paced = EngineClient(command=(sys.executable, "-m", "storyteller.bench.paced", given.pace))
    return run(given.file, engine=paced)


if __name__ == "__main__":
    sys.exit(main())
