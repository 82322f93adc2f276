"""What every test shares: a home of its own, no network, one thread for torch."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["STORYTELLER_COMPILE"] = (
    "never"  # tests of the compiled step ask for it; no other waits for a compiler
)

# A property that holds does so on a busy machine too; the suite's own timeout catches what hangs.
hypothesis.settings.register_profile("storyteller", deadline=None)
hypothesis.settings.load_profile("storyteller")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every directory of the program, and the hub's cache, under the test's own temporary folder."""
    folder = tmp_path / "storyteller-home"
    monkeypatch.setenv("STORYTELLER_HOME", str(folder))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hugging-face"))  # a GPT-2 large found there would open
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """The program's logger, which the app points at a file of its own, as the test found it."""
    logger = logging.getLogger("storyteller")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = handlers, level, propagate


@pytest.fixture(scope="session")
def starter_model() -> Path:
    """The model that ships: real, small, and a GPT-2."""
    return REPOSITORY / "assets" / "starter"
