"""A tiny model that learns, for every test of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stubs.tiny_gpt2 import write_model
from tests.stubs.tiny_training import without_samples

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("learner"))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    without_samples(monkeypatch)
