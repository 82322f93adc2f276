"""Perplexity over windows: transformers' loop finds the same, and every token is scored once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2LMHeadModel

from storyteller.errors import UserError
from storyteller.evaluation.perplexity import Perplexity, perplexity, windows
from tests.stubs.tiny_gpt2 import WORDS, open_network

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.network.model import Network
    from storyteller.engine.prompt.tokens import Tokens

TEXT = WORDS * 4


@pytest.fixture(scope="module")
def network(tiny_model: Path) -> Network:
    return open_network(tiny_model)


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Any:
    model: Any = GPT2LMHeadModel.from_pretrained(tiny_model, dtype=torch.float32)
    return model.eval()


@torch.inference_mode()
def page(model: Any, ids: list[int], window: int, stride: int) -> tuple[float, int, float]:
    """The loop of Hugging Face's page on perplexity: mean loss and tokens with every scored token counted once, and
    the perplexity with the page's own count."""
    total, count, page_total, page_count, before = 0.0, 0, 0.0, 0, 0
    for begin in range(0, len(ids), stride):
        end = min(begin + window, len(ids))
        inputs = torch.tensor([ids[begin:end]])
        targets = inputs.clone()
        targets[:, : -(end - before)] = -100
        scored = int((targets[:, 1:] != -100).sum())
        if scored:  # a mean over nothing is no number
            loss = float(model(inputs, labels=targets).loss)
            total, count = total + loss * scored, count + scored
            shifted = int((targets != -100).sum()) - 1
            page_total, page_count = page_total + loss * shifted, page_count + shifted
        before = end
        if end == len(ids):
            break
    return total / count, count, math.exp(page_total / page_count)


@pytest.mark.parametrize("window", [64, 40])
@pytest.mark.parametrize("stride", [1, 7, 20, 32, 39, 40, 64])
def test_transformers_finds_the_same_safety_59(
    network: Network, reference: Any, tiny_tokens: Tokens, window: int, stride: int
) -> None:
    if stride > window:
        with pytest.raises(UserError, match="stride of 64"):
            perplexity(network, tiny_tokens, [TEXT], stride=stride, window=window, opened=False)
        return
    ids = tiny_tokens.encode(TEXT)
    assert len(ids) > 3 * 64
    found = perplexity(network, tiny_tokens, [TEXT], stride=stride, window=window, opened=False)
    loss, count, by_the_page = page(reference, ids, window, stride)
    assert (found.tokens, found.tokens + found.skipped) == (count, len(ids))
    assert math.isclose(found.loss, loss, rel_tol=1e-5)
    if stride == window:
        assert math.isclose(found.perplexity, by_the_page, rel_tol=1e-4)


@pytest.mark.parametrize("length", [2, 3, 63, 64, 65, 66, 96, 97])
def test_the_ends_of_texts_of_every_length(
    network: Network, reference: Any, tiny_tokens: Tokens, length: int
) -> None:
    text = "a" * length  # no merge makes one token of two
    ids = tiny_tokens.encode(text)
    assert len(ids) == length
    for stride in (32, 64):
        found = perplexity(network, tiny_tokens, [text], stride=stride, opened=False)
        loss, count, _ = page(reference, ids, 64, stride)
        assert found.tokens == count
        assert math.isclose(found.loss, loss, rel_tol=1e-5)


def test_a_document_on_its_own_scores_its_first_token_after_the_end_of_the_one_before(
    network: Network, reference: Any, tiny_tokens: Tokens
) -> None:
    texts = ["The old man.", "", "The sea, and the wind. " * 20]
    found = perplexity(network, tiny_tokens, texts, stride=32)
    parts = [page(reference, [tiny_tokens.eos, *tiny_tokens.encode(text)], 64, 32) for text in texts if text]
    assert found.tokens == sum(count for _, count, _ in parts)
    assert found.skipped == 0
    assert math.isclose(
        found.loss * found.tokens, sum(loss * count for loss, count, _ in parts), rel_tol=1e-5
    )
    assert (found.words, found.characters) == (103, sum(map(len, texts)))


def test_what_is_told_of_a_loss() -> None:
    found = Perplexity(loss=2.0, tokens=9, words=5, characters=30, bytes=40, skipped=1)
    assert math.isclose(found.perplexity, math.exp(2))
    assert math.isclose(found.word_perplexity, math.exp(4))
    assert math.isclose(found.bits_per_byte, 0.5 / math.log(2))
    assert math.isfinite(Perplexity(1e6, 1, 1, 1, 1).word_perplexity)


def test_bytes_are_those_of_utf_8(network: Network, tiny_tokens: Tokens) -> None:
    assert perplexity(network, tiny_tokens, ["日本語の海。"], stride=32).bytes == 18


def test_the_share_done_goes_up_to_one(network: Network, tiny_tokens: Tokens) -> None:
    told: list[float] = []
    perplexity(network, tiny_tokens, ["", TEXT, "sea"], stride=16, progress=told.append)
    assert told == sorted(told)
    assert math.isclose(told[-1], 1.0)


@pytest.mark.parametrize("stride", [0, 65])
def test_a_stride_that_cannot_be(network: Network, tiny_tokens: Tokens, stride: int) -> None:
    with pytest.raises(UserError, match="stride"):
        perplexity(network, tiny_tokens, [TEXT], stride=stride)


@pytest.mark.parametrize("window", [1, 65])
def test_a_window_that_cannot_be(network: Network, tiny_tokens: Tokens, window: int) -> None:
    with pytest.raises(UserError, match="window"):
        perplexity(network, tiny_tokens, [TEXT], stride=1, window=window)


@pytest.mark.parametrize(("texts", "opened"), [([], True), ([""], True), (["a"], False)])
def test_too_little_text(network: Network, tiny_tokens: Tokens, texts: list[str], *, opened: bool) -> None:
    with pytest.raises(UserError, match="too short"):
        perplexity(network, tiny_tokens, texts, stride=32, opened=opened)


@given(st.integers(0, 300), st.integers(2, 64), st.data())
def test_every_token_is_scored_once_and_fits_its_window(
    length: int, window: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, window))
    found = list(windows(length, window, stride))
    scored = [place for stretch in found for place in range(stretch.first, stretch.end)]
    unscored = set(range(length)) - set(scored)
    assert len(scored) == len(set(scored))
    assert unscored == (
        {stretch.begin for stretch in found} if stride == window else set(range(min(1, length)))
    )
    assert all(stretch.end - stretch.begin <= window for stretch in found)
