"""Continuations of some prompts, to be measured: with the same seed the same every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.protocol import Context, Generate, TakeDone
from storyteller.engine.settings import StopRules
from storyteller.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storyteller.engine.core import Core
    from storyteller.engine.protocol import AdapterWeight
    from storyteller.engine.settings import SamplerSettings


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is sampled: `takes` continuations of each prompt, take n of prompt m with seed `seed + m * takes + n`."""

    prompts: tuple[str, ...]
    takes: int
    max_tokens: int
    settings: SamplerSettings
    seed: int


class Sample(msgspec.Struct, frozen=True):
    """A continuation, without its prompt.

    Attributes:
        tokens: how many it has.
        ended: the model ended it, not its length.
    """

    text: str
    tokens: int
    ended: bool


def sample(
    core: Core,
    plan: Plan,
    adapters: Sequence[AdapterWeight] = (),
    progress: Callable[[float], None] = lambda _: None,
) -> list[Sample]:
    """The continuations of `plan`, prompt after prompt, by the model open in `core` with a mix of adapters.

    Raises:
        UserError: there is no prompt, or the plan cannot be served.
        AdapterError, EngineError: as `Core.generate`.
    """
    if not plan.prompts:
        raise UserError("There is no prompt to continue: the file is empty.")
    samples: list[Sample] = []
    for place, prompt in enumerate(plan.prompts):
        request = Generate(
            id="eval",
            context=Context(text=prompt),
            takes=plan.takes,
            settings=plan.settings,
            stop=StopRules(max_tokens=plan.max_tokens),
            seed=plan.seed + place * plan.takes,
            adapters=tuple(adapters),
            heal=False,
        )
        takes = [event for event in core.generate(request, CancelSignal()) if isinstance(event, TakeDone)]
        takes.sort(key=lambda take: take.take)
        samples += [Sample(take.text, len(take.ids), take.finish == "eos") for take in takes]
        progress((place + 1) / len(plan.prompts))
    return samples
