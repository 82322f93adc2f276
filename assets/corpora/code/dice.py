"""Roll dice, and work out how likely each total is."""

import re
from collections import Counter
from fractions import Fraction
from itertools import product
from random import Random


def parse_dice(notation: str) -> tuple[int, int, int]:
    """Return number, sides and bonus of dice written like "2d6+1".

    >>> parse_dice("2d6+1"), parse_dice("d20")
    ((2, 6, 1), (1, 20, 0))
    """
    match = re.fullmatch(r"(\d*)d(\d+)([+-]\d+)?", notation)
    if match is None:
        raise ValueError(f"not dice: {notation!r}")
    number, sides, bonus = match.groups()
    return int(number or 1), int(sides), int(bonus or 0)


def roll(notation: str, chance: Random) -> int:
    """Return the total of one roll.

    >>> chance = Random(3)
    >>> all(3 <= roll("2d6+1", chance) <= 13 for _ in range(100))
    True
    """
    number, sides, bonus = parse_dice(notation)
    return bonus + sum(chance.randint(1, sides) for _ in range(number))


def odds(notation: str) -> dict[int, Fraction]:
    """Return the exact probability of each total.

    >>> print(odds("2d6")[7])
    1/6
    >>> sum(odds("3d4").values()) == 1
    True
    """
    number, sides, bonus = parse_dice(notation)
    faces = range(1, sides + 1)
    totals = Counter(sum(dice) + bonus for dice in product(faces, repeat=number))
    return {total: Fraction(count, sides**number) for total, count in totals.items()}
