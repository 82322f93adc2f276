"""Run with TRITON_INTERPRET=1: the CUDA step of a tiny network on the processor, against its operators."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from storyteller.engine.network import weights
from storyteller.engine.network.cache import Branches, Trunk
from storyteller.engine.network.cuda.step import CudaStep
from storyteller.engine.network.linear import DenseLinear, Linear
from storyteller.engine.protocol import Token
from storyteller.engine.settings import SamplerSettings
from tests.stubs.tiny_gpt2 import Room, close, open_network, write_model

if TYPE_CHECKING:
    from storyteller.engine.network.model import Network

SHAPE: dict[str, Any] = {"n_embd": 48, "n_head": 3, "n_layer": 2, "n_positions": 160}


def dense(weight: torch.Tensor, bias: torch.Tensor | None, *, packed: bool = True) -> Linear:
    """Products as they are on a GPU."""
    return DenseLinear(weight.contiguous(), bias)


@torch.inference_mode()
def check_rows(folder: Path) -> None:
    """Pieces of a trunk, and branches of different lengths."""
    plain = open_network(folder)
    fused = replace(plain, step=CudaStep(plain, graphs=False, overlapping=False))
    trunks = [Trunk(plain), Trunk(fused)]
    for piece in ([1], list(range(2, 132)), [3, 4, 5], [6]):  # the long one is read by operators
        one, other = (trunk.extend(piece) for trunk in trunks)
        assert close(other, one)
        assert close(fused.logits(other[:2]), plain.logits(one[:2]), slack=1e-3)
    branches = [
        Branches(network, trunk, rows=3, capacity=1)
        for network, trunk in zip((plain, fused), trunks, strict=True)
    ]
    for tokens in ([[1], [2], [3]], [[1, 2], [4], [5, 6]]):
        one, other = (branch.extend(tokens) for branch in branches)
        assert close(other, one)


def ahead_step(network: Network, _: object) -> CudaStep:
    """What a GPU has."""
    return CudaStep(network, graphs=False, overlapping=False)


def no_step(_network: Network, _: object) -> None:
    """What the operators do without."""


def check_ahead(folder: Path) -> None:
    """The same text, token by token and run ahead, twice with the same seed."""
    for settings in (
        SamplerSettings(temperature=0.0, loop_guard=False),
        SamplerSettings(top_k=5, temperature=0.7, loop_guard=False, logit_bias={5: 2.0}),
    ):
        said = []
        for step in (None, "ahead"):
            setattr(weights, "_step", ahead_step if step else no_step)  # noqa: B010 - as below
            room = Room(folder)
            events = [
                *room.generate("The old", settings=settings, max_tokens=6),
                *room.generate("The old", settings=settings, max_tokens=4),
            ]
            said.append(
                [
                    (event.token, round(event.logprob, 3), event.text)
                    for event in events
                    if isinstance(event, Token)
                ]
            )
        assert said[0] == said[1], said


if __name__ == "__main__":
    setattr(weights, "linear", dense)  # noqa: B010 - a GPU's products, which no device here asks for
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder) / "model", **SHAPE)
        check_rows(model)
        check_ahead(model)
