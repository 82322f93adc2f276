"""Count and find working days."""

from collections.abc import Collection, Iterator
from datetime import date, timedelta
from itertools import islice

SATURDAY = 5
ONE_DAY = timedelta(days=1)


def working_days(start: date, holidays: Collection[date] = ()) -> Iterator[date]:
    """Yield the working days from the start on, which may be one itself.

    >>> friday = date(2024, 3, 1)
    >>> [str(day) for day in islice(working_days(friday), 3)]
    ['2024-03-01', '2024-03-04', '2024-03-05']
    """
    day = start
    while True:
        if day.weekday() < SATURDAY and day not in holidays:
            yield day
        day += ONE_DAY


def add_working_days(start: date, days: int, holidays: Collection[date] = ()) -> date:
    """Return the date a number of working days after the start.

    >>> str(add_working_days(date(2024, 3, 1), 1))
    '2024-03-04'
    >>> str(add_working_days(date(2024, 12, 24), 2, {date(2024, 12, 25)}))
    '2024-12-27'
    """
    if days < 1:
        raise ValueError("days must be at least one")
    later = working_days(start + ONE_DAY, holidays)
    return next(islice(later, days - 1, None))


def count_working_days(start: date, end: date, holidays: Collection[date] = ()) -> int:
    """Return how many working days there are from the start to before the end.

    >>> count_working_days(date(2024, 3, 1), date(2024, 3, 8))
    5
    """
    days = (start + timedelta(days=n) for n in range((end - start).days))
    return sum(day.weekday() < SATURDAY and day not in holidays for day in days)
