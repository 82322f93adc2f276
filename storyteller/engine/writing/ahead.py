"""One lane that goes on by itself: the device draws tokens and reads them, the host hears of them some steps later.

Between two tokens the device then never waits for the host, nor the host for more than the token it is owed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.sampling import Choice
from storyteller.engine.sampling.on_device import UNDECIDED

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network.cache import Trunk
    from storyteller.engine.network.step import AheadStep
    from storyteller.engine.sampling.on_device import DeviceDraw

_DEPTH: Final = 4  # steps under way: two keep the device busy, more are for a host that is held up


class Ahead:
    """Steps under way on one trunk. What nobody asks for is not part of the trunk, whatever its cache holds."""

    def __init__(self, step: AheadStep, trunk: Trunk, token: int, draw: DeviceDraw, chances: Tensor) -> None:
        """Begin by reading `token`; at most a draw for each of `chances` (n,) float64, on the CPU."""
        device = trunk.hidden.device
        self._step, self._trunk, self._draw = step, trunk, draw
        self._read = token  # what the next result was drawn after
        self._most = len(chances)
        self._chances = _pinned(chances, device).to(device, non_blocking=True)
        self._slots = [_Slot(device) for _ in range(min(_DEPTH, self._most))]
        self._begun = self._done = 0
        step.begin(token, len(trunk.ids), trunk.cache, trunk.hidden)

    @torch.inference_mode()
    def next(self) -> Choice | None:
        """The next token, when what it was drawn after has become part of the trunk.

        None when chances are used up, or the host must draw here: the trunk then ends before that token's reading.
        """
        while self._begun < min(self._done + _DEPTH, self._most):
            drawn = self._step.advance(self._draw, self._chances[self._begun])
            self._slots[self._begun % _DEPTH].send(drawn)
            self._begun += 1
        if self._done == self._most:
            return None
        token, logprob = self._slots[self._done % _DEPTH].receive()
        if int(token) == UNDECIDED:
            self._most = self._done
            return None
        self._done += 1
        self._trunk.ids.append(self._read)
        self._read = int(token)
        return Choice(self._read, logprob)


class _Slot:
    """Memory on the host for one result on its way from the device."""

    def __init__(self, device: torch.device) -> None:
        self._numbers = torch.zeros(2, dtype=torch.float64, pin_memory=device.type == "cuda")
        pinned = device.type == "cuda"
        self._sent = torch.cuda.Event() if pinned else None  # type: ignore[no-untyped-call] # torch's own gap

    def send(self, drawn: Tensor) -> None:
        self._numbers.copy_(drawn, non_blocking=True)
        if self._sent is not None:
            self._sent.record(torch.cuda.current_stream(drawn.device))  # else that of the first card

    def receive(self) -> tuple[float, float]:
        if self._sent is not None:
            self._sent.synchronize()
        token, logprob = self._numbers.tolist()
        return token, logprob


def _pinned(numbers: Tensor, device: torch.device) -> Tensor:
    return numbers.pin_memory() if device.type == "cuda" else numbers
