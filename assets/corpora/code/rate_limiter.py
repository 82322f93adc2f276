"""Limit how often something may happen, with a bucket of tokens."""

from collections.abc import Callable
from time import monotonic


class TokenBucket:
    """A bucket that fills at a steady rate and is emptied by use.

    >>> now = 0.0
    >>> bucket = TokenBucket(rate=1.0, capacity=2, clock=lambda: now)
    >>> bucket.take(), bucket.take(), bucket.take()
    (True, True, False)
    >>> bucket.wait_time()
    1.0
    >>> now = 1.5
    >>> bucket.take(), bucket.take()
    (True, False)
    """

    def __init__(
        self, rate: float, capacity: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rate = rate
        self._capacity = capacity
        self._clock = clock
        self._tokens = capacity
        self._updated = clock()

    def take(self, amount: float = 1.0) -> bool:
        """Take tokens out of the bucket if there are enough of them."""
        self._fill()
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True

    def wait_time(self, amount: float = 1.0) -> float:
        """Return how many seconds it takes until there are enough tokens."""
        self._fill()
        return max(0.0, (amount - self._tokens) / self._rate)

    def _fill(self) -> None:
        """Add the tokens that have come in since the last time."""
        now = self._clock()
        gained = (now - self._updated) * self._rate
        self._tokens = min(self._capacity, self._tokens + gained)
        self._updated = now
