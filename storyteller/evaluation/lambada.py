"""LAMBADA: whether a model knows the last word of a passage that only makes sense as a whole.

As GPT-2's paper and the evaluation harnesses measure it, on OpenAI's detokenised passages: the tokens of the last
word, its blank included, given those of the rest, with nothing before; right where each of them is the likeliest.
Source: Paperno et al. 2016; Radford et al. 2019, section 3.3.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

import msgspec
import torch

from storyteller.engine.network.cache import Trunk
from storyteller.errors import UserError
from storyteller.evaluation.perplexity import target_logprobs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Set

    from torch import Tensor

    from storyteller.engine.network.model import Network
    from storyteller.engine.prompt.tokens import Tokens

_LAST_WORD: Final = re.compile(r"\s\S+\s*\Z")
_CANDIDATES: Final = 256  # first tokens of a guess that are looked at before none counts as found
_LARGEST: Final = 700.0  # nats; e to the power of more is no float


class Lambada(msgspec.Struct, frozen=True):
    """A model over passages.

    Attributes:
        accuracy: share of last words guessed.
        perplexity: of the last word: e to the power of its mean loss.
        passages: how many.
        tokens: of all the last words.
    """

    accuracy: float
    perplexity: float
    passages: int
    tokens: int


def split_last_word(passage: str) -> tuple[str, str]:
    """A passage's beginning, and its last word with the blank before it; blanks at the end are dropped.

    Raises:
        UserError: it has fewer than two words.
    """
    found = _LAST_WORD.search(passage)
    if found is None or not passage[: found.start()].strip():
        raise UserError(f"A passage needs two words at least, and {passage[:40]!r} has not.")
    return passage[: found.start()], found.group().rstrip()


@torch.inference_mode()
def lambada(
    network: Network,
    tokens: Tokens,
    passages: Sequence[str],
    *,
    stop_words: Set[str] = frozenset(),
    progress: Callable[[float], None] = lambda _: None,
) -> Lambada:
    """`network` over `passages`.

    `stop_words`, in small letters, are never guessed, nor is a mark: the filter that raised GPT-2's accuracy from
    52.66 % to 63.24 % in the paper, whose exact list and search were not published. Perplexity is the same with it.
    A passage longer than the window loses its beginning.

    Raises:
        UserError: there is no passage, or one has fewer than two words.
    """
    if not passages:
        raise UserError("There is no passage to read: the file is empty.")
    trunk = Trunk(network)
    loss, right, count = 0.0, 0, 0
    for place, passage in enumerate(passages):
        context, word = split_last_word(passage)
        target = tokens.encode(word)
        ids = [*tokens.encode(context), *target][-network.config.n_positions - 1 :]
        target = target[1 - len(ids) :]
        trunk.restart(network)
        hidden = trunk.extend(ids[:-1])[-len(target) :]  # (n, d): each row foretells a token of the word
        loss -= float(target_logprobs(network, hidden, target).sum())
        guesses: list[int | None] = list(network.logits(hidden).argmax(-1).tolist())
        if stop_words:
            guesses[0] = _first_guess(network, tokens, trunk, len(ids) - len(target), stop_words)
        right += guesses == target
        count += len(target)
        progress((place + 1) / len(passages))
    return Lambada(
        accuracy=right / len(passages),
        perplexity=math.exp(min(loss / len(passages), _LARGEST)),
        passages=len(passages),
        tokens=count,
    )


def _first_guess(
    network: Network, tokens: Tokens, trunk: Trunk, length: int, stop_words: Set[str]
) -> int | None:
    """The likeliest token after the trunk's first `length` that does not come to a stop word or a mark.

    A token that spells a stop word is passed over only where the word ends there: “ a” may go on as “ amber”.
    """
    ranked = network.logits(trunk.hidden[length - 1 : length])[0].argsort(descending=True)
    for candidate in ranked[:_CANDIDATES].tolist():
        word = tokens.decode([candidate]).strip()
        if not any(map(str.isalnum, word)):
            continue
        if word.casefold() not in stop_words or _goes_on(network, tokens, trunk, length, candidate):
            return int(candidate)
    return None


def _goes_on(network: Network, tokens: Tokens, trunk: Trunk, length: int, candidate: int) -> bool:
    """Whether the word that `candidate` begins is longer than it, going by the likeliest next token."""
    if length >= network.config.n_positions:
        return False
    trunk.truncate(length)
    after: Tensor = network.logits(trunk.extend([candidate]))[0]
    return tokens.decode([int(after.argmax())])[:1].isalpha()
