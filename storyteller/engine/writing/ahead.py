"""One take written where the model is, some tokens ahead of whoever reads it: for settings that need no history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storyteller.engine.sampling import Choice, uniform
from storyteller.engine.sampling.on_device import needs_no_history, scores_added

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from storyteller.engine.prompt.tokens import Tokens
    from storyteller.engine.settings import SamplerSettings
    from storyteller.engine.writing.lanes import Lanes
    from storyteller.engine.writing.take import Take


def can_run_ahead(lanes: Lanes, take: Take, settings: SamplerSettings) -> bool:
    """Whether `take`, the only one of `lanes`, can be written on the device."""
    return lanes.runs_ahead and not take.still_typed and needs_no_history(settings)


def run_ahead(
    lanes: Lanes, take: Take, tokens: Tokens, settings: SamplerSettings, most: int
) -> Iterator[Choice]:
    """The next tokens of `take`, at most `most` and as many as the window has room for.

    After each, the lane holds all tokens of the take but that one, and the take's chances are used up to there: to
    stop reading is to stop writing.
    """
    count = min(most, lanes.window - lanes.length(0))
    generator = take.sampler.generator
    here = generator.get_state()
    chances = [uniform(generator) for _ in range(count)] if settings.temperature else [0.0] * count
    generator.set_state(here)
    added: torch.Tensor = scores_added(settings, tokens.unused, lanes.network.config.vocab_size)
    for token, logprob in lanes.write_ahead(take.ids, chances, added, settings):
        if settings.temperature:
            uniform(generator)
        yield Choice(token, logprob)
