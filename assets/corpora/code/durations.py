"""Read and write lengths of time such as "1h 30m"."""

import re

UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def parse_duration(text: str) -> int:
    """Return the number of seconds that a text describes.

    >>> parse_duration("1h 30m"), parse_duration("2d"), parse_duration("45s")
    (5400, 172800, 45)
    >>> parse_duration("soon")
    Traceback (most recent call last):
        ...
    ValueError: not a length of time: 'soon'
    """
    if not re.fullmatch(r"(\s*\d+\s*[dhms])+\s*", text):
        raise ValueError(f"not a length of time: {text!r}")
    parts = re.findall(r"(\d+)\s*([dhms])", text)
    return sum(int(number) * UNITS[unit] for number, unit in parts)


def format_duration(seconds: int) -> str:
    """Return the shortest description of a number of seconds.

    >>> format_duration(5400), format_duration(86_461), format_duration(0)
    ('1h 30m', '1d 1m 1s', '0s')
    """
    parts: list[str] = []
    for unit, size in UNITS.items():
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts) or "0s"


def ago(seconds: int) -> str:
    """Return roughly how long ago something was.

    >>> ago(30), ago(60), ago(7_300)
    ('just now', '1 minute ago', '2 hours ago')
    """
    for name, size in [("day", 86_400), ("hour", 3_600), ("minute", 60)]:
        number = seconds // size
        if number:
            return f"{number} {name}{'s' if number > 1 else ''} ago"
    return "just now"
