"""The writer's settings: one field each, documented and bounded here, kept in `config.toml`.

A bad value never stops the program: it gives a warning and its default.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_type_hints

import msgspec
from msgspec import Meta, structs

from storyteller.errors import SettingsError
from storyteller.paths import config_dir
from storyteller.toml_file import read_toml

if TYPE_CHECKING:
    from pathlib import Path

NO_ADAPTER: Final = "none"  # the model alone, where an adapter is named
NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,63}\Z"
"""What a genre, preset, theme or adapter may be called: nothing that could be a path or markup."""

WEIGHED_PATTERN: Final = NAME_PATTERN.removesuffix(r"\Z") + r"=\d{1,2}(\.\d{1,4})?\Z"
"""An adapter and how much of it: `noir=0.8`."""

Name = Annotated[str, Meta(pattern=NAME_PATTERN)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting a writer has. `description` is the documentation, and the comment written above it."""

    # the model

    model: Annotated[
        str | None,
        Meta(
            description="The model to open: a folder, or a name such as gpt2-large. Unset: the best one here."
        ),
    ] = None
    device: Annotated[
        str,
        Meta(pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)\Z", description="auto, cpu, cuda, cuda:1 or mps."),
    ] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16", "int8", "int4"],
        Meta(description="The numbers the model's weights are kept in; auto chooses by device and size."),
    ] = "auto"
    threads: Annotated[
        int, Meta(ge=0, le=1024, description="Processor threads for the model; 0 chooses.")
    ] = 0

    speculate: Annotated[
        bool,
        Meta(description="Guess tokens ahead where that is faster. The text is the same with and without."),
    ] = True

    # what Tab asks for

    genre: Annotated[
        str,
        Meta(pattern=NAME_PATTERN, description="The genre a new page starts in: a name from genres.toml."),
    ] = "stories"
    mix: Annotated[
        tuple[Annotated[str, Meta(pattern=WEIGHED_PATTERN)], ...] | None,
        Meta(description="Adapters as NAME=WEIGHT, in place of the genre's own; [] writes without any."),
    ] = None
    preset: Annotated[
        Name | None,
        Meta(description="Sampler settings by name. Unset: the genre's own."),
    ] = None
    takes: Annotated[
        int, Meta(ge=1, le=8, description="How many takes one Tab asks for; the first one is shown.")
    ] = 1
    braid_lanes: Annotated[
        int, Meta(ge=2, le=6, description="How many takes the braid streams side by side.")
    ] = 3
    max_tokens: Annotated[
        int, Meta(ge=1, le=1000, description="How long a take may grow, in tokens (a word is about 1.3).")
    ] = 60
    end_at_sentence: Annotated[bool, Meta(description="End takes on a whole sentence.")] = True

    # offers that come by themselves

    auto_offer: Annotated[bool, Meta(description="Offer a continuation after a pause, without Tab.")] = False
    auto_offer_delay_s: Annotated[
        float, Meta(ge=0.1, le=60, description="How long that pause is, in seconds.")
    ] = 0.8

    # the page

    theme: Annotated[
        Name,
        Meta(
            description="lamplight, paper, one of Textual's, or one of the themes folder.",
        ),
    ] = "lamplight"
    column_width: Annotated[
        int, Meta(ge=20, le=200, description="How wide the column of text is, in characters.")
    ] = 72
    focus: Annotated[bool, Meta(description="Open in focus mode: nothing but the page.")] = False
    typewriter: Annotated[bool, Meta(description="Keep the line being written in the middle.")] = False
    origin_colours: Annotated[
        bool, Meta(description="Show by colour what was typed, accepted, and accepted then edited.")
    ] = True
    hints: Annotated[bool, Meta(description="Show the line of keys at the bottom.")] = True

    # the file

    autosave_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="Save by itself after so many seconds without a key; 0 never does."),
    ] = 0

    # what is kept

    consent: Annotated[
        Literal["ask", "yes", "no"],
        Meta(description="Keep what is accepted and refused on this machine, to teach the model."),
    ] = "ask"
    refusals: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(genre|document):[0-9a-f]{32}\Z")], ...],
        Meta(description="Genres and documents of which nothing is kept, by hash: `feedback consent off`."),
    ] = ()

    # the day's work

    daily_goal: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Words to write in a day; 0 sets no goal.")
    ] = 0


_TYPES: Final = get_type_hints(Settings, include_extras=True)


def config_path() -> Path:
    """Where the settings are."""
    return config_dir() / "config.toml"


def describe(name: str) -> str:
    """What setting `name` does, in one sentence."""
    for part in getattr(_TYPES[name], "__metadata__", ()):
        if isinstance(part, Meta) and part.description:
            return part.description
    raise KeyError(name)


def load_settings(path: Path | None = None) -> tuple[Settings, list[str]]:
    """The settings in `path` (default: `config_path()`), and one warning for each value that was not usable.

    Never raises for the file's sake.
    """
    path = path or config_path()
    try:
        table = read_toml(path)
    except SettingsError as error:
        return Settings(), [f"{error.message} Until then every setting has its default."]
    good: dict[str, Any] = {}
    warnings = []
    for name, value in table.items():
        try:
            good[name] = check(name, value)
        except SettingsError as error:
            warnings.append(f"{path.name}: {error.message}")
    return Settings(**good), warnings


def changed(settings: Settings, **values: object) -> Settings:
    """`settings` with those of `values` that are not None.

    Raises:
        SettingsError: as `check`.
    """
    return structs.replace(
        settings, **{name: check(name, value) for name, value in values.items() if value is not None}
    )


def check(name: str, value: object) -> object:
    """`value` as setting `name` holds it.

    Raises:
        SettingsError: no such setting, or a value it does not allow; the message has no file in it.
    """
    if name not in _TYPES:
        near = get_close_matches(name, _TYPES, n=1)
        hint = f" Perhaps {near[0]}?" if near else ""
        raise SettingsError(f"there is no setting {name[:60]!r}.{hint}")
    try:
        return msgspec.convert(value, _TYPES[name])
    except msgspec.ValidationError as error:
        reason = "not a name" if "regex" in str(error) else str(error).replace("`", "")
        raise SettingsError(
            f"{name} = {repr(value)[:60]} is not usable ({reason}). {describe(name)}"
        ) from error


def save_setting(name: str, value: object, path: Path | None = None) -> None:
    """Set `name` to `value` in the settings file and leave its comments, order and other values alone.

    `None` removes the setting, which gives it its default again.

    Raises:
        SettingsError: no such setting, an unusable value, a file that is not TOML or cannot be written.
    """
    import tomlkit

    from storyteller.atomic import write_atomic

    if value is not None or name not in _TYPES:
        value = check(name, value)
    path = path or config_path()
    read_toml(path)  # refuses what must not be replaced: a damaged file is the writer's to mend
    try:
        existing = path.read_text(encoding="utf-8") if path.exists() else ""
        document = tomlkit.parse(existing)
        if value is None:
            document.pop(name, None)
        elif name in document:
            document[name] = value
        else:
            if document:
                document.add(tomlkit.nl())
            document.add(tomlkit.comment(describe(name)))
            document.add(name, tomlkit.item(value))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, tomlkit.dumps(document).encode("utf-8"))
    except OSError as error:
        raise SettingsError(
            f"{name} could not be kept: {path} cannot be written ({error.strerror or error})."
        ) from error
