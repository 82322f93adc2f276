"""Who holds a file of ours, and does that process still run?

The kernel answers through `flock`: it lets go when a process ends, however it ended, and knows nothing of reused
process numbers. Where a file system has no `flock`, the process record written into the file answers instead.
"""

from __future__ import annotations

import fcntl
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

from msgspec import Struct


class Process(Struct, frozen=True):
    """One run of one program, told apart from any later one with the same number.

    Attributes:
        host: the machine's name.
        boot: the kernel's id of this boot; empty where it has none.
        pid: the process number.
        started: when it started, as the system writes it (clock ticks since boot on Linux); empty if unknown.
    """

    host: str
    boot: str
    pid: int
    started: str


def this_process() -> Process:
    """The process that asks. Cheap: what cannot change is looked up once."""
    return _process(os.getpid())


@cache
def _process(pid: int) -> Process:
    return Process(host=platform.node(), boot=_boot(), pid=pid, started=_started(pid) or "")


def is_alive(process: Process) -> bool:
    """Whether it still runs. A process of another machine cannot be asked and counts as alive."""
    here = this_process()
    if process.host != here.host:
        return True
    if process.boot != here.boot:
        return False
    started = _started(process.pid)
    return started is not None and (not process.started or started == process.started)


def hold(fd: int) -> bool | None:
    """Lock the open file for as long as it is open.

    Returns:
        True: it is ours. False: another holds it. None: nobody can tell, this file system has no locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


if sys.platform == "linux":

    def _started(pid: int) -> str | None:
        """When process `pid` started; None where there is no such process, or only its zombie."""
        try:
            status = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return None
        fields = status.rpartition(b")")[2].split()  # the name before it may hold spaces and brackets
        return None if fields[0] in {b"Z", b"X"} else fields[19].decode("ascii")

else:

    def _started(pid: int) -> str | None:
        """When process `pid` started; None where there is no such process."""
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        asked = subprocess.run(command, capture_output=True, check=False, timeout=5)
        return asked.stdout.decode("utf-8", "replace").strip() or None
