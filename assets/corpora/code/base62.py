"""Write numbers in base 62, as in the short addresses of web links."""

from string import ascii_lowercase, ascii_uppercase, digits

ALPHABET = digits + ascii_lowercase + ascii_uppercase
VALUES = {letter: value for value, letter in enumerate(ALPHABET)}


def encode(number: int) -> str:
    """Return the number in base 62.

    >>> encode(0), encode(61), encode(62)
    ('0', 'Z', '10')
    >>> encode(123456789)
    '8m0Kx'
    """
    if number < 0:
        raise ValueError("only numbers from zero upwards can be encoded")
    letters: list[str] = []
    while True:
        number, remainder = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[remainder])
        if number == 0:
            # The last digit was found first.
            return "".join(reversed(letters))


def decode(code: str) -> int:
    """Return the number that a code stands for.

    >>> decode("8m0Kx")
    123456789
    >>> decode("a-b")
    Traceback (most recent call last):
        ...
    ValueError: '-' is not a digit of base 62
    """
    number = 0
    for letter in code:
        if letter not in VALUES:
            raise ValueError(f"{letter!r} is not a digit of base 62")
        number = number * len(ALPHABET) + VALUES[letter]
    return number
