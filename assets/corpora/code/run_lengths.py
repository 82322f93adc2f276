"""Write repeated letters as counts, and undo it."""

import re
from itertools import groupby


def encode(text: str) -> str:
    """Replace each run of a letter with its length and the letter.

    >>> encode("aaabccccd")
    '3ab4cd'
    >>> encode("")
    ''
    """
    parts: list[str] = []
    for letter, run in groupby(text):
        if letter.isdigit():
            raise ValueError("digits cannot be told from counts")
        length = sum(1 for _ in run)
        parts.append(letter if length == 1 else f"{length}{letter}")
    return "".join(parts)


def decode(code: str) -> str:
    """Return the text that was encoded.

    >>> decode("3ab4cd")
    'aaabccccd'
    >>> decode(encode("wwwwwwwwwwwwb  !"))
    'wwwwwwwwwwwwb  !'
    """
    pairs = re.findall(r"(\d*)(\D)", code)
    return "".join(letter * int(count or 1) for count, letter in pairs)
