"""A player of tic-tac-toe that never loses."""

from functools import cache

LINES = [
    (0, 1, 2), (3, 4, 5), (6, 7, 8),  # rows
    (0, 3, 6), (1, 4, 7), (2, 5, 8),  # columns
    (0, 4, 8), (2, 4, 6),  # diagonals
]


def winner(board: str) -> str | None:
    """Return the player who has three in a row, if there is one.

    >>> winner("XXXOO    ")
    'X'
    """
    for a, b, c in LINES:
        if board[a] != " " and board[a] == board[b] == board[c]:
            return board[a]
    return None


def place(board: str, square: int, player: str) -> str:
    """Return the board after the player has taken a square."""
    return board[:square] + player + board[square + 1 :]


@cache
def score(board: str, player: str) -> int:
    """Return 1 if the player to move can win, 0 for a draw, -1 if lost.

    >>> score(" " * 9, "X")
    0
    """
    if winner(board):
        return -1  # the other player has just made three in a row
    free = [square for square in range(9) if board[square] == " "]
    other = "O" if player == "X" else "X"
    return max((-score(place(board, square, player), other) for square in free), default=0)


def choose(board: str, player: str) -> int:
    """Return the best square for the player to take.

    >>> choose("XX OO    ", "X")  # win at once
    2
    >>> choose("XX  O    ", "O")  # keep the other from winning
    2
    """
    free = [square for square in range(9) if board[square] == " "]
    other = "O" if player == "X" else "X"
    return min(free, key=lambda square: score(place(board, square, player), other))
