"""How the model writes: genre, preset, settings; offers that come by themselves; and what may be learned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from storyteller.engine.presets import load_presets
from storyteller.engine.protocol import AdapterWeight
from storyteller.errors import SettingsError
from storyteller.feedback.consent import EVERYTHING, Scope
from storyteller.genres import load_genres
from storyteller.tui.acts.act import Act
from storyteller.tui.mixing import Mix

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from storyteller.tui.room import Room


async def pick_genre(room: Room) -> None:
    """Choose the genre the model writes in from here on, or mix adapters by their faders."""
    from storyteller.tui.dialogs.genre import GenrePicker
    from storyteller.tui.dialogs.picker import Row

    app = room.storyteller
    try:
        genres, presets = load_genres(), load_presets()
    except SettingsError as error:
        room.say(error.message, alarm=True)
        return
    await app.refresh_adapters()
    mix = Mix(app.model.ready.adapters if app.model.ready else (), room.prompter.adapters)
    rows = [Row(genre.name, genre.title, f"preset {genre.preset}") for genre in genres.values()]
    rows += [Row(name, name, "an adapter") for name in mix.weights if name not in genres]
    picked = await room.asked(GenrePicker(rows, picked=room.manner.genre, mix=mix))
    if picked is None:
        return
    if mix.moved:
        room.mix(mix.adapters)
    elif picked in genres:
        own = app.settings.preset  # chosen by the writer, it stays
        room.mix(None)
        room.use_genre(genres[picked], presets.get(genres[picked].preset) if own is None else None)
        app.keep_setting("genre", picked)
    else:
        room.mix((AdapterWeight(picked),))


async def change_manner(room: Room) -> None:
    """Preset, sliders, and everything behind them."""
    from storyteller.tui.dialogs.manner import MannerDialog

    try:
        presets = load_presets()
    except SettingsError as error:
        room.say(error.message, alarm=True)
        return
    manner = await room.asked(MannerDialog(room.manner, presets))
    if manner is None:
        return
    if manner.preset.name != room.manner.preset.name:
        room.storyteller.keep_setting("preset", manner.preset.name)
    if manner.max_tokens != room.manner.max_tokens:
        room.storyteller.keep_setting("max_tokens", manner.max_tokens)
    room.manner = manner
    room.await_prepare()
    room.refresh_lines()


def toggle_auto_offer(room: Room) -> None:
    """Offers after a pause, without Tab, or not."""
    on = not room.storyteller.settings.auto_offer
    room.storyteller.keep_setting("auto_offer", on)
    room.say("Offers come by themselves after a pause." if on else "Offers come with Tab only.")


def toggle_whole_sentences(room: Room) -> None:
    """End takes on a whole sentence, or wherever they end."""
    room.manner = replace(room.manner, end_at_sentence=not room.manner.end_at_sentence)
    room.storyteller.keep_setting("end_at_sentence", room.manner.end_at_sentence)
    room.say("Takes end on a whole sentence." if room.manner.end_at_sentence else "Takes end where they end.")


def _consent(scope_of: Callable[[Room], Scope], *, on: bool, words: str) -> Callable[[Room], Awaitable[None]]:
    async def set_consent(room: Room) -> None:
        app = room.storyteller
        scope = scope_of(room)
        if not await app.feedback.set_consent(scope, on=on):
            room.say("That could not be noted; nothing is kept for now.", alarm=True)
            return
        if scope == EVERYTHING:
            app.keep_setting("consent", "yes" if on else "no")
        app.keep_refusals()
        room.say(words)

    return set_consent


def _everything(_room: Room) -> Scope:
    return EVERYTHING


def _genre(room: Room) -> Scope:
    return Scope.of_genre(room.manner.genre)


def _document(room: Room) -> Scope:
    return Scope.of_document(room.document_name)


WRITING_ACTS: Final = (
    Act(
        "view.genre",
        "Genre",
        pick_genre,
        "ctrl+g",
        about="What kind of text the model writes; several adapters mixed.",
    ),
    Act(
        "view.manner",
        "How the model writes",
        change_manner,
        "f5",
        about="Preset, randomness, length, repetition.",
    ),
    Act("view.auto", "Offers that come by themselves", toggle_auto_offer),
    Act("view.sentences", "Takes that end on a whole sentence", toggle_whole_sentences),
    Act(
        "feedback.on",
        "Learn from what I keep and refuse",
        _consent(
            _everything,
            on=True,
            words="What you keep and refuse is kept on this machine, to teach the model.",
        ),
    ),
    Act(
        "feedback.off",
        "Learn nothing any more",
        _consent(
            _everything,
            on=False,
            words="Nothing more is kept. `storyteller feedback purge --all` erases what was.",
        ),
    ),
    Act(
        "feedback.genre_on",
        "Learn from this genre",
        _consent(_genre, on=True, words="This genre may be learned from."),
    ),
    Act(
        "feedback.genre_off",
        "Learn nothing from this genre",
        _consent(_genre, on=False, words="Nothing of this genre is kept from now on."),
    ),
    Act(
        "feedback.document_on",
        "Learn from this document",
        _consent(_document, on=True, words="This document may be learned from."),
    ),
    Act(
        "feedback.document_off",
        "Learn nothing from this document",
        _consent(_document, on=False, words="Nothing of this document is kept from now on."),
    ),
)
