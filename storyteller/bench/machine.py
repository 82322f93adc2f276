"""What is measured on: its cores, how fast its memory can be read, and how much of it a process holds."""

from __future__ import annotations

import math
import os
import platform
import re
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

_PROBE_BYTES: Final = 512 * 1024 * 1024
_PROBE_BYTES_ON_GPU: Final = 2 * 1024 * 1024 * 1024
_PASSES: Final = 8
_EVERY_S: Final = 0.05  # between two looks at a process: 20 microseconds each
_PROCESSOR: Final = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_ANONYMOUS: Final = re.compile(r"^RssAnon:\s+(\d+) kB", re.MULTILINE)


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """The processor's name and how many cores of it are ours."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        found = _PROCESSOR.search(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        name = found[1] if found else name
    return f"{name}, {cores()} cores"


def devices() -> tuple[str, ...]:
    """Every kind of device a model can run on here."""
    import torch

    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return ("cpu", *(device for device, present in here.items() if present))


def bandwidth(device: str) -> float:
    """Bytes a second that reading memory in order reaches: the best of some passes over more than any cache holds."""
    import torch

    size = _PROBE_BYTES_ON_GPU if device == "cuda" else _PROBE_BYTES
    data = torch.ones(size // 4, device=device)
    best = math.inf
    for _ in range(_PASSES):
        started = time.perf_counter()
        float(data.sum())  # waits for the device
        best = min(best, time.perf_counter() - started)
    return size / best


def resident_gb() -> float:
    """The most this process ever held, mapped files included, in gigabytes."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


class MemoryWatch:
    """Looks at a process, often, while the block runs; `peak_gb` is the most anonymous memory it was seen with.

    0 where the system does not tell (anywhere but on Linux).
    """

    def __init__(self, pid: int) -> None:
        self.peak_gb = 0.0
        self._status = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            try:
                held = _ANONYMOUS.search(self._status.read_text(encoding="ascii"))
            except OSError:  # it is over, or there is no /proc
                return
            if held is not None:
                self.peak_gb = max(self.peak_gb, int(held[1]) * 1024 / 1e9)
            if self._over.wait(_EVERY_S):
                return
