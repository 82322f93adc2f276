"""Find words made of the same letters, and words that read both ways."""

from collections import Counter, defaultdict
from collections.abc import Iterable


def anagrams(words: Iterable[str]) -> list[list[str]]:
    """Return the groups of words that have the same letters.

    >>> anagrams(["listen", "tea", "silent", "dog", "eat"])
    [['listen', 'silent'], ['eat', 'tea']]
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for word in words:
        signature = "".join(sorted(word.lower()))
        groups[signature].add(word)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def can_spell(word: str, letters: str) -> bool:
    """Say whether a word can be laid with the letters given, each used once.

    >>> can_spell("apple", "plpeax"), can_spell("apple", "aple")
    (True, False)
    """
    return Counter(word) <= Counter(letters)


def is_palindrome(text: str) -> bool:
    """Say whether a text reads the same backwards; only letters count.

    >>> is_palindrome("Never odd or even"), is_palindrome("Not this one")
    (True, False)
    """
    letters = [letter for letter in text.casefold() if letter.isalnum()]
    return letters == letters[::-1]
