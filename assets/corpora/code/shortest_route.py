"""Find the cheapest route through a weighted graph with Dijkstra's algorithm."""

from heapq import heappop, heappush

Graph = dict[str, dict[str, float]]


def shortest_route(graph: Graph, start: str, goal: str) -> tuple[float, list[str]]:
    """Return the length of the shortest route and the places along it.

    The graph maps each place to its neighbours and their distances, none of
    which may be negative.

    >>> roads = {
    ...     "home": {"shop": 4, "park": 1},
    ...     "park": {"shop": 2, "school": 7},
    ...     "shop": {"school": 3},
    ... }
    >>> shortest_route(roads, "home", "school")
    (6, ['home', 'park', 'shop', 'school'])
    >>> shortest_route(roads, "school", "home")
    Traceback (most recent call last):
        ...
    ValueError: no route from school to home
    """
    queue: list[tuple[float, str]] = [(0, start)]
    best: dict[str, float] = {start: 0}
    came_from: dict[str, str] = {}

    while queue:
        distance, place = heappop(queue)
        if place == goal:
            return distance, _retrace(came_from, goal)
        if distance > best[place]:
            continue  # a shorter way here was found after this one was queued
        for neighbour, step in graph.get(place, {}).items():
            total = distance + step
            if total < best.get(neighbour, float("inf")):
                best[neighbour] = total
                came_from[neighbour] = place
                heappush(queue, (total, neighbour))
    raise ValueError(f"no route from {start} to {goal}")


def _retrace(came_from: dict[str, str], goal: str) -> list[str]:
    """Follow the steps back from the goal and turn them around."""
    route = [goal]
    while route[-1] in came_from:
        route.append(came_from[route[-1]])
    return route[::-1]
