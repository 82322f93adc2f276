"""A tiny model that learns steadily, and verses, for every fault of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stubs.tiny_training import without_samples, write_steady_model, write_verses

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_steady_model(tmp_path_factory.mktemp("learner"))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write_verses(tmp_path / "verses")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    without_samples(monkeypatch)
