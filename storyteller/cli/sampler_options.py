"""One command-line option for each field of `SamplerSettings`, made from the struct itself."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
import typer
from msgspec.structs import fields

from storyteller.engine.presets import allowed, explain
from storyteller.engine.settings import SamplerSettings
from storyteller.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

_PANEL: Final = "Sampler settings, on top of the preset's"


def with_sampler_options(command: Callable[..., int]) -> Callable[..., int]:
    """`command` with its `**sampler` replaced by an option for every sampler setting, None where it is not given."""
    signature = inspect.signature(command, eval_str=True)
    own = [item for item in signature.parameters.values() if item.kind is not item.VAR_KEYWORD]
    made = [_parameter(field) for field in fields(SamplerSettings)]
    command.__signature__ = signature.replace(parameters=[*own, *made])  # type: ignore[attr-defined]  # how inspect lets it be said
    command.__annotations__ = {item.name: item.annotation for item in [*own, *made]}
    return command


def settings_from(base: SamplerSettings, given: dict[str, Any]) -> SamplerSettings:
    """`base` with the options that were given.

    Raises:
        SettingsError: a value outside what its setting allows; it names the option.
    """
    chosen = base
    for name, value in given.items():
        if value is not None:
            chosen = _with(chosen, name, value)
    return chosen


def unescape(text: str) -> str:
    r"""`\n`, `\t` and `\\` as the characters they stand for: a shell has no easy way to say them."""
    return text.replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t").replace("\0", "\\")


def option_name(setting: str) -> str:
    """`top_p` is `--top-p`."""
    return f"--{setting.replace('_', '-')}"


def _parameter(field: msgspec.structs.FieldInfo) -> inspect.Parameter:
    option = option_name(field.name)
    kind = _kind(field.type)
    declaration = f"{option}/--no-{option[2:]}" if kind is bool else option
    more = " Repeat for more." if kind == list[str] else ""
    info = typer.Option(
        declaration,
        metavar=None if kind is bool else _metavar(field.type),
        help=explain(field.name) + more,
        rich_help_panel=_PANEL,
        show_default=False,
    )
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, info]
    )


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _kind(annotation: Any) -> Any:
    """What typer is to parse: bool, int and float as themselves, collections as repeated options, else a text."""
    kind = _bare(annotation)
    if kind in {bool, int, float}:
        return kind
    return list[str] if get_origin(kind) in {tuple, dict} else str


def _metavar(annotation: Any) -> str:
    kind = _bare(annotation)
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    if get_origin(kind) is dict:
        return "TOKEN=BIAS"
    if get_origin(kind) is tuple:
        return "TOKEN" if get_args(kind)[0] is int else "TEXT"
    return {int: "N", float: "X"}.get(kind, "TEXT")


def _with(settings: SamplerSettings, name: str, value: Any) -> SamplerSettings:
    annotation = next(field.type for field in fields(SamplerSettings) if field.name == name)
    try:
        converted = msgspec.convert(_parsed(annotation, value), annotation)
    except (msgspec.ValidationError, ValueError):
        usable = False
    else:
        numbers = converted.values() if isinstance(converted, dict) else (converted,)
        usable = all(math.isfinite(number) for number in numbers if isinstance(number, float))
    if not usable:
        raise SettingsError(
            f"{option_name(name)} {_shown(value)}: it may only be {_allowed(name, annotation)}."
        )
    return msgspec.structs.replace(settings, **{name: converted})


def _allowed(name: str, annotation: Any) -> str:
    match _metavar(annotation):
        case "TOKEN=BIAS":
            return "a token's number, = and a number, such as 198=-1.5"
        case "TOKEN":
            return "a token's number"
        case _:
            return allowed(name)


def _parsed(annotation: Any, value: Any) -> Any:
    kind = _bare(annotation)
    if get_origin(kind) is dict:
        pairs = [item.rpartition("=") for item in value]
        return {int(token): float(bias) for token, _, bias in pairs}
    if get_origin(kind) is tuple:
        return tuple(int(item) if get_args(kind)[0] is int else unescape(item) for item in value)
    return value


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
