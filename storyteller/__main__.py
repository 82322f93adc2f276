"""`storyteller`, and `python -m storyteller`."""

from __future__ import annotations

import sys

from storyteller.cli.app import run


def main() -> int:
    """Run the command line and return its exit code: 0 done, 2 the user's mistake, 1 ours, 130 interrupted."""
    return run(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
