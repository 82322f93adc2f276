"""The optimiser's state as named tensors, and a run that goes on with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from storyteller.training.optimiser import make_optimiser, optimiser_tensors, set_optimiser_tensors
from storyteller.training.settings import Wanted, resolved
from tests.stubs.tiny_training import interrupted_at, train_tiny, weights_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")


def step(optimiser: Any, parameter: torch.nn.Parameter, seed: int) -> None:
    parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
    optimiser.step()


@pytest.mark.parametrize("name", ["adamw", "adamw8bit"])
@pytest.mark.parametrize("rows", [8, 64], ids=["small", "large enough for eight bits"])
def test_the_state_comes_back_as_it_was(name: str, rows: int) -> None:
    settings = resolved(
        Wanted(optimiser=name), parameters=1, window=64, tokens=1000, dtype="float32"  # type: ignore[arg-type] # one of them
    )  # fmt: skip
    parameter = torch.nn.Parameter(torch.ones(rows, 128))
    optimiser = make_optimiser(settings, [parameter])
    for seed in range(3):
        step(optimiser, parameter, seed)
    other = torch.nn.Parameter(parameter.detach().clone())
    again = make_optimiser(settings, [other])
    saved = optimiser_tensors(optimiser)
    set_optimiser_tensors(again, saved)
    step(optimiser, parameter, 3)
    step(again, other, 3)
    assert torch.equal(parameter, other)
    assert saved.keys() == optimiser_tensors(again).keys()


def test_a_run_with_eight_bit_states_goes_on_as_if_it_never_stopped(model: Path) -> None:
    given: dict[str, Any] = {"optimiser": "adamw8bit", "rank": 64, "save_every": 2}
    whole = train_tiny(model, **given)
    interrupted_at(3, model, **given)
    assert weights_of(train_tiny(model, resume=True, **given)) == weights_of(whole)
