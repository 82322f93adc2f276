"""Going on from inside a word: where the model takes over from what the writer typed, and with which tokens.

A text cut mid-word ends in tokens that no whole text has there. The usual cure, the last token chosen anew
from what continues it, mends "lightho" where it is " light" and "ho" but not where " lighthouse" is one token,
and choosing any beginning of the word leads to spellings as unlikely as the first (" an", then "ded"). Here the
model may take over at every token boundary of the word as it is usually spelt, as often as it means to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from storyteller.engine.prompt.tokens import Tokens


def take_over_chances(logits: Tensor, tail: Sequence[int], tokens: Tokens) -> Tensor:
    """For each token of an unfinished word, how likely the model is to take over in its place: (len(tail),) float32.

    `logits` (len(tail), vocab) are those before each token of `tail`, the word's usual spelling. The chance at i is
    that of the spelling up to i, times that of any one token there that says all the rest of what was typed.
    """
    logprobs = torch.log_softmax(logits.float(), dim=-1).cpu()  # (n, vocab)
    spelt = torch.zeros(())
    weights = []
    for place, token in enumerate(tail):
        rest = tokens.decode_bytes(tail[place:])
        weights.append(spelt + logprobs[place, tokens.continuing(rest)].logsumexp(0))
        spelt = spelt + logprobs[place, token]
    return torch.stack(weights).softmax(0)


def typed_only(tokens: Tokens, typed: bytes, besides: Sequence[int] = ()) -> Tensor:
    """(n,) int64: those of `continuing_mask`'s tokens that say `typed` or less of it, and nothing new."""
    named = {*tokens.continuing(typed), *besides} if typed else ()
    return torch.tensor(
        sorted(token for token in named if len(tokens.token_bytes(token)) <= len(typed)), dtype=torch.int64
    )


def continuing_mask(tokens: Tokens, typed: bytes, besides: Sequence[int] = ()) -> Tensor | None:
    """(vocab,) bool: the tokens that say all of `typed`, and perhaps more, and those `besides`.

    None where nothing was typed, or no token is left.
    """
    allowed = [*tokens.continuing(typed), *besides]
    if not typed or not allowed:
        return None
    mask = torch.zeros(tokens.vocab_size, dtype=torch.bool)
    mask[allowed] = True
    return mask
