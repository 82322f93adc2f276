"""How likely a model finds a text, token by token, whatever its length: windows that overlap by half.

Every token but those of the first half window is judged by at least half a window before it.
"""

from __future__ import annotations

import codecs
import math
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.cache import Trunk
from storyteller.engine.protocol import Scored, ScoredToken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storyteller.engine.network.model import Network
    from storyteller.engine.prompt.tokens import Tokens

_CHUNK: Final = 128  # rows whose logits exist at once: 26 MB for GPT-2's vocabulary


@torch.inference_mode()
def token_logprobs(
    network: Network, ids: Sequence[int], cancelled: Callable[[], bool] = lambda: False
) -> list[float]:
    """The log-probability of every one of `ids` but the first, given those before it; fewer once cancelled."""
    window = network.config.n_positions
    trunk = Trunk(network)
    logprobs: list[float] = []
    start = 0
    while len(logprobs) < len(ids) - 1:
        trunk.restart(network)
        end = min(start + window, len(ids) - 1)  # the last id is only foretold
        for chunk_start in range(start, end, _CHUNK):
            if cancelled():
                return logprobs
            chunk_end = min(chunk_start + _CHUNK, end)
            hidden = trunk.extend(ids[chunk_start:chunk_end])  # (n, d)
            known = len(logprobs) - chunk_start  # rows whose next token an earlier window has judged
            if known < len(hidden):
                rows = torch.log_softmax(network.logits(hidden[max(0, known) :]), dim=-1)
                targets = torch.tensor(ids[len(logprobs) + 1 : chunk_end + 1], device=rows.device)
                logprobs += rows.gather(1, targets[:, None])[:, 0].tolist()
        start += max(1, window // 2)
    return logprobs


def scored(request_id: str, ids: Sequence[int], logprobs: Sequence[float], tokens: Tokens) -> Scored:
    """The answer to a `Score`: `logprobs` of the first so many of a text's `ids`.

    The tokens' texts, joined, are the text: a character split over tokens stands with the last of them.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pieces = [tokens.token_bytes(token) for token in ids[: len(logprobs)]]
    texts = [decoder.decode(piece) for piece in pieces]
    loss = -math.fsum(logprobs)
    return Scored(
        id=request_id,
        tokens=tuple(map(ScoredToken, ids, texts, logprobs)),
        perplexity=math.exp(min(loss / max(1, len(logprobs)), 700.0)),
        bits_per_byte=loss / math.log(2) / max(1, sum(map(len, pieces))),
    )
