"""Check numbers that carry a digit against typing errors."""


def luhn_valid(number: str) -> bool:
    """Say whether a card number is right by Luhn's rule.

    Spaces do not count.

    >>> luhn_valid("1234 5678 9012 3452")
    True
    >>> luhn_valid("1234 5678 9012 3425")  # two digits exchanged
    False
    >>> luhn_valid("card")
    False
    """
    digits = number.replace(" ", "")
    if len(digits) < 2 or not (digits.isascii() and digits.isdigit()):
        return False
    total = 0
    # From the right, every second digit is doubled, and its digits added.
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def isbn_check_digit(digits: str) -> str:
    """Return the last digit of a book number from the twelve before it.

    >>> isbn_check_digit("978123456789")
    '7'
    """
    if len(digits) != 12:
        raise ValueError("a book number has twelve digits before the last")
    total = sum(int(digit) * (3 if i % 2 else 1) for i, digit in enumerate(digits))
    return str(-total % 10)
