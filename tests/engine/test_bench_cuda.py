"""The CUDA step's check tells right from wrong, and goes on where a stage fails. Nothing here needs a GPU."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from storyteller.bench.cuda_check import CudaCheck
from storyteller.bench.cuda_stages import differences, in_few_bits, plans
from storyteller.engine.network.cuda.weights import CudaLinear
from tests.stubs.operator_step import OperatorStep, with_operator_step
from tests.stubs.tiny_gpt2 import open_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from storyteller.engine.network.model import Network
    from storyteller.engine.network.step import Cache, Rows

STAGES = (
    "_machine", "_starter", "_starter_in_four_bits", "_open", "_same", "_stream", "_steps", "_ahead", "_transformers",
    "_profile", "_few_bits", "_variants",
)  # fmt: skip


@pytest.fixture
def plain(make_model: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network whose weights lie as on a GPU."""
    monkeypatch.setattr("storyteller.engine.network.linear.can_pack", lambda dtype: False)
    return open_network(make_model(n_embd=128, n_head=2, n_layer=1, n_inner=256))


class WrongStep(OperatorStep):
    """Forgets a little of every token."""

    def __call__(self, rows: Rows, trunk: Cache, branches: Cache | None) -> Tensor:
        return super().__call__(rows, trunk, branches).roll(1, -1)


def test_a_step_that_agrees_is_as_near_as_the_operators(plain: Network) -> None:
    step, operators = differences(with_operator_step(plain), 1, branches=False)
    assert step < 1e-5
    assert operators < 1e-5


def test_a_wrong_step_is_found(plain: Network) -> None:
    step, operators = differences(replace(plain, step=WrongStep(plain)), 1, branches=False)
    assert step > 0.1
    assert operators < 1e-5


def test_no_step_is_no_agreement(plain: Network) -> None:
    with pytest.raises(TypeError, match="no step"):
        differences(plain, 1, branches=False)


@pytest.mark.parametrize("bits", [8, 4])
def test_every_product_of_few_bits_has_memory_of_its_own(plain: Network, bits: int) -> None:
    few = in_few_bits(plain, bits)
    parts = [few.head, few.blocks[0].attention_in, few.blocks[0].mlp_out]
    packed = [part for part in parts if isinstance(part, CudaLinear)]
    assert len({part.data.data_ptr() for part in packed}) == len(parts)
    assert few.weight_bytes < plain.weight_bytes / 2


def test_one_plan_is_the_one_in_use() -> None:
    assert len(set(plans().values())) == len(plans())


def test_a_stage_that_fails_is_named_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    check = CudaCheck("cpu", "gpt2", seconds=1e9)
    ran: list[str] = []
    for name in STAGES:
        monkeypatch.setattr(check, name, lambda name=name: ran.append(name))

    def fail() -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(check, "_same", fail)
    check.run()
    assert ran == [name for name in STAGES if name != "_same"]
    assert check.figures == {"same: FAILED": "RuntimeError: no such kernel"}


def test_stages_without_time_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    check = CudaCheck("cpu", "gpt2", seconds=-1.0)
    check.run()
    assert len(check.figures) == len(STAGES)
    assert set(check.figures.values()) == {"no time"}
