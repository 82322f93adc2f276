"""Where the model runs, in which precision and with how many threads: decided here, once, when it is opened."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.native.build import find_compiler
from storyteller.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from storyteller.engine.protocol import Dtype

_DTYPES: Final = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_BITS: Final = {"int8": 8, "int4": 4}
# Below this a model's products fit the processor's caches: half the bytes save nothing, so it runs in
# float32, and a second thread costs as much in waiting as it saves, so a token is decoded by one.
_SMALL: Final = 60_000_000
NO_FEW_BITS: Final = (
    "There is no compiled step on this machine, without which eight-bit weights are slow, so the model runs in float32 "
    "and needs four times the memory."
)
_chosen = 0  # threads, once `set_threads` was called
_OUT_OF_MEMORY: Final = ("out of memory", "can't allocate memory", "cannot allocate memory")


@dataclass(frozen=True)
class Placement:
    """Where and how a model runs.

    Attributes:
        dtype: what is computed in.
        notes: sentences for the writer where this is not what was asked for.
        bits: of a weight, where that is fewer than `dtype` has: 8 or 4.
    """

    device: torch.device
    dtype: torch.dtype
    notes: tuple[str, ...] = ()
    bits: int | None = None

    @property
    def dtype_name(self) -> str:
        """As settings and `Ready` spell it."""
        return f"int{self.bits}" if self.bits else str(self.dtype).removeprefix("torch.")


def place(device: str, dtype: Dtype, parameters: int) -> Placement:
    """Where a model of so many `parameters` is to run, for a `device` of auto, cpu, cuda, cuda:N or mps.

    A device that is not here is replaced by the processor, with a note.

    Raises:
        UserError: no such kind of device.
    """
    chosen, notes = _choose_device(device)
    bits = _BITS.get(dtype)
    if dtype == "auto" and chosen.type == "cpu" and parameters >= _SMALL and _has_products_in_few_bits():
        bits = 8  # half the bytes of bfloat16, and perplexity a thousandth higher
    number = _DTYPES.get(dtype) or _best_dtype(chosen, parameters)
    return Placement(chosen, number, notes, bits)


def on_processor(dtype: Dtype, parameters: int, note: str) -> Placement:
    """The placement to fall back to when a device fails."""
    fallback = place("cpu", dtype if dtype != "float16" else "auto", parameters)
    return Placement(fallback.device, fallback.dtype, (note,), fallback.bits)


def without_few_bits(placement: Placement) -> Placement:
    """`placement`, as `place` chose it for auto, where there is no compiled step: in floats, and it is said.

    Unchanged where torch has products in eight bits of its own, which are for rows in bfloat16.
    """
    if placement.bits is None or placement.dtype == torch.bfloat16:
        return placement
    return replace(placement, bits=None, notes=(*placement.notes, NO_FEW_BITS))


def set_threads(threads: int) -> int:
    """Use so many threads from now on, at most one a core.

    0 leaves a core to the terminal and the screen where there are four or more.

    Returns:
        the number in use.
    """
    cores = _usable_cores()
    if threads <= 0:
        threads = torch.get_num_threads()  # OMP_NUM_THREADS, else the physical cores
        cores = cores - 1 if cores >= 4 else cores
    global _chosen  # noqa: PLW0603 - torch's own number is as global, and changes from step to step
    _chosen = max(1, min(threads, cores))
    torch.set_num_threads(_chosen)
    return _chosen


def decodes_alone(device: torch.device, parameters: int) -> bool:
    """Whether one thread decodes a token of such a model as fast as all of them."""
    return device.type == "cpu" and parameters < _SMALL


def one_thread() -> AbstractContextManager[None]:
    """Operators inside use one thread. Switching costs less than a microsecond.

    A second one, once it has had work, waits for more in a loop: beside the compiled step's own threads that costs a
    quarter of the speed (gpt2-large in four bits on two cores, 41 tokens/s for 53).
    """
    return _threads(1)


def all_threads() -> AbstractContextManager[None]:
    """Operators inside use every thread that `set_threads` chose."""
    return _threads(_chosen or torch.get_num_threads())


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that a device or the machine has no memory left."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def release_memory(device: torch.device) -> None:
    """Give back what the allocator of `device` keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    elif sys.platform == "linux":
        _trim_heap()


def _trim_heap() -> None:
    """Give back what glibc keeps of memory that was freed: without it, weights that were read by several threads stay.

    GPT-2 small in bfloat16: 0.2 of 0.25 GB. Other C libraries have no such call.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _choose_device(wanted: str) -> tuple[torch.device, tuple[str, ...]]:
    if wanted == "auto":
        return torch.device(_best_device()), ()
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in {"cpu", "cuda", "mps"}:
        raise UserError(f"There is no device {wanted!r}: use auto, cpu, cuda, cuda:N or mps.")
    if device.type == "cpu":
        return torch.device("cpu"), ()
    missing = _missing(device)
    return (torch.device("cpu"), (missing,)) if missing else (device, ())


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _missing(device: torch.device) -> str | None:
    """Why `device` cannot be used, in a sentence."""
    if device.type == "mps":
        here = torch.backends.mps.is_available()
        return None if here else "There is no Apple GPU here, so the model runs on the processor."
    if not torch.cuda.is_available():
        return "CUDA is not available here, so the model runs on the processor."
    if (device.index or 0) >= torch.cuda.device_count():
        return f"There is no GPU {device.index} here, so the model runs on the processor."
    return None


def _best_dtype(device: torch.device, parameters: int) -> torch.dtype:
    match device.type:
        case "cuda":
            native = torch.cuda.is_bf16_supported(including_emulation=False)
            return torch.bfloat16 if native else torch.float16
        case "mps":
            return torch.float16
        case _:
            fast = (
                torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
            )  # no public question
            return torch.bfloat16 if fast and parameters >= _SMALL else torch.float32


def _has_products_in_few_bits() -> bool:
    """Whether the processor multiplies weights in eight bits faster than floats: compiled here, or by torch in bfloat16."""
    return find_compiler() is not None or torch.cpu._is_avx512_bf16_supported()  # no public question


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
