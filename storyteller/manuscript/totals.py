"""Running totals over a list of sizes that is edited mostly in one place.

The totals up to the last edit stay; those behind it are summed again only as far as somebody asks. So
typing on line 9,000 of a manuscript costs nothing for the lines below it.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_FIRST_STRIDE: Final = 64


class Totals:
    """Non-negative sizes, and the sum of those before any one of them."""

    def __init__(self, sizes: Iterable[int] = ()) -> None:
        self._sizes = list(sizes)
        self._starts = [0]  # _starts[i] == sum(_sizes[:i]), for as many i as are known
        self.total = sum(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __iter__(self) -> Iterator[int]:
        return iter(self._sizes)

    def __getitem__(self, index: int) -> int:
        return self._sizes[index]

    def before(self, index: int) -> int:
        """The sum of the first `index` sizes."""
        if index == len(self._sizes):
            return self.total
        if index >= len(self._starts):
            self._sum_to(index)
        return self._starts[index]

    def find(self, offset: int) -> int:
        """The index of the size that `offset` falls into; the last one for any offset past the end.

        An offset on a border belongs to the size that begins there; sizes of zero are never chosen, but for
        the last.

        Raises:
            IndexError: there are no sizes.
        """
        if not self._sizes:
            raise IndexError("no sizes to find an offset in")
        last = len(self._sizes) - 1
        offset = max(offset, 0)
        if offset >= self.total:
            return last
        stride = _FIRST_STRIDE
        while self._starts[-1] <= offset and len(self._starts) <= last:
            self._sum_to(min(len(self._starts) + stride, last))
            stride *= 2
        return min(bisect_right(self._starts, offset) - 1, last)

    def splice(self, start: int, stop: int, sizes: Sequence[int]) -> None:
        """Put `sizes` in the place of those from `start` to `stop`."""
        old = self._sizes[start:stop]
        if len(old) == len(sizes) and all(a == b for a, b in zip(old, sizes, strict=True)):
            return
        self._sizes[start:stop] = sizes
        self.total += sum(sizes) - sum(old)
        del self._starts[start + 1 :]

    def _sum_to(self, index: int) -> None:
        known = len(self._starts)
        fresh = accumulate(self._sizes[known - 1 : index], initial=self._starts[-1])
        next(fresh)
        self._starts.extend(fresh)
