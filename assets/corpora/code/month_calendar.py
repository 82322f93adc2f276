"""Print the calendar of a month."""

from datetime import date, timedelta


def days_in_month(year: int, month: int) -> int:
    """Return how many days a month has.

    >>> days_in_month(2024, 2), days_in_month(2023, 2), days_in_month(2023, 12)
    (29, 28, 31)
    """
    # The 28th and four days more is always in the next month.
    next_month = date(year, month, 28) + timedelta(days=4)
    return (next_month - timedelta(days=next_month.day)).day


def is_leap(year: int) -> bool:
    """Say whether a year has 366 days.

    >>> [year for year in (1900, 2000, 2023, 2024) if is_leap(year)]
    [2000, 2024]
    """
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def month_calendar(year: int, month: int) -> str:
    """Return a page of the calendar, with weeks that begin on Monday.

    >>> print(month_calendar(2024, 2))
    Mo Tu We Th Fr Sa Su
              1  2  3  4
     5  6  7  8  9 10 11
    12 13 14 15 16 17 18
    19 20 21 22 23 24 25
    26 27 28 29
    """
    blanks = ["  "] * date(year, month, 1).weekday()
    days = [f"{day:2}" for day in range(1, days_in_month(year, month) + 1)]
    cells = blanks + days
    weeks = [cells[i : i + 7] for i in range(0, len(cells), 7)]
    return "\n".join(["Mo Tu We Th Fr Sa Su", *(" ".join(week) for week in weeks)])
