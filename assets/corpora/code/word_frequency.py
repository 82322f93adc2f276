"""Count the words of a text and list the commonest of them."""

import re
from collections import Counter
from pathlib import Path

WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


def count_words(text: str, ignore: frozenset[str] = frozenset()) -> Counter[str]:
    """Count every word in the text, in lower case, except those to ignore.

    >>> counts = count_words("The cat saw the dog. The dog didn't see.")
    >>> counts["the"], counts["dog"], counts["didn't"]
    (3, 2, 1)
    >>> "the" in count_words("The end", ignore=frozenset({"the"}))
    False
    """
    words = WORD.findall(text.lower())
    return Counter(word for word in words if word not in ignore)


def most_common(path: Path, limit: int = 10) -> list[tuple[str, int]]:
    """Return the commonest words in a file, with how often each occurs."""
    text = path.read_text(encoding="utf-8")
    return count_words(text).most_common(limit)


def variety(text: str) -> float:
    """Return the share of different words among all the words of a text.

    >>> variety("one two one two")
    0.5
    >>> variety("")
    0.0
    """
    counts = count_words(text)
    if not counts:
        return 0.0
    return len(counts) / counts.total()
