"""Show how far along a loop is, in one line of text."""

import sys
from collections.abc import Iterator, Sequence
from typing import TextIO, TypeVar

T = TypeVar("T")


def bar(done: int, total: int, width: int = 20) -> str:
    """Return a bar that is filled in proportion to what is done.

    >>> bar(5, 10, width=10)
    '[#####.....]  50%'
    >>> bar(0, 0, width=4)
    '[####] 100%'
    """
    share = done / total if total else 1.0
    filled = int(share * width)
    return f"[{'#' * filled:.<{width}}] {share:4.0%}"


def track(items: Sequence[T], out: TextIO = sys.stderr) -> Iterator[T]:
    """Yield the items, and draw the bar anew after each of them.

    >>> from io import StringIO
    >>> screen = StringIO()
    >>> [letter.upper() for letter in track("ab", screen)]
    ['A', 'B']
    >>> screen.getvalue().split("\\r")[-1]
    '[####################] 100%\\n'
    """
    for done, item in enumerate(items, start=1):
        yield item
        # The carriage return goes back to the start of the same line.
        print("\r" + bar(done, len(items)), end="", file=out, flush=True)
    print(file=out)
