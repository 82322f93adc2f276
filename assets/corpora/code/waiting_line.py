"""Simulate customers waiting at the counters of a shop."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heapreplace
from statistics import fmean


@dataclass(frozen=True)
class Customer:
    """Someone who comes at a certain minute and needs some minutes' help."""

    name: str
    arrives: float
    needs: float


def serve(customers: Iterable[Customer], counters: int) -> Iterator[tuple[str, float]]:
    """Yield how long each customer waits until a counter is free.

    Customers are served in the order in which they arrive.

    >>> crowd = [Customer("Ann", 0, 5), Customer("Bob", 1, 5), Customer("Cy", 2, 1)]
    >>> list(serve(crowd, counters=1))
    [('Ann', 0.0), ('Bob', 4.0), ('Cy', 8.0)]
    >>> list(serve(crowd, counters=2))
    [('Ann', 0.0), ('Bob', 0.0), ('Cy', 3.0)]
    """
    # The heap holds the minute at which each counter is free again.
    free_at = [0.0] * counters
    heapify(free_at)
    for customer in sorted(customers, key=lambda customer: customer.arrives):
        starts = max(free_at[0], float(customer.arrives))
        heapreplace(free_at, starts + customer.needs)
        yield customer.name, starts - customer.arrives


def mean_wait(customers: Iterable[Customer], counters: int) -> float:
    """Return how long the customers wait on average.

    >>> mean_wait([Customer("Ann", 0, 4), Customer("Bob", 0, 1)], counters=1)
    2.0
    """
    return fmean(wait for _, wait in serve(customers, counters))
