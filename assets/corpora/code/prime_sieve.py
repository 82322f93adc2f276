"""Find prime numbers with the sieve of Eratosthenes."""

from bisect import bisect_right
from collections.abc import Iterator
from itertools import compress, count
from math import isqrt


def primes_below(limit: int) -> list[int]:
    """Return all the primes smaller than the limit.

    >>> primes_below(30)
    [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
    >>> primes_below(2)
    []
    """
    if limit <= 2:
        return []
    is_prime = bytearray([1]) * limit
    is_prime[0] = is_prime[1] = 0
    for number in range(2, isqrt(limit - 1) + 1):
        if is_prime[number]:
            # Smaller multiples were crossed out by smaller primes.
            start = number * number
            is_prime[start::number] = bytes(len(range(start, limit, number)))
    return list(compress(range(limit), is_prime))


def primes() -> Iterator[int]:
    """Yield the primes for as long as anybody asks.

    >>> from itertools import islice
    >>> list(islice(primes(), 8))
    [2, 3, 5, 7, 11, 13, 17, 19]
    """
    found: list[int] = []
    for candidate in count(2):
        # A number that is no prime has a factor no larger than its root.
        small = found[: bisect_right(found, isqrt(candidate))]
        if all(candidate % prime for prime in small):
            found.append(candidate)
            yield candidate
