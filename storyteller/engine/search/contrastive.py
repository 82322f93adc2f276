"""Contrastive search: of the likeliest few tokens, the one least like what was said already.

Source: Su et al. 2022, "A Contrastive Framework for Neural Text Generation".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import normalize

from storyteller.engine.sampling.damage import normaliser
from storyteller.engine.sampling.take import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from storyteller.engine.decoder import Decoder


def contrastive_search(
    decoder: Decoder,
    prompt: Sequence[int],
    *,
    k: int,
    alpha: float,
    max_tokens: int,
    adjust: Callable[[Tensor, Sequence[Sequence[int]]], Tensor] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Choice]:
    """The tokens of one continuation, each final when it is yielded; the one that ends the document is the last.

    Each is the one of the `k` likeliest with the largest `(1 - alpha) * probability - alpha * likeness`,
    likeness being the largest cosine between its hidden state and that of a token before it; alpha 0 is
    greedy. Every token costs one `decode` of k lanes. Ends at `max_tokens`, at the end of the window, or
    once cancelled. `adjust` gets logits (1, vocab) and the history, prompt included.

    Raises:
        EngineError: the model's output is not a number.
        ValueError: the prompt is empty or longer than the window.
    """
    if not 0 < len(prompt) <= decoder.window:
        raise ValueError(f"a prompt of {len(prompt)} tokens does not fit a window of {decoder.window}")
    logits = decoder.prefill(prompt, k, keep_hidden=True)  # (vocab,)
    said = normalize(decoder.prompt_hidden(), dim=1)  # (positions, d), a row longer with every token
    history = list(prompt)
    for _ in range(min(max_tokens, decoder.window - len(prompt))):
        if cancelled():
            return
        logprobs = logits - normaliser(logits)
        scores = adjust(logits.unsqueeze(0), [history])[0] if adjust is not None else logits
        tokens, probabilities = _likeliest(scores, k)
        if not tokens:  # every token is forbidden: the text ends here
            yield Choice(decoder.eos, float(logprobs[decoder.eos]))
            return
        lanes = tokens + tokens[:1] * (k - len(tokens))
        rows = decoder.decode(lanes)[: len(tokens)]  # (candidates, vocab)
        hidden = normalize(decoder.hidden()[: len(tokens)], dim=1)  # (candidates, d)
        likeness = (hidden @ said.T).amax(dim=1)
        best = int(((1.0 - alpha) * probabilities - alpha * likeness).argmax())
        yield Choice(tokens[best], float(logprobs[tokens[best]]))
        if tokens[best] == decoder.eos:
            return
        history.append(tokens[best])
        said = torch.cat((said, hidden[best : best + 1]))
        logits = rows[best].clone()
        decoder.reorder([best] * k)


def _likeliest(scores: Tensor, k: int) -> tuple[list[int], Tensor]:
    """At most `k` possible tokens of `scores` (vocab,), and their probabilities."""
    best = scores.softmax(0).topk(min(k, len(scores)))
    possible = int((scores[best.indices] > -math.inf).sum())
    return best.indices[:possible].tolist(), best.values[:possible]
