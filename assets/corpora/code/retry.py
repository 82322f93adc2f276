"""Call a function again when it fails, with longer and longer pauses."""

import random
from collections.abc import Callable, Iterator
from itertools import islice
from time import sleep
from typing import TypeVar

T = TypeVar("T")


def delays(first: float = 0.5, factor: float = 2.0, longest: float = 30.0) -> Iterator[float]:
    """Yield the pauses between attempts.

    >>> list(islice(delays(first=1.0, longest=10.0), 6))
    [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    """
    delay = first
    while True:
        yield delay
        delay = min(delay * factor, longest)


def retry(
    function: Callable[[], T],
    attempts: int = 5,
    errors: tuple[type[Exception], ...] = (OSError,),
    pause: Callable[[float], None] = sleep,
) -> T:
    """Return what the function returns, after as many attempts as are allowed.

    >>> outcomes = iter([OSError("busy"), OSError("busy"), "done"])
    >>> def fetch() -> str:
    ...     outcome = next(outcomes)
    ...     if isinstance(outcome, OSError):
    ...         raise outcome
    ...     return outcome
    >>> retry(fetch, pause=lambda seconds: None)
    'done'
    """
    for delay in islice(delays(), attempts - 1):
        try:
            return function()
        except errors:
            # A little chance keeps many callers from trying at the same moment.
            pause(delay * random.uniform(0.8, 1.2))
    return function()  # the last attempt may fail for good
