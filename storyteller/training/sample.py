"""What the model writes as it learns: always after the same words, with the same chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from storyteller.engine.prompt.tokens import Tokens
    from storyteller.training.data import Pieces
    from storyteller.training.network import Learner

_SEED: Final = 7
_PROMPT: Final = 12  # tokens of a text held out
_LENGTH: Final = 48  # tokens


def sampler(
    learner: Learner, tokens: Tokens, pieces: Pieces, device: torch.device
) -> Callable[[], tuple[str, str]]:
    """A function that returns the prompt, the first words of a held-out text, and what the model makes of them now.

    Chance elsewhere goes on as if it had not been asked.
    """
    start = [token for token in pieces.held_out[0][:_PROMPT] if token != tokens.eos] or [tokens.eos]

    @torch.no_grad()
    def write() -> tuple[str, str]:
        model = learner.model
        model.eval()
        try:
            with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
                torch.manual_seed(_SEED)
                ids = torch.tensor([[tokens.eos, *start]], device=device)
                written = model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    do_sample=True,
                    temperature=0.9,
                    top_k=40,
                    top_p=1.0,
                    max_new_tokens=min(_LENGTH, learner.window - ids.shape[1]),
                    eos_token_id=tokens.eos,
                    pad_token_id=tokens.eos,
                )
        finally:
            model.train()
        new = [token for token in written[0, ids.shape[1] :].tolist() if token != tokens.eos]
        return tokens.decode(start), tokens.decode(new)

    return write
