"""Pay an amount with coins."""


def count_ways(amount: int, coins: list[int]) -> int:
    """Return in how many ways the amount can be paid.

    >>> count_ways(10, [1, 5, 10])
    4
    >>> count_ways(3, [2])
    0
    """
    ways = [1] + [0] * amount
    # Coin by coin, so that the same coins in another order count once.
    for coin in coins:
        for total in range(coin, amount + 1):
            ways[total] += ways[total - coin]
    return ways[amount]


def fewest_coins(amount: int, coins: list[int]) -> list[int] | None:
    """Return the smallest handful of coins worth the amount, or None.

    >>> fewest_coins(6, [1, 3, 4])
    [3, 3]
    >>> fewest_coins(7, [2, 4]) is None
    True
    """
    handfuls: dict[int, list[int]] = {0: []}
    for total in range(1, amount + 1):
        options = [
            [*handfuls[total - coin], coin]
            for coin in coins
            if total - coin in handfuls
        ]
        if options:
            handfuls[total] = min(options, key=len)
    return handfuls.get(amount)
