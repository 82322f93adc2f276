"""Break text into lines of limited width."""

from collections.abc import Iterator


def wrap(text: str, width: int) -> Iterator[str]:
    """Yield lines that are no wider than the width, if words allow it.

    A word that is too long gets a line of its own.

    >>> list(wrap("the quick brown fox jumps", 10))
    ['the quick', 'brown fox', 'jumps']
    >>> list(wrap("an extraordinary day", 8))
    ['an', 'extraordinary', 'day']
    """
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if len(longer) <= width or not line:
            line = longer
        else:
            yield line
            line = word
    if line:
        yield line


def justify(line: str, width: int) -> str:
    """Spread the words of a line so that it fills the width.

    >>> justify("a bb c", 10)
    'a   bb   c'
    >>> justify("a bb c", 9)
    'a   bb  c'
    """
    words = line.split()
    if len(words) < 2:
        return line
    gaps = len(words) - 1
    space = width - sum(map(len, words))
    # The first gaps get one space more when they do not come out even.
    small, left_over = divmod(space, gaps)
    parts = [word + " " * (small + (i < left_over)) for i, word in enumerate(words[:-1])]
    return "".join([*parts, words[-1]])
