"""What guessing ahead gains, and that it never costs: the same texts with and without, by turns, in one process."""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.core import Core
from storyteller.engine.protocol import Context, Generate, Load, Token
from storyteller.engine.settings import SamplerSettings, StopRules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

REPETITIVE_BOUND: Final = 1.5
WORST_BOUND: Final = 0.95
_REFRAIN: Final = (
    "The bell rang once, and nobody came.\nThe bell rang twice, and nobody came.\n"
    "The bell rang three times, and nobody came.\n"
) * 4
_LIST: Final = "- a loaf of bread\n- a loaf of cheese\n- a loaf of butter\n" * 6
_OPENING: Final = "The old lighthouse keeper opened the door and"
_CASES: Final = (  # name, repetitive, prompt, temperature
    ("a refrain, greedy", True, _REFRAIN, 0.0),
    ("a list, temperature 0.3", True, _LIST, 0.3),
    ("prose, temperature 0.8", False, _OPENING, 0.8),
    ("prose, temperature 1", False, _OPENING, 1.0),
)


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of text: tokens a second of all takes with and without guesses, and the median ratio of the rounds."""

    text: str
    repetitive: bool
    takes: int
    tokens_per_s: float
    without: float
    ratio: float
    right: float  # share of guesses that were

    @property
    def passes(self) -> bool:
        """Whether it is as fast as promised."""
        return self.ratio >= (REPETITIVE_BOUND if self.repetitive else WORST_BOUND)


def main(model: Path, *, dtype: str, threads: int, takes: Sequence[int], rounds: int, as_json: bool) -> int:
    """Measure and print. Returns 1 where a bound was missed."""
    core = Core()
    list(core.load(Load(id="bench", model=str(model), dtype=dtype, threads=threads)))  # type: ignore[arg-type] # checked by the caller
    gains = []
    for count in takes:
        for name, repetitive, prompt, temperature in _CASES:
            settings = SamplerSettings(temperature=temperature, loop_guard=False)
            gain = _measure(core, name, prompt, settings, count, rounds, repetitive=repetitive)
            gains.append(gain)
            if as_json:
                print(json.dumps(msgspec.to_builtins(gain) | {"passes": gain.passes}), flush=True)
            else:
                print(
                    f"{'pass' if gain.passes else 'FAIL'}  {gain.ratio:5.2f}x  {gain.tokens_per_s:7.1f} tok/s, without "
                    f"{gain.without:7.1f}  {gain.right:4.0%} right  {count} take{'s' * (count > 1)}: {name}",
                    flush=True,
                )
    return 0 if all(gain.passes for gain in gains) else 1


def _measure(
    core: Core,
    name: str,
    prompt: str,
    settings: SamplerSettings,
    takes: int,
    rounds: int,
    *,
    repetitive: bool,
) -> Gain:
    fast, plain, ratios = [], [], []
    judgement = core.opened.judgement
    guessed, right = judgement.guessed, judgement.right
    for number in range(rounds + 1):
        order = (True, False) if number % 2 else (False, True)
        speeds = {on: _speed(core, prompt, settings, takes, seed=number, speculates=on) for on in order}
        if number:  # the first round warms up
            fast.append(speeds[True])
            plain.append(speeds[False])
            ratios.append(speeds[True] / speeds[False])
    return Gain(
        text=name,
        repetitive=repetitive,
        takes=takes,
        tokens_per_s=statistics.median(fast),
        without=statistics.median(plain),
        ratio=statistics.median(ratios),
        right=(judgement.right - right) / max(1, judgement.guessed - guessed),
    )


def _speed(
    core: Core, prompt: str, settings: SamplerSettings, takes: int, *, seed: int, speculates: bool
) -> float:
    """Tokens a second of all takes, from the first token to the last."""
    core.opened.speculates = speculates
    request = Generate(
        id="bench",
        context=Context(text=prompt),
        takes=takes,
        seed=seed,
        settings=settings,
        stop=StopRules(max_tokens=200),
    )
    stamps = [
        time.perf_counter() for event in core.generate(request, CancelSignal()) if isinstance(event, Token)
    ]
    return (len(stamps) - takes) / max(1e-9, stamps[-1] - stamps[0])
