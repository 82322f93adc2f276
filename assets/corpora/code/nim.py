"""Play the game of nim, in which whoever takes the last stick wins."""

from functools import reduce
from operator import xor
from typing import NamedTuple


class Move(NamedTuple):
    """Take a number of sticks from a heap."""

    heap: int
    sticks: int


def best_move(heaps: list[int]) -> Move:
    """Return a move that wins, or a small one when there is none.

    A player is lost when the heaps, seen as binary numbers, cancel out.

    >>> best_move([3, 4, 5])
    Move(heap=0, sticks=2)
    >>> best_move([1, 1])
    Move(heap=0, sticks=1)
    """
    balance = reduce(xor, heaps, 0)
    for heap, sticks in enumerate(heaps):
        # What must be left in this heap so that everything cancels out.
        left = sticks ^ balance
        if left < sticks:
            return Move(heap, sticks - left)
    largest = heaps.index(max(heaps))
    return Move(largest, 1)


def play(heaps: list[int]) -> list[Move]:
    """Return the moves of a whole game between two perfect players.

    >>> game = play([1, 2, 3])
    >>> len(game) % 2  # the first player is lost from the start
    0
    """
    heaps = list(heaps)
    moves: list[Move] = []
    while any(heaps):
        move = best_move(heaps)
        heaps[move.heap] -= move.sticks
        moves.append(move)
    return moves
