"""A network's `FusedStep` on an NVIDIA GPU: one captured graph of Triton kernels for each number of rows."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.cuda.plan import HEADER, MOST_ROWS, ROW_SIZE, Plan
from storyteller.engine.network.device import is_out_of_memory
from storyteller.engine.network.linear import TANH_GELUS
from storyteller.engine.network.step import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from contextlib import AbstractContextManager

    from torch import Tensor

    from storyteller.engine.network import model
    from storyteller.engine.network.cuda.draw import KernelDraw
    from storyteller.engine.network.cuda.launch import Launches
    from storyteller.engine.network.step import Cache, Draw

_LOG = logging.getLogger(__name__)
_FLOATS: Final = (torch.float32, torch.bfloat16, torch.float16)
_NARROWEST, _WIDEST = 16, 128  # heads
_SLOTS: Final = 16  # commands on their way to the device
_MOST_GRAPHS: Final = 16  # of draws: each kind of settings has one
_HOPPER: Final = (9, 0)
_SLACK, _SLACK_EXACT = 0.05, 1e-3  # of the operators' hidden states: in half precision, and in float32


class CudaStep:
    """One network's step. What changes from step to step is data on the device, so that graphs are few.

    `command` holds addresses and sizes of the caches, then of each row its token, position, `seen`, `branch`, `own`
    (see `step.Rows`); a row that only fills up the number has neither `seen` nor `own`, and writes nothing.
    """

    keys_by_position = True
    most_rows = MOST_ROWS
    worthwhile = 2 * MOST_ROWS

    def __init__(self, network: model.Network, launches: Launches) -> None:
        """Use `cuda_step`, which knows which networks have one."""
        self._launches = launches
        self._device = network.device
        self._captures = network.device.type == "cuda"
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._work: dict[
            Hashable, Callable[[], None]
        ] = {}  # of draws; their tensors live as long as their graphs
        self._chance = torch.zeros((), dtype=torch.float64, device=network.device)
        self._drawn = torch.zeros(2, dtype=torch.float64, device=network.device)
        self._slots = [_Slot(len(launches.command), pinned=self._captures) for _ in range(_SLOTS)]
        self._next = 0

    def for_network(self, network: model.Network) -> CudaStep | None:  # noqa: ARG002 - the protocol's
        """None: the operators serve adapters."""
        return None

    def __call__(self, rows: Rows, trunk: Cache, branches: Cache | None) -> Tensor:
        """Read `rows`, at most `most_rows`: (n, d) hidden states, float32."""
        count = _rounded(len(rows))
        self._upload(rows, trunk, branches)
        has_branches = branches is not None
        self._replay((count, has_branches), lambda: self._launches.step(count, branches=has_branches))
        return self._launches.hidden[: len(rows)].clone()

    def logits(self, hidden: Tensor) -> Tensor:
        """Rows (n, d) to float32 logits (n, vocab)."""
        pieces = []
        for piece in torch.split(hidden, MOST_ROWS):
            self._launches.hidden[: len(piece)] = piece
            with self._on_device():
                self._launches.head(_rounded(len(piece)))
            pieces.append(self._launches.logits[: len(piece)].clone())
        return torch.cat(pieces)

    def _upload(
        self, rows: Rows, trunk: Cache, branches: Cache | None, *, kept: Tensor | None = None
    ) -> None:
        """Say what the next step reads; its first row's hidden state goes to `kept` (window, d) float32 too."""
        slot = self._slots[self._next]
        self._next = (self._next + 1) % _SLOTS
        header = [trunk.keys.data_ptr(), trunk.values.data_ptr(), trunk.capacity, 0, 0, 0, 0, 0]
        if branches is not None:
            places = branches.keys.data_ptr(), branches.values.data_ptr()
            header[3:7] = [*places, branches.capacity, branches.values.shape[1]]
        if kept is not None:
            header[7] = kept.data_ptr()
        numbers = [*header, *(number for row in rows for number in row)]
        filling = (0, 0, 0, -1, 0)
        numbers += filling * (_rounded(len(rows)) - len(rows))
        slot.send(numbers, self._launches.command)

    def begin(self, token: int, position: int, trunk: Cache, kept: Tensor) -> None:
        """The next `advance` reads `token` at `position` of `trunk`; hidden states go to `kept` (window, d) float32."""
        self._upload(Rows.of_trunk([token], position), trunk, None, kept=kept)

    def advance(self, draw: Draw, chance: Tensor) -> Tensor:
        """Read a token and draw the next one, which is read next: (2,) float64, it and its log-probability."""
        self._chance.copy_(chance)
        key = "ahead", draw.key
        if key not in self._work:
            if len(self._work) >= _MOST_GRAPHS:
                self._work.clear()
                self._graphs.clear()
            kernels = self._launches.draw(draw)
            self._work[key] = lambda: self._enqueue_ahead(draw, kernels)
        self._replay(key, self._work[key])
        return self._drawn

    def _enqueue_ahead(self, draw: Draw, kernels: KernelDraw | None) -> None:
        self._launches.step(1, branches=False)
        self._launches.head(1)
        logits, command = self._launches.logits[0], self._launches.command
        if kernels is not None:
            kernels.enqueue(logits, self._chance, self._drawn, command)
            return
        self._drawn.copy_(draw(logits, self._chance))
        first = command[HEADER : HEADER + ROW_SIZE]
        first[:1].copy_(self._drawn[:1].clamp(min=0))
        first[1:3].add_(1)  # position and seen

    def _replay(self, key: Hashable, enqueue: Callable[[], None]) -> None:
        """Do what `enqueue` launches, by the graph kept for `key` where there is one or can be one."""
        with self._on_device():
            if key not in self._graphs and self._captures:
                graph = self._captured(enqueue)
                if graph is not None:
                    self._graphs[key] = graph
            if key in self._graphs:
                self._graphs[key].replay()
            else:
                enqueue()

    def try_once(self) -> None:
        """Launch every kernel for one row, which writes nothing: they are compiled, or it raises what keeps them from it."""
        with self._on_device():
            self._launches.step(1, branches=False)
            self._launches.head(1)

    def _on_device(self) -> AbstractContextManager[object]:
        """Triton launches on torch's current device."""
        return torch.cuda.device(self._device) if self._device.type == "cuda" else nullcontext()

    def _captured(self, enqueue: Callable[[], None]) -> torch.cuda.CUDAGraph | None:
        """The graph of what `enqueue` launches, after doing it once: kernels are compiled at their first use."""
        here = torch.cuda.current_stream(self._device)
        aside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call] # torch's own gap
        before = self._launches.command.clone()
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            enqueue()
        here.wait_stream(aside)
        self._launches.command.copy_(before)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                enqueue()
        except RuntimeError:
            _LOG.exception("the step could not be captured; its kernels are launched one by one")
            self._captures = False
            return None
        return graph


class _Slot:
    """Memory from which a command goes to the device; used again when that is done."""

    def __init__(self, size: int, *, pinned: bool) -> None:
        self._numbers = torch.zeros(size, dtype=torch.int64, pin_memory=pinned)
        self._sent = torch.cuda.Event() if pinned else None  # type: ignore[no-untyped-call] # torch's own gap

    def send(self, numbers: list[int], command: Tensor) -> None:
        if self._sent is not None:
            self._sent.synchronize()
        self._numbers[: len(numbers)] = torch.tensor(numbers)
        command.copy_(self._numbers, non_blocking=True)
        if self._sent is not None:
            self._sent.record(torch.cuda.current_stream(command.device))  # else that of the first card


def cuda_step(network: model.Network, plan: Plan | None = None) -> CudaStep | None:
    """The step of `network`, which has no adapters; None where its shape, its device or its activation has no kernels."""
    config = network.config
    width = config.head_dim
    if config.activation_function not in TANH_GELUS or config.reorder_and_upcast_attn:
        return None
    if network.dtype not in _FLOATS or width & (width - 1) or not _NARROWEST <= width <= _WIDEST:
        return None
    if find_spec("triton") is None or config.n_embd % config.n_head:
        return None
    if plan is None:
        plan = Plan(pdl=_has_pdl(network.device))
    from storyteller.engine.network.cuda import launch  # only where Triton is

    try:
        for block in network.blocks:
            for part in (block.attention_in, block.attention_out, block.mlp_in, block.mlp_out):
                launch.operands(part)
        launch.operands(network.head)
    except TypeError:
        return None
    step = CudaStep(network, launch.Launches(network, plan))
    try:
        step.try_once()
    except Exception as error:  # Triton's own kinds: no compiler for its launcher, a card it does not know
        if is_out_of_memory(error):
            raise
        _LOG.exception("the kernels cannot be used here; the operators serve")
        return None
    if not _agrees(network, step):
        _LOG.error("the kernels compute something else than the operators here; the operators serve")
        return None
    return step


@torch.inference_mode()
def _agrees(network: model.Network, step: CudaStep) -> bool:
    """Whether the step reads some tokens as the operators do: kernels are not trusted on a card they were never seen on."""
    slack = _SLACK_EXACT if network.dtype == torch.float32 else _SLACK
    trunks = [Trunk(replace(network, step=way)) for way in (step, None)]
    for piece in ([0], [1, 2, 3], [0], [1]):
        ours, theirs = (trunk.extend(piece).float() for trunk in trunks)
        if not float((ours - theirs).norm()) <= slack * float(theirs.norm()):  # also where one is no number
            return False
    return True


def _has_pdl(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= _HOPPER


def _rounded(rows: int) -> int:
    """The next power of two: each number of rows has kernels and graphs of its own."""
    return 1 << (rows - 1).bit_length()
