"""What training computes by hand on a processor is what torch's own operators and their gradients are."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from storyteller.training.dropping import Dropping, add_dropped, kept
from storyteller.training.operators import Frozen, adapted, attention


def numbers(*shape: int, seed: int = 0, learns: bool = True) -> torch.Tensor:
    """Random float64s: exact enough for gradients by small differences."""
    drawn = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.requires_grad_(learns)


def plain_attention(qkv: torch.Tensor, heads: int, scale: float) -> torch.Tensor:
    rows, count, triple = qkv.shape
    q, k, v = qkv.view(rows, count, 3, heads, -1).permute(2, 0, 3, 1, 4)
    gathered = functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
    return gathered.transpose(1, 2).reshape(rows, count, triple // 3)


@pytest.mark.parametrize("length", [1, 7, 128, 300])
def test_attention_and_its_gradient_are_torchs(length: int) -> None:
    qkv, above = numbers(2, length, 3 * 12), numbers(2, length, 12, seed=1, learns=False)
    ours, theirs = attention(qkv, 3, 0.4, 0.0), plain_attention(qkv, 3, 0.4)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad(ours, qkv, above)[0], torch.autograd.grad(theirs, qkv, above)[0]
    )


def test_attention_that_drops_has_the_gradient_of_what_it_gathered() -> None:
    def gathered(qkv: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return attention(qkv, 2, 0.5, 0.3)

    assert torch.autograd.gradcheck(gathered, numbers(2, 9, 3 * 4))
    qkv = numbers(2, 9, 3 * 4, learns=False)
    assert not torch.allclose(gathered(qkv), attention(qkv, 2, 0.5, 0.0))


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("before", [None, torch.tanh])
def test_an_adapted_product_has_the_gradient_of_what_it_computed(rate: float, before: object) -> None:
    frozen = Frozen(
        numbers(6, 5, seed=4, learns=False),
        numbers(5, seed=5, learns=False),
        torch.tanh if before else None,
        1.7,
        rate,
    )

    def product(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return adapted(x, a, b, frozen)

    given = (numbers(7, 6), numbers(2, 6, seed=1), numbers(5, 2, seed=2))
    assert torch.autograd.gradcheck(product, given)
    if not rate:
        x, a, b = given
        inputs = torch.tanh(x) if before else x
        torch.testing.assert_close(
            product(*given), inputs @ frozen.weight + frozen.bias + 1.7 * inputs @ a.t() @ b.t()
        )


def test_a_product_of_what_needs_no_gradient_has_none_for_it() -> None:
    frozen = Frozen(numbers(6, 5, learns=False), numbers(5, learns=False), torch.tanh, 1.0, 0.1)
    x, a, b = numbers(7, 6, learns=False), numbers(2, 6), numbers(5, 2)
    torch.autograd.backward(adapted(x, a, b, frozen).sum())
    assert x.grad is None
    assert a.grad is not None and b.grad is not None  # noqa: PT018 - both or it did not learn


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_a_residual_with_dropping_has_the_gradient_of_what_it_added(rate: float) -> None:
    def added(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return add_dropped(x, y, rate)

    assert torch.autograd.gradcheck(added, (numbers(5, 6), numbers(5, 6, seed=1)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.9])
def test_as_many_are_dropped_as_the_rate_says_and_the_others_are_as_they_were(
    rate: float, dtype: torch.dtype
) -> None:
    ones = torch.full((100, 1003), 1.25, dtype=dtype)
    dropping = Dropping(rate, seed=1)
    left = dropping.left(ones)
    dropped = float((left == 0).double().mean())
    assert dropped == pytest.approx(rate, abs=0.006)
    assert float(left.double().mean()) * dropping.gain == pytest.approx(1.25, rel=0.03)
    assert set(left.flatten().tolist()) == {0.0, 1.25}


def test_the_same_seed_drops_the_same_call_after_call() -> None:
    ones = torch.ones(50, 70)
    one, other = Dropping(0.3, seed=9), Dropping(0.3, seed=9)
    first, second = one.left(ones), one.left(ones)
    assert torch.equal(other.left(ones), first)
    assert torch.equal(kept(ones, other.mask(ones)), second)
    assert not torch.equal(first, second)
    assert not torch.equal(Dropping(0.3, seed=10).left(ones), first)
