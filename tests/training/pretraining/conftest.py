"""Texts for every test of pretraining, and one run that was not disturbed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from tests.stubs.tiny_pretraining import pretrain_tiny, write_data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums of floats in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="session")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that went through."""
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("undisturbed")
    pretrain_tiny(data, run)
    return run
