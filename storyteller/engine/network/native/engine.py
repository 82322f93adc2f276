"""The compiled step at hand: built in a thread while nobody waits, checked, and shared by every network of the process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import weakref
from ctypes import byref
from pathlib import Path
from typing import Final

import torch

from storyteller.engine.network.native import build
from storyteller.engine.network.native.build import BuildError, built_library
from storyteller.engine.network.native.library import INT4, Library, Weight
from storyteller.engine.network.quantise import Codes
from storyteller.engine.network.tiles import LANES, SPAN, tile


class NativeEngine:
    """A compiled step and its threads. One call runs at a time: it is the engine's one thread that calls.

    Attributes:
        library: the functions.
        handle: what they want as their first argument.
    """

    def __init__(self, path: Path, threads: int) -> None:
        """Load the library at `path`.

        Raises:
            OSError: it cannot be loaded.
            ValueError: it computes something else than it should.
        """
        self.library = Library(path)
        self.handle: int = self.library.engine_new(threads)
        self.threads = threads
        weakref.finalize(self, self.library.engine_free, self.handle)
        self._check()

    def product(self, weight: Weight, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """`x` (n, inputs) float32 times `weight`: into `out` (n, outputs) float32, which is returned.

        For weights in few bits the rows are brought into eight bits too, 32 numbers to a scale.
        """
        self.library.product(self.handle, byref(weight), x.data_ptr(), len(x), out.data_ptr())
        return out

    def _check(self) -> None:
        """One product whose result is known, by the kernel that has most ways to be wrong."""
        inputs, outputs = 2 * SPAN, LANES
        numbers = torch.arange(outputs * inputs).remainder(16).view(outputs, inputs)
        scales = torch.ones(outputs, 2, dtype=torch.float16)
        tiles = tile(Codes(numbers.to(torch.uint8), scales, -8 * scales, 4, SPAN))
        weight = Weight(tiles.data.data_ptr(), tiles.scales.data_ptr(), None, INT4, outputs, inputs, SPAN)
        x = torch.arange(-SPAN, SPAN, dtype=torch.float32)[None]
        right = x @ (numbers.float() - 8.0).t()
        got = self.product(weight, x, torch.empty(1, outputs))
        if not torch.allclose(got, right, rtol=0.02, atol=4.0):
            raise ValueError("the compiled step computes wrong products on this processor")


_SWITCH: Final = "STORYTELLER_COMPILE"  # set to `never`, tokens are decoded operator by operator
_lock = threading.Lock()
_builder: threading.Thread | None = None
_failure: str | None = None
_engines: dict[int, NativeEngine] = {}  # by number of threads


def native_engine(threads: int, *, wait: bool) -> NativeEngine | None:
    """The compiled step with so many threads; None where it is not there.

    The first call on a machine begins to compile it in the background, for some seconds. With `wait` this call
    returns when that is done; without, a later call finds it.
    """
    global _builder  # noqa: PLW0603 - one compiler run a process
    if os.environ.get(_SWITCH) == "never":
        return None
    if threads in _engines:
        return _engines[threads]
    if _failure is not None:
        return None
    path = built_library()
    if path is None:
        with _lock:
            if _builder is None:
                _builder = threading.Thread(target=_build, name="build", daemon=True)
                _builder.start()
        if not wait:
            return None
        _builder.join()
        path = built_library()
    if path is None:
        return None
    try:
        _engines[threads] = NativeEngine(path, threads)
    except (OSError, AttributeError, ValueError) as error:
        _give_up(error)
        return None
    return _engines[threads]


def native_failure() -> str | None:
    """Why this process has no compiled step, once it is known that it will have none."""
    return f"{_SWITCH} is set to never" if os.environ.get(_SWITCH) == "never" else _failure


def _build() -> None:
    """Compile in a process that outlives this one: a command that is done sooner has not compiled in vain."""
    command = [sys.executable, "-m", build.__name__]
    packages = Path(build.__file__).parents[4]  # where this program is imported from
    try:
        done = subprocess.run(
            command, cwd=packages, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        _give_up(error)
        return
    if done.returncode:
        _give_up(BuildError(done.stderr.strip()[-2000:] or f"exit code {done.returncode}"))


def _give_up(error: BaseException) -> None:
    global _failure  # noqa: PLW0603 - a process that failed once would fail again
    _failure = str(error)
