"""A regular expression's own process: whoever started it can end a search that would take for ever.

Reads one JSON object {pattern, flags, text, template, most} from stdin and writes {spans, texts} or
{error}. Run by file name in an isolated interpreter; it imports nothing of this package.
"""

from __future__ import annotations

import json
import re
import sys


def search(pattern: str, flags: int, text: str, template: str | None, most: int) -> dict[str, object]:
    """The non-empty matches, and for each what `template` makes of it."""
    spans: list[tuple[int, int]] = []
    texts: list[str] = []
    for match in re.compile(pattern, flags).finditer(text):
        if match.start() == match.end():
            continue
        spans.append(match.span())
        if template is not None:
            texts.append(match.expand(template))
        if len(spans) >= most:
            break
    return {"spans": spans, "texts": texts}


def main() -> None:
    """Answer the one question on stdin."""
    try:
        answer = search(**json.load(sys.stdin))
    except (re.error, IndexError, RecursionError, OverflowError) as error:
        answer = {"error": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
