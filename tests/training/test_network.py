"""The learner's arithmetic is peft's and transformers' own, whatever the config says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.nn import functional

from storyteller.training.base import open_learner, trainable
from storyteller.training.data import IGNORED
from storyteller.training.settings import Wanted, resolved
from tests.stubs.tiny_gpt2 import VOCAB, write_model

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from storyteller.training.network import Learner
    from storyteller.training.settings import Quantise

CPU = torch.device("cpu")


def open_tiny(
    folder: Path,
    *,
    dtype: str = "float32",
    recompute: bool = False,
    dropout: float = 0.0,
    quantise: Quantise | None = None,
    **fields: Any,
) -> Learner:
    """A tiny model with these config fields and low-rank products that are heard: B is not zero."""
    write_model(folder, **fields)
    wanted = Wanted(rank=2, alpha=3.0, dropout=dropout, seed=5, quantise=quantise)
    settings = resolved(wanted, parameters=1, window=64, tokens=1000, dtype=dtype)
    learner = open_learner(folder, settings, CPU, recompute=recompute)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, parameter in trainable(learner):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return learner


def some_ids(rows: int = 3, count: int = 21) -> Tensor:
    return torch.randint(VOCAB, (rows, count + 1), generator=torch.Generator().manual_seed(2))


def gradients(learner: Learner, loss: Tensor) -> dict[str, Tensor]:
    """Of every low-rank matrix, which are left without one."""
    torch.autograd.backward(loss)
    named = {name: parameter.grad for name, parameter in trainable(learner) if parameter.grad is not None}
    learner.model.zero_grad(set_to_none=True)
    return named


def theirs(learner: Learner, ids: Tensor, targets: Tensor) -> Tensor:
    """The sum of nats by peft's own forward."""
    logits = learner.model(input_ids=ids).logits
    return functional.cross_entropy(
        logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"activation_function": "gelu"},
        {"activation_function": "relu", "n_inner": 48},
        {"activation_function": "gelu_pytorch_tanh", "scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False, "layer_norm_epsilon": 1e-3},
    ],
    ids=repr,
)
def test_loss_and_every_gradient_are_pefts(
    tmp_path: Path, fields: dict[str, Any], *, recompute: bool
) -> None:
    learner = open_tiny(tmp_path, recompute=recompute, **fields)
    learner.model.eval()
    whole = some_ids()
    ids, targets = whole[:, :-1], whole[:, 1:].clone()
    targets[0, :7] = IGNORED
    targets[2] = IGNORED
    ours, peft = learner.loss(ids, targets), theirs(learner, ids, targets)
    assert ours.item() == pytest.approx(peft.item(), rel=1e-5)
    left, right = gradients(learner, ours), gradients(learner, peft)
    assert left.keys() == right.keys()
    assert len(left) == 3 * 4 * 2  # layers, products, A and B
    for name, gradient in left.items():
        spread = right[name].abs().max()
        assert spread > 0, name
        assert (gradient - right[name]).abs().max() <= 1e-5 * spread, name


def test_the_labels_of_pefts_own_loss_give_the_same_mean(tmp_path: Path) -> None:
    learner = open_tiny(tmp_path)
    learner.model.eval()
    whole = some_ids()
    mean = learner.model(input_ids=whole, labels=whole).loss
    assert learner.loss(whole[:, :-1], whole[:, 1:]).item() / whole[:, 1:].numel() == pytest.approx(
        mean.item(), rel=1e-5
    )


def test_bfloat16_is_near_float32(tmp_path: Path) -> None:
    whole = some_ids()
    losses, slopes = [], []
    for dtype in ("float32", "bfloat16"):
        learner = open_tiny(tmp_path / dtype, dtype=dtype)
        learner.model.eval()
        loss = learner.loss(whole[:, :-1], whole[:, 1:])
        assert loss.dtype == torch.float32
        losses.append(loss.item())
        slopes.append(torch.cat([slope.flatten() for slope in gradients(learner, loss).values()]))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert torch.cosine_similarity(slopes[0], slopes[1], dim=0) > 0.98


def test_nothing_is_dropped_while_it_is_measured(tmp_path: Path) -> None:
    learner = open_tiny(tmp_path, dropout=0.3, attn_pdrop=0.3, embd_pdrop=0.3, resid_pdrop=0.3)
    learner.model.eval()
    whole = some_ids()
    with torch.no_grad():
        first, second = (learner.loss(whole[:, :-1], whole[:, 1:]).item() for _ in range(2))
    assert first == second


@pytest.mark.parametrize("where", ["attn_pdrop", "embd_pdrop", "resid_pdrop", "dropout"])
def test_every_dropout_is_honoured_in_training(tmp_path: Path, where: str) -> None:
    rates: dict[str, Any] = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
    learner = open_tiny(tmp_path, **(rates | {where: 0.5}))
    learner.model.train()
    whole = some_ids()
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        losses.append(learner.loss(whole[:, :-1], whole[:, 1:]).item())
    assert losses[0] == losses[1] != losses[2]
    learner.model.eval()
    assert learner.loss(whole[:, :-1], whole[:, 1:]).item() not in losses


def test_recomputing_drops_the_same(tmp_path: Path) -> None:
    slopes = []
    for recompute in (False, True):
        learner = open_tiny(tmp_path / str(recompute), recompute=recompute, dropout=0.2, attn_pdrop=0.2)
        learner.model.train()
        torch.manual_seed(3)
        whole = some_ids()
        slopes.append(gradients(learner, learner.loss(whole[:, :-1], whole[:, 1:])))
    for name, slope in slopes[0].items():
        assert torch.allclose(slope, slopes[1][name], rtol=1e-4, atol=1e-5), name


def test_a_fresh_learner_is_the_base_and_only_low_rank_products_learn(tmp_path: Path) -> None:
    write_model(tmp_path)
    settings = resolved(Wanted(rank=2), parameters=1, window=64, tokens=1000, dtype="float32")
    learner = open_learner(tmp_path, settings, CPU)
    learner.model.eval()
    names = [name for name, _ in trainable(learner)]
    assert names == sorted(names)
    assert all(".lora_A." in name or ".lora_B." in name for name in names)
    assert not any("lm_head" in name or "wte" in name for name in names)
    whole = some_ids()
    with torch.no_grad(), learner.model.disable_adapter():
        base = theirs(learner, whole[:, :-1], whole[:, 1:]).item()
    with torch.no_grad():
        assert learner.loss(whole[:, :-1], whole[:, 1:]).item() == pytest.approx(base, rel=1e-6)


@pytest.mark.parametrize("quantise", ["8bit", "4bit"])
def test_a_base_in_few_bits_learns_after_it_was_measured(tmp_path: Path, quantise: Quantise) -> None:
    """bitsandbytes' linears change their layout for inference, and a run measures before it learns."""
    undropped: dict[str, Any] = dict.fromkeys(("attn_pdrop", "embd_pdrop", "resid_pdrop"), 0.0)
    learner = open_tiny(tmp_path, dtype="bfloat16", quantise=quantise, n_embd=64, n_head=2, **undropped)
    ids = some_ids()
    learner.model.eval()
    with torch.no_grad():
        measured = learner.loss(ids[:, :-1], ids[:, 1:])
    learner.model.train()
    loss = learner.loss(ids[:, :-1], ids[:, 1:])
    assert float(loss) == pytest.approx(float(measured), rel=0.02)
    found = gradients(learner, loss)
    assert len(found) == len(trainable(learner))
    assert all(bool(grad.isfinite().all()) and bool(grad.any()) for grad in found.values())
