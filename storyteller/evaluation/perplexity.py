"""How surprised a model is by texts: perplexity over windows that overlap, every scored token weighing the same.

Windows are those of Hugging Face's page on perplexity (huggingface.co/docs/transformers/perplexity): each begins a
stride after the one before, and scores only what that one has not. Its figures for GPT-2 large over WikiText-2 (raw,
test part, read by `texts.wikitext`) are 19.44 at stride 1024, no overlap, and 16.44 at stride 512. Its loop counts
one token fewer in every overlapping window than it has scored; over a text of many windows that changes nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import torch

from storyteller.engine.network.cache import Trunk
from storyteller.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from storyteller.engine.network.model import Network
    from storyteller.engine.prompt.tokens import Tokens

_READ: Final = 256  # tokens read at once
_JUDGED: Final = 128  # rows whose logits exist at once: 26 MB for GPT-2's vocabulary
_LARGEST: Final = 700.0  # nats; e to the power of more is no float


class Perplexity(msgspec.Struct, frozen=True):
    """A model over some texts.

    Attributes:
        loss: mean over the scored tokens, nats.
        tokens: that were scored.
        words: of the texts, between blanks.
        characters: of the texts.
        bytes: of the texts in UTF-8.
        skipped: tokens of the texts with nothing before them in their window; they count as of mean loss where
            something is said by word or byte.
    """

    loss: float
    tokens: int
    words: int
    characters: int
    bytes: int
    skipped: int = 0

    @property
    def perplexity(self) -> float:
        """By token: e to the power of the loss."""
        return math.exp(min(self.loss, _LARGEST))

    @property
    def word_perplexity(self) -> float:
        """By word, which models with different tokenizers share."""
        return math.exp(min(self._whole / max(1, self.words), _LARGEST))

    @property
    def bits_per_byte(self) -> float:
        """What a byte of the texts costs."""
        return self._whole / max(1, self.bytes) / math.log(2)

    @property
    def _whole(self) -> float:
        return self.loss * (self.tokens + self.skipped)


class Window(NamedTuple):
    """A stretch of ids, from `begin` to `end`, that scores those from `first` on."""

    begin: int
    first: int
    end: int


def windows(length: int, window: int, stride: int) -> Iterator[Window]:
    """Stretches of at most `window` ids that score each of `length` once, but never one at its stretch's beginning."""
    done = 0
    for begin in range(0, length, stride):
        end = min(begin + window, length)
        yield Window(begin, max(done, begin + 1), end)
        done = end
        if end == length:
            return


@torch.inference_mode()
def perplexity(
    network: Network,
    tokens: Tokens,
    documents: Sequence[str],
    *,
    stride: int,
    window: int | None = None,
    opened: bool = True,
    progress: Callable[[float], None] = lambda _: None,
) -> Perplexity:
    """A model over some texts, each read on its own.

    Args:
        network: the model, with an adapter or without.
        tokens: its tokenizer.
        documents: the texts.
        stride: tokens from one window's beginning to the next one's, at most `window`.
        window: tokens a window holds; as many as the model has positions if None.
        opened: each document stands after <|endoftext|>, and its first token is scored too; False is the page's way.
        progress: is told the share that is done.

    Raises:
        UserError: a window or stride that cannot be, or too little text.
    """
    positions = network.config.n_positions
    size = positions if window is None else window
    if not 2 <= size <= positions:
        raise UserError(f"A window of {size} tokens cannot be; this model has room for 2 to {positions}.")
    if not 1 <= stride <= size:
        raise UserError(f"A stride of {stride} tokens cannot be; it may be 1 to {size}, the window.")
    trunk = Trunk(network)
    before = [tokens.eos] if opened else []
    characters = sum(map(len, documents))
    loss, scored, length, read = 0.0, 0, 0, 0
    for text in documents:
        own = tokens.encode(text)
        ids = [*before, *own]
        length += len(own)
        for stretch in windows(len(ids), size, stride):
            loss += _loss(network, trunk, ids, stretch)
            scored += max(0, stretch.end - stretch.first)
            progress((read + len(text) * stretch.end / len(ids)) / max(1, characters))
        read += len(text)
    if not scored:
        raise UserError("The text is too short: there is no token to score. Give a longer one.")
    return Perplexity(
        loss=loss / scored,
        tokens=scored,
        words=sum(len(text.split()) for text in documents),
        characters=characters,
        bytes=sum(len(text.encode("utf-8", "replace")) for text in documents),
        skipped=length - scored,
    )


def target_logprobs(network: Network, hidden: Tensor, targets: Sequence[int]) -> Tensor:
    """Log-probabilities (n,), float64, of `targets` after hidden states (n, d)."""
    parts = []
    for first in range(0, len(targets), _JUDGED):
        rows = torch.log_softmax(network.logits(hidden[first : first + _JUDGED]), -1)
        wanted = torch.tensor(targets[first : first + _JUDGED], device=rows.device)
        parts.append(rows.gather(1, wanted[:, None])[:, 0].double())
    return torch.cat(parts)


def _loss(network: Network, trunk: Trunk, ids: Sequence[int], stretch: Window) -> float:
    """What the ids that `stretch` scores cost together, nats."""
    begin, first, end = stretch
    trunk.restart(network)
    loss = 0.0
    for start in range(begin, end - 1, _READ):
        stop = min(start + _READ, end - 1)  # the last id is only foretold
        hidden = trunk.extend(ids[start:stop])  # (n, d)
        known = max(0, first - 1 - start)  # rows whose next id another window has scored
        if known < len(hidden):
            targets = ids[start + known + 1 : stop + 1]
            loss -= float(target_logprobs(network, hidden[known:], targets).sum())
    return loss
