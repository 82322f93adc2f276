"""The largest of a row of logits, by the compiled library."""

from __future__ import annotations

from ctypes import byref, c_double, c_float
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.sampling.peaks import Peaks

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network.native.library import Library

_ROOM: Final = 4  # places for each that is wanted: so many may be alike


class NativePeaks:
    """Fits `sampling.peaks.PeakFinder`. One call at a time."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._total, self._floor = c_double(), c_float()

    def __call__(self, logits: Tensor, least: int) -> Peaks:
        """The largest of `logits` (vocab,) float32."""
        logits = logits.contiguous()
        room = _ROOM * least
        places = torch.empty(room, dtype=torch.int64)
        found = self._library.peaks(
            logits.data_ptr(), len(logits), min(least, len(logits)), room, places.data_ptr(),
            byref(self._floor), byref(self._total),
        )  # fmt: skip
        return Peaks(places[:found], self._floor.value, self._total.value)
