"""LAMBADA against a plain loop over transformers' model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from transformers import GPT2LMHeadModel

from storyteller.errors import UserError
from storyteller.evaluation.lambada import lambada, split_last_word
from tests.stubs.tiny_gpt2 import open_network

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.network.model import Network
    from storyteller.engine.prompt.tokens import Tokens

PASSAGES = (
    "The old man opened the door and looked out at the sea",
    "There was a lighthouse, and the keeper\nwaited",
    "One word",
    "The wind opened and closed the door. " * 12 + "Nobody answered the keeper",
)


@pytest.fixture(scope="module")
def network(tiny_model: Path) -> Network:
    return open_network(tiny_model)


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Any:
    model: Any = GPT2LMHeadModel.from_pretrained(tiny_model, dtype=torch.float32)
    return model.eval()


@torch.inference_mode()
def plain(model: Any, tokens: Tokens, passage: str) -> tuple[float, bool]:
    """The loss of the last word, and whether it is guessed."""
    context, word = split_last_word(passage)
    target = tokens.encode(word)
    ids = [*tokens.encode(context), *target][-65:]
    rows = model(torch.tensor([ids[:-1]])).logits[0, -len(target) :].log_softmax(-1)
    loss = -sum(float(rows[place, token]) for place, token in enumerate(target))
    return loss, rows.argmax(-1).tolist() == target


def test_a_plain_loop_finds_the_same(network: Network, reference: Any, tiny_tokens: Tokens) -> None:
    found = lambada(network, tiny_tokens, PASSAGES)
    parts = [plain(reference, tiny_tokens, passage) for passage in PASSAGES]
    assert math.isclose(found.perplexity, math.exp(sum(loss for loss, _ in parts) / 4), rel_tol=1e-4)
    assert found.accuracy == sum(right for _, right in parts) / 4
    words = [" sea", "\nwaited", " word", " keeper"]
    assert (found.passages, found.tokens) == (4, sum(len(tiny_tokens.encode(word)) for word in words))


def greedy_word(network: Network, tokens: Tokens, context: str) -> str:
    """What the model itself would say after `context`, if it makes a word, three tokens long."""
    from storyteller.engine.network.cache import Trunk

    trunk, said = Trunk(network), []
    ids = tokens.encode(context)
    with torch.inference_mode():
        for _ in range(3):
            said.append(int(network.logits(trunk.extend(ids)[-1:]).argmax()))
            ids = said[-1:]
    return tokens.decode(said)


def test_the_models_own_word_is_guessed(starter_network: Network, starter_tokens: Tokens) -> None:
    passage = (
        "Once upon a time there was a little girl called Lily. She loved to play with her ball in the park"
    )
    right = lambada(starter_network, starter_tokens, [passage])
    wrong = lambada(starter_network, starter_tokens, [passage.removesuffix("park") + "zebra"])
    assert right.perplexity < wrong.perplexity
    assert wrong.accuracy == 0.0


def test_stop_words_are_passed_over(starter_network: Network, starter_tokens: Tokens) -> None:
    context = "The door was open, and they walked out of"
    assert greedy_word(starter_network, starter_tokens, context).split()[0] == "the"
    the = f"{context} the"
    assert lambada(starter_network, starter_tokens, [the]).accuracy == 1.0
    filtered = lambada(starter_network, starter_tokens, [the], stop_words={"the"})
    assert filtered.accuracy == 0.0
    assert filtered.perplexity == lambada(starter_network, starter_tokens, [the]).perplexity
    unfiltered = lambada(starter_network, starter_tokens, [the], stop_words={"zebra"})
    assert unfiltered.accuracy == 1.0


@pytest.fixture(scope="module")
def starter_network(starter_model: Path) -> Network:
    return open_network(starter_model)


@pytest.fixture(scope="module")
def starter_tokens(starter_model: Path) -> Tokens:
    from storyteller.engine.prompt.tokens import load_tokens

    return load_tokens(starter_model, vocab_size=8192, eos=0)


@pytest.mark.parametrize(
    ("passage", "parts"),
    [("He said “no", ("He said", " “no")), ("one\n\ntwo \n", ("one\n", "\ntwo")), (" a b.", (" a", " b."))],
)
def test_the_last_word_has_the_blank_before_it(passage: str, parts: tuple[str, str]) -> None:
    assert split_last_word(passage) == parts


@pytest.mark.parametrize("passage", ["", "word", " word", "word \n"])
def test_a_passage_of_one_word(passage: str) -> None:
    with pytest.raises(UserError, match="two words"):
        split_last_word(passage)


def test_no_passage(network: Network, tiny_tokens: Tokens) -> None:
    with pytest.raises(UserError, match="no passage"):
        lambada(network, tiny_tokens, [])
