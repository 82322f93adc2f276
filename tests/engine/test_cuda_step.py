"""The CUDA step's kernels in Triton's interpreter, on the processor: what the operators compute, and text written ahead."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("triton") is None, reason="Triton is not installed: it comes with torch for CUDA"
    ),
]


def test_kernels_and_run_ahead_in_the_interpreter() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1"}  # read when Triton is imported
    done = subprocess.run(
        [sys.executable, "-m", "tests.stubs.triton_interpreter"],
        capture_output=True, text=True, env=environment, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
