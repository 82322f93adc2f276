"""Put tasks into an order in which each comes after those it depends on."""

from collections import deque


class CycleError(ValueError):
    """Raised when tasks depend on one another in a circle."""


def task_order(needs: dict[str, set[str]]) -> list[str]:
    """Return the tasks in an order in which they can be done.

    Tasks that are ready at the same time are ordered by name.

    >>> task_order({"eat": {"cook", "lay"}, "cook": {"shop"}, "lay": set()})
    ['lay', 'shop', 'cook', 'eat']
    >>> task_order({"hen": {"egg"}, "egg": {"hen"}})
    Traceback (most recent call last):
        ...
    task_order.CycleError: these tasks wait for each other: egg, hen
    """
    waiting = {task: set(before) for task, before in needs.items()}
    for before in needs.values():
        for task in before:
            waiting.setdefault(task, set())

    ready = deque(sorted(task for task, before in waiting.items() if not before))
    order: list[str] = []
    while ready:
        done = ready.popleft()
        order.append(done)
        del waiting[done]
        for task in sorted(waiting):
            if done in waiting[task]:
                waiting[task].remove(done)
                if not waiting[task]:
                    ready.append(task)

    if waiting:
        names = ", ".join(sorted(waiting))
        raise CycleError(f"these tasks wait for each other: {names}")
    return order
