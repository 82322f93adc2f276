"""Scripts run where the disk is really full or read-only, or by a user who really may not."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stubs.folders import open_folder

_REPOSITORY = Path(__file__).resolve().parents[2]
_DROP = """
import os
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
"""


def run_script(script: str, *arguments: str | Path, prefix: tuple[str, ...] = ()) -> str:
    """Run Python source to its end, in an environment of its own; what it printed. It must succeed."""
    with open_folder() as home:
        ended = subprocess.run(
            [*prefix, sys.executable, "-c", script, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(_REPOSITORY), "STORYTELLER_HOME": str(home)},
            cwd=home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def run_with_small_disk(script: str, *arguments: str | Path, size: str = "64k") -> str:
    """Run a script with a fresh small file system as its first argument, in a mount namespace of its own."""
    prefix = _mounting()
    if prefix is None:
        pytest.skip("this system does not let the test mount a file system")
    with open_folder() as place:
        mount = f'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"'
        return run_script(script, place, *arguments, prefix=(*prefix, "sh", "-c", mount, str(place)))


def run_as_plain_user(imports: str, script: str, *arguments: str | Path) -> str:
    """Run a script as a user whom permissions bind. The imports come first: the interpreter may be root's alone."""
    return run_script(imports + (_DROP if os.geteuid() == 0 else "") + script, *arguments)


@functools.cache
def _mounting() -> tuple[str, ...] | None:
    for prefix in (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")):
        if (
            shutil.which("unshare")
            and not subprocess.run(
                [*prefix, "sh", "-c", "mount -t tmpfs tmpfs /tmp"], capture_output=True, check=False
            ).returncode
        ):
            return prefix
    return None
