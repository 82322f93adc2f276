"""How the model is asked to write: genre, preset, and what the writer changed on top. Pure values."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from storyteller.engine.explain import allowed
from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.engine.sliders import MIDDLE, draw_preset, from_sliders
from storyteller.errors import SettingsError

if TYPE_CHECKING:
    import random

    from storyteller.engine.presets import Preset

LENGTHS: Final = (10, 20, 30, 40, 60, 80, 100, 130, 160, 200, 250, 300, 400)  # tokens
STEPS: Final = 21  # positions of the sliders for randomness and repetition; the middle one is the preset's
_TOKENS_PER_WORD: Final = 1.3


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """What every request of the room carries.

    Attributes:
        base: the preset's settings, or what a die or the writer made of them.
        randomness, repetition: the sliders, 0 to 1; 0.5 leaves `base` as it is.
    """

    genre: str
    header: str = ""  # the genre's prompt hint
    preset: Preset
    base: SamplerSettings
    randomness: float = MIDDLE
    repetition: float = MIDDLE
    max_tokens: int = 60
    end_at_sentence: bool = True

    @property
    def settings(self) -> SamplerSettings:
        """What the sampler is told."""
        return from_sliders(self.base, self.randomness, self.repetition)

    @property
    def name(self) -> str:
        """The preset's name for the status line; a star says that it was changed."""
        return self.preset.name if self.settings == self.preset.settings else f"{self.preset.name}*"

    @property
    def stop(self) -> StopRules:
        """When a take ends."""
        return StopRules(max_tokens=self.max_tokens, end_at_sentence=self.end_at_sentence)


class Slider(msgspec.Struct, frozen=True):
    """One of the three: its name, what it does, where it stands from 0 to 1, and that in words."""

    name: str
    about: str
    place: float
    shown: str


def sliders(manner: Manner) -> tuple[Slider, Slider, Slider]:
    """The three sliders as they stand."""
    settings = manner.settings
    chance = f"temperature {settings.temperature:g}" if settings.method == "sample" else settings.method
    words = round(manner.max_tokens / _TOKENS_PER_WORD / 5) * 5
    length = LENGTHS.index(_nearest(manner.max_tokens)) / (len(LENGTHS) - 1)
    return (
        Slider(
            "randomness",
            "left: the likely word; right: the surprising",
            manner.randomness,
            chance,
        ),
        Slider("length", "how far one Tab goes", length, f"about {words} words"),
        Slider(
            "repetition",
            "left: free to repeat; right: held back",
            manner.repetition,
            f"penalty {settings.repetition_penalty:g}, DRY {settings.dry_multiplier:g}",
        ),
    )


def slid(manner: Manner, name: str, by: int) -> Manner:
    """`manner` with slider `name` moved `by` steps, as far as it goes."""
    match name:
        case "randomness":
            return replace(manner, randomness=_stepped(manner.randomness, by))
        case "repetition":
            return replace(manner, repetition=_stepped(manner.repetition, by))
        case "length":
            index = LENGTHS.index(_nearest(manner.max_tokens)) + by
            return replace(manner, max_tokens=LENGTHS[max(0, min(len(LENGTHS) - 1, index))])
    raise ValueError(name)


def with_preset(manner: Manner, preset: Preset) -> Manner:
    """`manner` with all of `preset`, the sliders back in their middles."""
    return replace(manner, preset=preset, base=preset.settings, randomness=MIDDLE, repetition=MIDDLE)


def diced(manner: Manner, rng: random.Random) -> Manner:
    """`manner` with settings by chance, of a kind that writes well."""
    return replace(manner, base=draw_preset(rng), randomness=MIDDLE, repetition=MIDDLE)


def changed(manner: Manner, name: str, written: str) -> Manner:
    """`manner` with sampler setting `name` as a person writes it: `0.8`, `yes`, `"a", "b"`.

    Raises:
        SettingsError: not usable; it says what is allowed.
    """
    current = getattr(manner.settings, name)
    fields = msgspec.to_builtins(manner.settings, str_keys=True)
    try:
        value = _read(written.strip(), current)
        settings = msgspec.convert({**fields, name: value}, SamplerSettings, str_keys=True, strict=False)
    except (msgspec.MsgspecError, tomllib.TOMLDecodeError, ValueError) as error:
        raise SettingsError(f"{name.replace('_', ' ').capitalize()} may only be {allowed(name)}.") from error
    return replace(manner, base=settings, randomness=MIDDLE, repetition=MIDDLE)


def shown_value(value: object) -> str:
    """A setting's value as `changed` reads it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case tuple():
            return ", ".join(msgspec.json.encode(item).decode() for item in value)
        case dict():
            return ", ".join(f'"{token}" = {bias:g}' for token, bias in value.items())
        case _:
            return f"{value:g}"


def _read(written: str, current: object) -> object:
    match current:
        case bool():
            return {"yes": True, "no": False}.get(written.casefold(), written)
        case str():
            return written
        case tuple():
            written = written if written.startswith("[") else f"[{written}]"
        case dict():
            written = written if written.startswith("{") else f"{{ {written} }}"
    return tomllib.loads(f"value = {written}")["value"]


def _stepped(place: float, by: int) -> float:
    step = round(place * (STEPS - 1)) + by
    return max(0, min(STEPS - 1, step)) / (STEPS - 1)


def _nearest(tokens: int) -> int:
    return min(LENGTHS, key=lambda length: abs(length - tokens))
