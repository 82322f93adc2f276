"""Compiles the step for this very processor, once: the library is kept in the cache directory under a name that says from what.

Five seconds of one core. Nothing waits for it but a model in few bits that is opened for the first time.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from storyteller.paths import cache_dir, private_dir

_SOURCE: Final = Path(__file__).resolve().parent
_MAIN: Final = "step.cpp"
_FLAGS: Final = (
    "-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math",
    "-fPIC", "-shared", "-pthread", "-w",
)  # fmt: skip
_COMPILERS: Final = ("c++", "g++", "clang++")
_TIMEOUT_S: Final = 120
_KEPT: Final = 4  # libraries of other versions and processors


class BuildError(Exception):
    """The step cannot be compiled here; says why, for the log."""


def built_library() -> Path | None:
    """The compiled step, if it was compiled before."""
    compiler = find_compiler()
    path = _library_path(compiler) if compiler else None
    return path if path is not None and path.is_file() else None


def build_library() -> Path:
    """Compile the step unless that was done before; returns the shared library.

    Raises:
        BuildError: there is no compiler, it fails, or the cache directory cannot be written.
    """
    compiler = find_compiler()
    if compiler is None:
        raise BuildError("no C++ compiler was found (c++, g++, clang++, or $CXX)")
    path = _library_path(compiler)
    if path.is_file():
        return path
    try:
        private_dir(path.parent)
        _sweep(path.parent)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="building-") as folder:
            _compile(compiler, Path(folder) / path.name)
            (Path(folder) / path.name).replace(path)
        _prune(path)
    except OSError as error:
        raise BuildError(f"{error}") from error
    return path


def find_compiler() -> str | None:
    """The C++ compiler's path: `$CXX` where that is set, else the first of the usual names."""
    wanted = os.environ.get("CXX")
    for name in (wanted,) if wanted else _COMPILERS:
        found = shutil.which(name)
        if found is not None:
            return found
    return None


def _compile(compiler: str, target: Path) -> None:
    nice = shutil.which("nice")  # somebody may be typing
    command = [
        *((nice, "-n", "10") if nice else ()),
        compiler,
        *_FLAGS,
        "-o",
        str(target),
        str(_SOURCE / _MAIN),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{compiler} took more than {_TIMEOUT_S} s") from error
    if done.returncode:
        raise BuildError(f"{compiler} failed: {done.stderr.strip()[:2000]}")


def _library_path(compiler: str) -> Path:
    """Named after sources, flags, compiler and processor: a home directory may be shared by different machines."""
    digest = hashlib.sha256()
    for source in sorted(_SOURCE.glob("*.?pp")):
        digest.update(source.read_bytes())
    size = Path(compiler).resolve().stat()
    digest.update(repr((_FLAGS, compiler, size.st_size, size.st_mtime_ns, _processor())).encode())
    return cache_dir() / "native" / f"step-{digest.hexdigest()[:24]}.so"


def _processor() -> str:
    """What tells processors with different instructions apart."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8", errors="replace").splitlines()
        return "\n".join(
            sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
        )
    return f"{platform.machine()} {platform.processor()}"


def _sweep(folder: Path) -> None:
    """Remove what a compiler that was killed left behind."""
    for left in folder.glob("building-*"):
        if left.stat().st_mtime < time.time() - 2 * _TIMEOUT_S:
            shutil.rmtree(left, ignore_errors=True)


def _prune(newest: Path) -> None:
    libraries = sorted(newest.parent.glob("step-*.so"), key=lambda path: path.stat().st_mtime)
    for old in [path for path in libraries if path != newest][: -_KEPT or None]:
        old.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        build_library()
    except BuildError as error:
        sys.exit(str(error))
