"""Choose the most valuable things that fit into a bag."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """A thing that could be packed."""

    name: str
    weight: int
    value: int


def pack(items: list[Item], capacity: int) -> list[Item]:
    """Return the items with the greatest total value that the bag can carry.

    >>> things = [Item("lamp", 4, 5), Item("book", 3, 4), Item("rope", 2, 3)]
    >>> [item.name for item in pack(things, capacity=5)]
    ['book', 'rope']
    >>> pack(things, capacity=1)
    []
    """
    # best[i][w] is the greatest value of the first i items within weight w.
    best = [[0] * (capacity + 1)]
    for item in items:
        before = best[-1]
        row = before.copy()
        for weight in range(item.weight, capacity + 1):
            with_item = before[weight - item.weight] + item.value
            row[weight] = max(row[weight], with_item)
        best.append(row)

    # Walk back through the table: where the value grew, the item was packed.
    chosen: list[Item] = []
    room = capacity
    for i in range(len(items), 0, -1):
        if best[i][room] != best[i - 1][room]:
            item = items[i - 1]
            chosen.append(item)
            room -= item.weight
    return chosen[::-1]
