"""Show the last lines of a text, or the lines around a match."""

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path


def last_lines(path: Path, count: int = 10) -> list[str]:
    """Return the last lines of a file, without holding all of it in memory."""
    with path.open(encoding="utf-8") as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=count)]


def with_context(lines: Iterable[str], word: str, before: int = 1) -> Iterator[list[str]]:
    """Yield every line that contains the word, after the lines before it.

    >>> poem = ["a frog", "a pond", "a splash", "silence"]
    >>> list(with_context(poem, "splash"))
    [['a pond', 'a splash']]
    >>> list(with_context(poem, "frog", before=2))
    [['a frog']]
    """
    recent: deque[str] = deque(maxlen=before)
    for line in lines:
        if word in line:
            yield [*recent, line]
        recent.append(line)
