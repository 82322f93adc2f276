"""Flatten nested data into paths and values, and back again."""

from collections.abc import Iterator
from typing import Any


def flatten(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value inside nested dictionaries and lists with its path.

    >>> data = {"name": "Ann", "pets": [{"kind": "cat"}, {"kind": "dog"}]}
    >>> for path, value in flatten(data):
    ...     print(path, "=", value)
    name = Ann
    pets.0.kind = cat
    pets.1.kind = dog
    """
    if isinstance(data, dict):
        pairs = list(data.items())
    elif isinstance(data, list):
        pairs = list(enumerate(data))
    else:
        yield path, data
        return
    for key, value in pairs:
        yield from flatten(value, f"{path}.{key}" if path else str(key))


def look_up(data: Any, path: str, default: Any = None) -> Any:
    """Return the value at a path, or the default where there is none.

    >>> look_up({"pets": [{"kind": "cat"}]}, "pets.0.kind")
    'cat'
    >>> look_up({"pets": []}, "pets.0.kind", default="none")
    'none'
    """
    for key in path.split("."):
        try:
            data = data[int(key)] if isinstance(data, list) else data[key]
        except (KeyError, IndexError, TypeError, ValueError):
            return default
    return data
