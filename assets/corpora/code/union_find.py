"""Keep track of which items belong together as groups are joined."""

from collections import defaultdict
from collections.abc import Hashable


class UnionFind:
    """A collection of disjoint groups.

    >>> groups = UnionFind()
    >>> groups.join("ann", "bob")
    True
    >>> groups.join("bob", "cy")
    True
    >>> groups.join("ann", "cy")  # they are together already
    False
    >>> groups.together("ann", "cy"), groups.together("ann", "dan")
    (True, False)
    >>> sorted(sorted(group) for group in groups.groups())
    [['ann', 'bob', 'cy'], ['dan']]
    """

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}
        self._size: dict[Hashable, int] = {}

    def find(self, item: Hashable) -> Hashable:
        """Return the item that stands for the whole group."""
        if item not in self._parent:
            self._parent[item] = item
            self._size[item] = 1
        while self._parent[item] != item:
            # Point to the grandparent on the way up, so that paths stay short.
            self._parent[item] = self._parent[self._parent[item]]
            item = self._parent[item]
        return item

    def join(self, a: Hashable, b: Hashable) -> bool:
        """Join the groups of two items; say whether they were apart."""
        small, large = self.find(a), self.find(b)
        if small == large:
            return False
        if self._size[small] > self._size[large]:
            small, large = large, small
        self._parent[small] = large
        self._size[large] += self._size[small]
        return True

    def together(self, a: Hashable, b: Hashable) -> bool:
        """Say whether two items are in the same group."""
        return self.find(a) == self.find(b)

    def groups(self) -> list[list[Hashable]]:
        """Return all the groups."""
        found: defaultdict[Hashable, list[Hashable]] = defaultdict(list)
        for item in list(self._parent):
            found[self.find(item)].append(item)
        return list(found.values())
