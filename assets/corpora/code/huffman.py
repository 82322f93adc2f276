"""Build short codes for common letters with Huffman's method."""

from collections import Counter
from heapq import heapify, heappop, heappush


def build_codes(text: str) -> dict[str, str]:
    """Return a code of zeros and ones for each letter of the text.

    >>> codes = build_codes("aaaabbc")
    >>> {letter: len(code) for letter, code in sorted(codes.items())}
    {'a': 1, 'b': 2, 'c': 2}
    >>> build_codes("aaa")
    {'a': '0'}
    """
    counts = Counter(text)
    if len(counts) == 1:
        return dict.fromkeys(counts, "0")
    codes = dict.fromkeys(counts, "")
    # Each entry: how often its letters occur, a tie-breaker, the letters.
    heap = [(count, i, letter) for i, (letter, count) in enumerate(sorted(counts.items()))]
    heapify(heap)
    serial = len(heap)
    while len(heap) > 1:
        rare, common = heappop(heap), heappop(heap)
        for letter in rare[2]:
            codes[letter] = "0" + codes[letter]
        for letter in common[2]:
            codes[letter] = "1" + codes[letter]
        heappush(heap, (rare[0] + common[0], serial, rare[2] + common[2]))
        serial += 1
    return codes


def decode(bits: str, codes: dict[str, str]) -> str:
    """Return the text whose codes make up the bits.

    >>> codes = build_codes("tea or coffee")
    >>> bits = "".join(codes[letter] for letter in "free coffee")
    >>> decode(bits, codes)
    'free coffee'
    """
    letters = {code: letter for letter, code in codes.items()}
    text: list[str] = []
    code = ""
    for bit in bits:
        code += bit
        # No code is the beginning of another, so the first match is right.
        if code in letters:
            text.append(letters[code])
            code = ""
    return "".join(text)
