"""Add up a column of a CSV file, group by group."""

import csv
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path


def totals(lines: Iterable[str], group: str, amount: str) -> dict[str, Decimal]:
    """Return the sum of the amounts for each value of the group column.

    >>> lines = ["day,kind,cost", "Mon,food,3.10", "Mon,bus,2", "Tue,food,4.05"]
    >>> for kind, cost in totals(lines, "kind", "cost").items():
    ...     print(kind, cost)
    food 7.15
    bus 2
    """
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in csv.DictReader(lines):
        sums[row[group]] += Decimal(row[amount])
    return dict(sums)


def totals_of_file(path: Path, group: str, amount: str) -> dict[str, Decimal]:
    """Return the sums for a CSV file whose first line names the columns."""
    with path.open(newline="", encoding="utf-8") as file:
        return totals(file, group, amount)


def write_totals(path: Path, sums: dict[str, Decimal]) -> None:
    """Write the sums to a CSV file, the largest first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["group", "total"])
        for group, total in sorted(sums.items(), key=lambda pair: -pair[1]):
            writer.writerow([group, total])
