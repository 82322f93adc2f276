"""Tokens that feed the next step without leaving the device: step, logits and draw are one graph, replayed ahead of the reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.sampling.on_device import draw_on_device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from storyteller.engine.network.cache import Trunk
    from storyteller.engine.network.cuda.step import CudaStep
    from storyteller.engine.settings import SamplerSettings

DEPTH: Final = 6  # steps launched before the first of them is read
_KEPT: Final = 4  # graphs, one for each sampler setting


class CudaAhead:
    """One sequence of one trunk, written on the device."""

    def __init__(self, step: CudaStep, trunk: Trunk) -> None:
        self._step, self._trunk = step, trunk
        device, window = trunk.hidden.device, len(trunk.hidden)
        on_gpu = device.type == "cuda"
        self._results = torch.zeros(window, 2, dtype=torch.float64, device=device)
        self._read = torch.zeros(window, 2, dtype=torch.float64, pin_memory=on_gpu)
        self._chances = torch.zeros(window, dtype=torch.float64, device=device)
        self._added = trunk.hidden.new_zeros(2, step.vocab_size)
        self._count = torch.zeros(1, dtype=torch.int64, device=device)
        self._graphs: dict[tuple[float, int], torch.cuda.CUDAGraph] = {}

    @torch.inference_mode()
    def write(
        self, token: int, chances: Sequence[float], added: Tensor, settings: SamplerSettings
    ) -> Iterator[tuple[int, float]]:
        """Read `token` after the trunk and go on: a token and its log-probability for each of `chances`.

        `added` (2, vocab) is `scores_added`'s. The trunk's ids are the caller's business; what ran ahead and is not
        wanted lies after them and is overwritten. Hidden states are in the trunk.
        """
        start = len(self._trunk.ids)
        first = torch.tensor([[token], [start], [start + 1], [-1], [0]], dtype=torch.int32)
        rows = self._step.rows(1)
        self._chances[: len(chances)] = torch.tensor(chances, dtype=torch.float64)
        self._added.copy_(added)
        replay = self._replay(settings)  # warming it up moves what is set now
        rows.copy_(first)
        self._count.zero_()
        ready: list[torch.cuda.Event | None] = []
        for index in range(len(chances)):
            while len(ready) < min(len(chances), index + DEPTH):
                replay()
                ready.append(self._bring(len(ready)))
            event = ready[index]
            if event is not None:
                event.synchronize()
            drawn, logprob = self._read[index].tolist()
            yield int(drawn), logprob

    def _bring(self, index: int) -> torch.cuda.Event | None:
        """Begin to copy result `index` to the host; the event is when it is there."""
        self._read[index].copy_(self._results[index], non_blocking=True)
        if self._results.device.type != "cuda":
            return None
        event = torch.cuda.Event()  # type: ignore[no-untyped-call] # torch's own
        event.record()
        return event

    def _replay(self, settings: SamplerSettings) -> Callable[[], None]:
        if self._results.device.type != "cuda":
            return lambda: self._body(settings)
        key = (settings.temperature, settings.top_k)
        if key not in self._graphs:
            while len(self._graphs) >= _KEPT:
                del self._graphs[next(iter(self._graphs))]
            self._graphs[key] = self._capture(settings)
        return self._graphs[key].replay

    def _capture(self, settings: SamplerSettings) -> torch.cuda.CUDAGraph:
        rows, start = self._step.rows(1), len(self._trunk.ids)
        rows.copy_(torch.tensor([[0], [start], [start + 1], [-1], [0]], dtype=torch.int32))
        self._count.zero_()
        self._step.make_room(self._trunk.cache, None)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call] # torch's own
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._body(settings)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._body(settings)
        return graph

    def _body(self, settings: SamplerSettings) -> None:
        """One step, its logits, and the draw, which is the next step's token."""
        rows = self._step.rows(1)
        position = rows[1].long()
        self._step.launch(1, self._trunk.cache, None)
        hidden = self._step.hidden[:1]
        self._trunk.hidden.index_copy_(0, position, hidden)
        logits = self._step.read_out(hidden, 1)[0]
        drawn = draw_on_device(logits, self._added, self._chances.gather(0, self._count), settings)
        self._results.index_copy_(0, self._count, drawn[None])
        rows[0].copy_(drawn[:1])
        rows[1:3].add_(1)
        self._count.add_(1)
