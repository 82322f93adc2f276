"""The loss in chunks is cross entropy, and so are its gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from storyteller.training.data import IGNORED
from storyteller.training.head_loss import head_loss

ROWS = 16


@pytest.mark.parametrize("learns", [False, True], ids=["head frozen", "head learns"])
@pytest.mark.parametrize("rows", [1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 7])
def test_the_loss_in_chunks_is_cross_entropy(rows: int, learns: bool) -> None:
    generator = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, 8, generator=generator).requires_grad_()
    head = torch.randn(50, 8, generator=generator).requires_grad_(learns)
    targets = torch.randint(50, (rows,), generator=generator)
    targets[::5] = IGNORED
    ours = head_loss(hidden, head, targets, ROWS)
    plain = functional.cross_entropy(hidden @ head.t(), targets, ignore_index=IGNORED, reduction="sum")
    assert ours.item() == pytest.approx(plain.item(), rel=1e-5, abs=1e-6)
    wanted = [hidden, head] if learns else [hidden]
    slopes, expected = (torch.autograd.grad(loss / 7, wanted) for loss in (ours, plain))
    for slope, other in zip(slopes, expected, strict=True):
        assert torch.allclose(slope, other, rtol=1e-4, atol=1e-6)


def test_where_nothing_learns_there_is_a_loss_and_no_gradient() -> None:
    hidden, head = torch.ones(3, 8), torch.eye(8)
    loss = head_loss(hidden, head, torch.tensor([0, 1, IGNORED]), ROWS)
    assert loss.item() == pytest.approx(2 * torch.log(torch.tensor(8.0)).item())
    assert not loss.requires_grad
