"""The puzzle of the towers of Hanoi."""

from collections.abc import Iterator


def moves(
    disks: int, start: str = "A", goal: str = "C", spare: str = "B"
) -> Iterator[tuple[str, str]]:
    """Yield the moves that bring a tower from one peg to another.

    >>> list(moves(2))
    [('A', 'B'), ('A', 'C'), ('B', 'C')]
    >>> sum(1 for _ in moves(10)) == 2**10 - 1
    True
    """
    if disks == 0:
        return
    # Put all but the largest disk out of the way, move it, put them on top.
    yield from moves(disks - 1, start, spare, goal)
    yield start, goal
    yield from moves(disks - 1, spare, goal, start)


def play(disks: int) -> dict[str, list[int]]:
    """Carry out the moves and return the pegs at the end.

    Disks are numbered by their size.

    >>> play(3)
    {'A': [], 'B': [], 'C': [3, 2, 1]}
    """
    pegs: dict[str, list[int]] = {"A": list(range(disks, 0, -1)), "B": [], "C": []}
    for source, target in moves(disks):
        disk = pegs[source].pop()
        if pegs[target] and pegs[target][-1] < disk:
            raise RuntimeError(f"disk {disk} does not fit on peg {target}")
        pegs[target].append(disk)
    return pegs
