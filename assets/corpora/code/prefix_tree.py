"""A prefix tree that completes words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class PrefixTree:
    """A set of words in which words with the same beginning share a path.

    >>> tree = PrefixTree()
    >>> for word in ["car", "card", "care", "dog"]:
    ...     tree.add(word)
    >>> "card" in tree, "ca" in tree
    (True, False)
    >>> list(tree.complete("car"))
    ['car', 'card', 'care']
    >>> list(tree.complete("x"))
    []
    """

    children: dict[str, PrefixTree] = field(default_factory=dict)
    is_word: bool = False

    def add(self, word: str) -> None:
        """Put a word into the tree."""
        node = self
        for letter in word:
            node = node.children.setdefault(letter, PrefixTree())
        node.is_word = True

    def __contains__(self, word: str) -> bool:
        node = self._find(word)
        return node is not None and node.is_word

    def complete(self, prefix: str) -> Iterator[str]:
        """Yield the words that begin with the prefix, in alphabetical order."""
        node = self._find(prefix)
        if node is None:
            return
        if node.is_word:
            yield prefix
        for letter in sorted(node.children):
            yield from self.complete(prefix + letter)

    def _find(self, prefix: str) -> PrefixTree | None:
        """Return the node at the end of the prefix, if there is one."""
        node: PrefixTree | None = self
        for letter in prefix:
            if node is None:
                break
            node = node.children.get(letter)
        return node
