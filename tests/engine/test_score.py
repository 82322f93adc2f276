"""Log-probabilities of texts of any length."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.network.cache import Trunk
from storyteller.engine.protocol import Score
from storyteller.engine.writing.score import token_logprobs
from storyteller.errors import UserError
from tests.stubs.tiny_gpt2 import WORDS, open_network

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.network.model import Network
    from tests.stubs.tiny_gpt2 import Room


@pytest.fixture(scope="module")
def network(tiny_model: Path) -> Network:
    return open_network(tiny_model)


def numbers(count: int) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 368, (count,), generator=generator).tolist()


def judged(network: Network, ids: list[int], place: int, start: int) -> float:
    """The log-probability of `ids[place]` after `ids[start:place]`."""
    logits = network.logits(Trunk(network).extend(ids[start:place])[-1:])[0]
    return float(torch.log_softmax(logits, -1)[ids[place]])


@pytest.mark.parametrize("count", [2, 64, 65, 66, 96, 97, 128, 129, 300])
def test_every_token_is_judged_by_at_least_half_a_window(network: Network, count: int) -> None:
    ids = numbers(count)
    logprobs = token_logprobs(network, ids)
    assert len(logprobs) == count - 1
    for place in range(1, count):
        window = 0 if place <= 64 else 32 * math.ceil((place - 64) / 32)
        assert place <= 64 or 32 <= place - window <= 64
        assert math.isclose(logprobs[place - 1], judged(network, ids, place, window), abs_tol=1e-4)


def test_what_a_score_says(starter_room: Room) -> None:
    text = WORDS * 8 + "A rare ending 🜁."
    scored = starter_room.core.score(Score(id="s", text=text))
    assert "".join(token.text for token in scored.tokens) == text
    loss = -sum(token.logprob or 0.0 for token in scored.tokens)
    assert math.isclose(scored.perplexity, math.exp(loss / len(scored.tokens)), rel_tol=1e-6)
    assert math.isclose(scored.bits_per_byte, loss / math.log(2) / len(text.encode()), rel_tol=1e-6)


def test_prose_is_likelier_than_its_letters_shuffled(starter_room: Room) -> None:
    prose = starter_room.core.score(
        Score(id="s", text="The old man went down to the sea and looked at the ships.")
    )
    noise = starter_room.core.score(
        Score(id="s", text="hTe lod mna wetn odwn ot eth sae dna lodoke ta eth hsips.")
    )
    assert prose.bits_per_byte < 2.0 < noise.bits_per_byte


def test_a_cancelled_score_is_of_the_beginning(network: Network, tiny_room: Room) -> None:
    assert token_logprobs(network, numbers(50), lambda: True) == []
    signal = CancelSignal()
    signal.cancel()
    scored = tiny_room.core.score(Score(id="s", text=WORDS), signal)
    assert scored.tokens == ()
    assert scored.perplexity == 1.0


def test_an_empty_text_has_no_score(tiny_room: Room) -> None:
    with pytest.raises(UserError, match="no text to score"):
        tiny_room.core.score(Score(id="s", text=""))
