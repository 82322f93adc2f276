"""Find the longest sequence of letters that two strings share."""


def common_subsequence(first: str, second: str) -> str:
    """Return the longest string whose letters occur in order in both.

    The letters need not stand next to each other.

    >>> common_subsequence("printing", "springtime")
    'printi'
    >>> common_subsequence("abc", "xyz")
    ''
    """
    rows, columns = len(first), len(second)
    # length[i][j] is the answer's length for first[i:] and second[j:].
    length = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            if first[i] == second[j]:
                length[i][j] = length[i + 1][j + 1] + 1
            else:
                length[i][j] = max(length[i + 1][j], length[i][j + 1])

    letters: list[str] = []
    i = j = 0
    while i < rows and j < columns:
        if first[i] == second[j]:
            letters.append(first[i])
            i += 1
            j += 1
        elif length[i + 1][j] >= length[i][j + 1]:
            i += 1
        else:
            j += 1
    return "".join(letters)


def similarity(first: str, second: str) -> float:
    """Return a number from 0, nothing shared, to 1, the same string.

    >>> similarity("cart", "cat")
    0.8571428571428571
    >>> similarity("", "")
    1.0
    """
    total = len(first) + len(second)
    if total == 0:
        return 1.0
    return 2 * len(common_subsequence(first, second)) / total
