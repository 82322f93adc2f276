"""A `Decoder` without a cache: transformers' GPT-2 run over the whole text for every token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


def tiny_gpt2(seed: int = 0, *, vocab_size: int = 61, eos: int = 0, n_positions: int = 48) -> Any:
    """A random GPT-2, of weights large enough that it prefers some tokens to others."""
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=n_positions,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=eos,
        eos_token_id=eos,
        pad_token_id=eos,
        initializer_range=0.4,
        attn_pdrop=0.0,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
    )
    model: Any = GPT2LMHeadModel(config)
    return model.eval()


class NaiveDecoder:
    """Fits `storyteller.engine.decoder.Decoder`."""

    def __init__(self, model: Any, *, eos: int | None = None, window: int | None = None) -> None:
        self._model = model
        self.window = window if window is not None else int(model.config.n_positions)
        self.eos = eos if eos is not None else int(model.config.eos_token_id)
        self.decoded = 0
        self._lanes: list[list[int]] = []
        self._hidden = torch.empty(0)
        self._prompt_hidden: Tensor | None = None

    def prefill(self, ids: Sequence[int], lanes: int, *, keep_hidden: bool = False) -> Tensor:
        assert 0 < len(ids) <= self.window
        self._lanes = [list(ids) for _ in range(lanes)]
        hidden, logits = self._run([list(ids)])
        self._prompt_hidden = hidden[0] if keep_hidden else None
        return logits[0, -1]

    def decode(self, tokens: Sequence[int]) -> Tensor:
        assert len(tokens) == len(self._lanes)
        self.decoded += 1
        for lane, token in zip(self._lanes, tokens, strict=True):
            lane.append(token)
        assert len(self._lanes[0]) <= self.window
        hidden, logits = self._run(self._lanes)
        self._hidden = hidden[:, -1]
        return logits[:, -1]

    def reorder(self, parents: Sequence[int]) -> None:
        assert len(parents) == len(self._lanes)
        self._lanes = [list(self._lanes[parent]) for parent in parents]

    def hidden(self) -> Tensor:
        return self._hidden

    def prompt_hidden(self) -> Tensor:
        assert self._prompt_hidden is not None
        return self._prompt_hidden

    @torch.inference_mode()
    def _run(self, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        hidden = self._model.transformer(torch.tensor(rows)).last_hidden_state
        return hidden, self._model.lm_head(hidden)
