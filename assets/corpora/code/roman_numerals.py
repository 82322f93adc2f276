"""Convert between whole numbers and Roman numerals."""

from itertools import pairwise

VALUES = {
    "M": 1000, "CM": 900, "D": 500, "CD": 400, "C": 100, "XC": 90,
    "L": 50, "XL": 40, "X": 10, "IX": 9, "V": 5, "IV": 4, "I": 1,
}


def to_roman(number: int) -> str:
    """Return the Roman numeral for a number from 1 to 3999.

    >>> to_roman(1994)
    'MCMXCIV'
    >>> to_roman(0)
    Traceback (most recent call last):
        ...
    ValueError: no Roman numeral for 0
    """
    if not 1 <= number <= 3999:
        raise ValueError(f"no Roman numeral for {number}")
    parts: list[str] = []
    for symbol, value in VALUES.items():
        count, number = divmod(number, value)
        parts.append(symbol * count)
    return "".join(parts)


def from_roman(numeral: str) -> int:
    """Return the number that a Roman numeral stands for.

    >>> from_roman("MCMXCIV")
    1994
    >>> all(from_roman(to_roman(n)) == n for n in range(1, 4000))
    True
    """
    digits = [VALUES[letter] for letter in numeral.upper()]
    total = 0
    # A smaller digit before a larger one is taken away: IX is nine.
    for current, following in pairwise([*digits, 0]):
        total += -current if current < following else current
    return total
