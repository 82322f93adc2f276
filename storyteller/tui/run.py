"""Opens the room on a terminal and returns the program's exit code. The engine's process starts first of all."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.config import Settings, load_settings
from storyteller.engine.client import EngineClient
from storyteller.engine.protocol import Load
from storyteller.errors import SettingsError
from storyteller.tui.log import set_up_log
from storyteller.tui.mixing import adapter_weights

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.port import Engine

_log = logging.getLogger(__name__)
_SETTLED_S: Final = 2.0  # after which everything that stays is loaded
_FAREWELL_S: Final = 0.3  # for the engine, when we were told to end


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says over the settings; None leaves the setting. `adapters`: `NAME`, `NAME=WEIGHT` or `none`."""

    model: str | None = None
    adapters: tuple[str, ...] = ()
    genre: str | None = None
    preset: str | None = None
    theme: str | None = None
    device: str | None = None
    dtype: str | None = None
    threads: int | None = None


def run(document: Path | None, options: Options = Options(), *, engine: Engine | None = None) -> int:  # noqa: B008
    """Open the room on `document` and stay until the writer leaves.

    Args:
        document: the file; None for a page without a name.
        options: what goes over the settings.
        engine: another engine than the usual child process.

    Returns:
        0, or 1 after a fault of ours, or 128 and the number of the signal that ended it.

    Raises:
        DocumentError: the document cannot be opened.
        SettingsError: an option has an unusable value.
    """
    gc.disable()
    warnings = [warning] if (warning := set_up_log()) else []
    settings, unusable = load_settings()
    settings = overridden(settings, options)
    return asyncio.run(_run(document, settings, options, engine or EngineClient(), [*warnings, *unusable]))


def overridden(settings: Settings, options: Options) -> Settings:
    """`settings` with what `options` says.

    Raises:
        SettingsError: an option has an unusable value.
    """
    said: dict[str, object] = {
        name: value
        for name, value in msgspec.structs.asdict(options).items()
        if value is not None and name in Settings.__struct_fields__
    }
    if "genre" in said:
        said["mix"] = None  # was made for what was written last
    try:
        return msgspec.convert({**msgspec.structs.asdict(settings), **said}, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"An option cannot be used: {error}.") from error


async def _run(
    document: Path | None, settings: Settings, options: Options, engine: Engine, warnings: list[str]
) -> int:
    asyncio.get_running_loop().call_later(_SETTLED_S, _collect_again)
    adapters = adapter_weights(options.adapters) if options.adapters else None
    loading = asyncio.create_task(engine.start(_load(settings)))
    await asyncio.sleep(0)  # let the child start before the heavier imports
    from storyteller.feedback.consent import refusals_in
    from storyteller.feedback.log import FeedbackLog
    from storyteller.feedback.writer import FeedbackWriter
    from storyteller.tui.app import StorytellerApp
    from storyteller.tui.signals import signals_answered

    def warn(sentence: str) -> None:
        app.say(sentence)

    feedback = FeedbackWriter(
        FeedbackLog(refusals=refusals_in(settings.consent, settings.refusals)), warn=warn
    )
    try:
        app = StorytellerApp(
            engine,
            document,
            settings,
            feedback,
            adapters=adapters,
            warnings=tuple(warnings),
        )
        with signals_answered(on_ending=app.end_by_signal, on_interrupt=app.interrupt):
            await app.run_async()
        return app.return_code or 0
    finally:
        loading.cancel()
        feedback.close_now()
        try:
            await asyncio.wait_for(engine.close(), _FAREWELL_S)
        except TimeoutError:
            _log.info("the engine was left behind; it ends with its standard input")


def _collect_again() -> None:
    """Switch the garbage collector on, and let it leave alone what the program consists of.

    Off until the room is painted it saves a sixth of that time (365 to 305 ms of processor time); what is frozen
    is not walked through again while the writer types.
    """
    gc.freeze()
    gc.enable()


def _load(settings: Settings) -> Load:
    return Load(
        id="room",
        model=settings.model,
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads,
        speculate=settings.speculate,
    )
