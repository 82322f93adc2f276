"""Measure how far apart two words are, and suggest corrections."""

from collections.abc import Iterable


def edit_distance(first: str, second: str) -> int:
    """Return how many letters must be added, removed or changed.

    >>> edit_distance("garden", "wander")
    3
    >>> edit_distance("", "abc")
    3
    >>> edit_distance("same", "same")
    0
    """
    # Only the previous row of the table is ever looked at again.
    previous = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        current = [i]
        for j, b in enumerate(second, start=1):
            removed = previous[j] + 1
            added = current[j - 1] + 1
            changed = previous[j - 1] + (a != b)
            current.append(min(removed, added, changed))
        previous = current
    return previous[-1]


def suggest(word: str, known: Iterable[str], limit: int = 2) -> list[str]:
    """Return the known words within the limit, the nearest of them first.

    >>> suggest("helo", ["hello", "help", "yellow", "halo"])
    ['halo', 'hello', 'help']
    >>> suggest("helo", ["hello", "yellow"], limit=1)
    ['hello']
    """
    distances = ((edit_distance(word, other), other) for other in known)
    return [other for distance, other in sorted(distances) if distance <= limit]
