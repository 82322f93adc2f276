"""How the model is asked to write: genre, preset, and what the writer changed on top. Pure values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.errors import SettingsError

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

LENGTHS: Final = (10, 20, 30, 40, 60, 80, 100, 130, 160, 200, 250, 300, 400)  # tokens


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """What every request of the room carries."""

    genre: str
    header: str = ""  # the genre's prompt hint
    preset: str
    preset_settings: SamplerSettings
    settings: SamplerSettings  # the preset's, with the writer's changes
    max_tokens: int = 60
    end_at_sentence: bool = True

    @property
    def name(self) -> str:
        """The preset's name for the status line; a star says that it was changed."""
        return self.preset if self.settings == self.preset_settings else f"{self.preset}*"

    @property
    def stop(self) -> StopRules:
        """When a take ends."""
        return StopRules(max_tokens=self.max_tokens, end_at_sentence=self.end_at_sentence)


class Slider(msgspec.Struct, frozen=True):
    """One of the three: where it stands among its `steps`, and what that is in words."""

    name: str
    about: str
    step: int
    steps: int
    shown: str


_TEMPERATURES: Final = tuple(round(0.1 + 0.05 * step, 2) for step in range(39))  # 0.1 to 2.0
_PENALTIES: Final = tuple(round(1.0 + 0.02 * step, 2) for step in range(21))  # 1.0 to 1.4


def sliders(manner: Manner) -> tuple[Slider, Slider, Slider]:
    """The three sliders as they stand."""
    settings = manner.settings
    return (
        Slider(
            "randomness",
            "low keeps to the likely, high surprises",
            _nearest(_TEMPERATURES, settings.temperature),
            len(_TEMPERATURES),
            f"{settings.temperature:.2f}",
        ),
        Slider(
            "length",
            "how far one Tab goes",
            _nearest(LENGTHS, manner.max_tokens),
            len(LENGTHS),
            f"about {round(manner.max_tokens / 1.3)} words",
        ),
        Slider(
            "repetition",
            "how hard it is held back from saying a word again",
            _nearest(_PENALTIES, settings.repetition_penalty),
            len(_PENALTIES),
            f"{settings.repetition_penalty:.2f}",
        ),
    )


def slid(manner: Manner, name: str, by: int) -> Manner:
    """`manner` with slider `name` moved `by` steps, as far as it goes."""
    match name:
        case "randomness":
            value = _moved(_TEMPERATURES, manner.settings.temperature, by)
            return _with(manner, temperature=value)
        case "repetition":
            return _with(manner, repetition_penalty=_moved(_PENALTIES, manner.settings.repetition_penalty, by))
        case "length":
            return msgspec.structs.replace(manner, max_tokens=int(_moved(LENGTHS, manner.max_tokens, by)))
    raise ValueError(name)


def diced(manner: Manner, rng: random.Random) -> Manner:
    """`manner` with sampler settings drawn from what has worked: never incoherent, never a loop."""
    temperature = round(rng.uniform(0.7, 1.25), 2)
    return _with(
        manner,
        method="sample",
        temperature=temperature,
        min_p=round(rng.uniform(0.03, 0.1) * temperature, 3),
        top_p=rng.choice((1.0, 0.95, 0.9)),
        top_k=0,
        typical_p=rng.choice((1.0, 1.0, 0.95)),
        xtc_probability=rng.choice((0.0, 0.0, 0.3)),
        repetition_penalty=round(rng.uniform(1.0, 1.12), 2),
        dry_multiplier=rng.choice((0.0, 0.8)),
    )


def changed(manner: Manner, name: str, written: str) -> Manner:
    """`manner` with sampler setting `name` as a person writes it: `0.8`, `yes`, `"a", "b"`.

    Raises:
        SettingsError: not usable; it says what is allowed.
    """
    fields = msgspec.to_builtins(manner.settings)
    current = fields[name]
    value: object = written.strip()
    if isinstance(current, bool):
        value = {"yes": True, "no": False, "true": True, "false": False}.get(written.strip().casefold(), value)
    try:
        if not isinstance(current, (bool, str)):
            value = msgspec.json.decode(_as_json(written, current))
        settings = msgspec.convert({**fields, name: value}, SamplerSettings, str_keys=True)
    except msgspec.MsgspecError as error:
        raise SettingsError(f"{name}: {error}.".replace("..", ".")) from error
    return msgspec.structs.replace(manner, settings=settings)


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
            return msgspec.json.encode(value).decode() if value else ""
        case _:
            return f"{value:g}"


def _as_json(written: str, current: object) -> bytes:
    text = written.strip()
    if isinstance(current, list) and not text.startswith("["):
        text = f"[{text}]"
    if isinstance(current, dict) and not text:
        text = "{}"
    return text.encode("utf-8", "replace")


def _with(manner: Manner, **changes: object) -> Manner:
    return msgspec.structs.replace(manner, settings=msgspec.structs.replace(manner.settings, **changes))


def _nearest(values: Sequence[float], value: float) -> int:
    return min(range(len(values)), key=lambda index: abs(values[index] - value))


def _moved(values: Sequence[float], value: float, by: int) -> float:
    return values[max(0, min(len(values) - 1, _nearest(values, value) + by))]
