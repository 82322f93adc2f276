"""Hide a message with a keyword, as Vigenère described it."""

from collections.abc import Iterator
from itertools import cycle
from string import ascii_lowercase, ascii_uppercase


def encrypt(message: str, keyword: str) -> str:
    """Shift every letter of the message by the letters of the keyword.

    >>> encrypt("Meet me at noon!", "tea")
    'Fiem qe tx nhsn!'
    """
    return "".join(_shift(message, keyword, direction=1))


def decrypt(message: str, keyword: str) -> str:
    """Shift the letters back again.

    >>> decrypt("Fiem qe tx nhsn!", "tea")
    'Meet me at noon!'
    """
    return "".join(_shift(message, keyword, direction=-1))


def _shift(message: str, keyword: str, direction: int) -> Iterator[str]:
    """Yield the shifted letters; all other characters stay as they are."""
    if not keyword or not set(keyword) <= set(ascii_lowercase):
        raise ValueError("the keyword must be made of small letters from a to z")
    shifts = cycle(direction * ascii_lowercase.index(letter) for letter in keyword)
    for letter in message:
        for alphabet in (ascii_lowercase, ascii_uppercase):
            if letter in alphabet:
                # Only letters use up the keyword, so spaces do not matter.
                position = (alphabet.index(letter) + next(shifts)) % 26
                yield alphabet[position]
                break
        else:
            yield letter
