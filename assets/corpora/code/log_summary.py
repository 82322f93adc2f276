"""Read the lines of a log and sum up what went wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

LINE = re.compile(r"(?P<time>\S+) (?P<level>[A-Z]+) (?P<source>[\w.]+): (?P<message>.*)")


@dataclass(frozen=True)
class Entry:
    """One line of a log.

    >>> entry = Entry.parse("2024-05-01T09:30:00 ERROR disk.write: no space left")
    >>> entry.time.hour, entry.level, entry.source, entry.message
    (9, 'ERROR', 'disk.write', 'no space left')
    >>> Entry.parse("Traceback (most recent call last):") is None
    True
    """

    time: datetime
    level: str
    source: str
    message: str

    @classmethod
    def parse(cls, line: str) -> Entry | None:
        """Return the entry in a line, or None if the line is something else."""
        match = LINE.fullmatch(line.strip())
        if match is None:
            return None
        time = datetime.fromisoformat(match["time"])
        return cls(time, match["level"], match["source"], match["message"])


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """Yield the entries of a log, past lines that are none."""
    for line in lines:
        if entry := Entry.parse(line):
            yield entry


def errors_by_source(lines: Iterable[str]) -> Counter[str]:
    """Count the errors that each part of a program has reported.

    >>> log = ["2024-05-01 ERROR disk: full", "2024-05-01 INFO net: ready", "?"]
    >>> errors_by_source(log)
    Counter({'disk': 1})
    """
    return Counter(entry.source for entry in entries(lines) if entry.level == "ERROR")
