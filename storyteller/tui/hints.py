"""The hint line: which acts are worth naming now, in a word or two each, with their keys. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from storyteller.tui.lines import Piece

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storyteller.tui.acts.act import Act
    from storyteller.tui.keymap import KeyMap

State = Literal[
    "idle", "loading", "streaming", "ready", "hidden", "braided", "selection", "finding", "reading"
]

HINTS: Final[Mapping[State, tuple[tuple[str, str], ...]]] = {
    "idle": (
        ("page.continue", "write on"),
        ("offer.previous", "earlier take"),
        ("takes.braid", "braid"),
        ("takes.list", "takes"),
        ("view.genre", "genre"),
        ("view.manner", "manner"),
        ("file.save", "save"),
    ),
    "loading": (("page.continue", "waits for the model"), ("file.save", "save")),
    "streaming": (
        ("page.accept", "keep"),
        ("page.accept-word", "word"),
        ("page.accept-sentence", "sentence"),
        ("page.give-back", "give back"),
        ("page.another", "another"),
        ("page.escape", "hide"),
    ),
    "ready": (
        ("page.accept", "keep"),
        ("page.accept-word", "word"),
        ("page.accept-sentence", "sentence"),
        ("page.accept-line", "line"),
        ("page.give-back", "give back"),
        ("page.another", "another"),
        ("offer.previous", "previous"),
        ("takes.braid", "braid"),
        ("takes.list", "takes"),
        ("page.escape", "no"),
    ),
    "hidden": (("page.continue", "show it"), ("page.escape", "stop it")),
    "braided": (("takes.braid", "show them"), ("page.escape", "stop them")),
    "selection": (("page.copy", "copy"), ("page.cut", "cut"), ("page.paste", "paste over it")),
    "reading": (("file.save_as", "save a copy"),),
    "finding": (),
}
FINDING: Final = ("Enter next", "↑ previous", "^R replace all", "Esc back")
ALWAYS: Final = (("app.palette", ""), ("app.help", ""))


def hint_pieces(
    state: State, acts: Mapping[str, Act], keymap: KeyMap, *, leave_out: frozenset[str] = frozenset()
) -> tuple[list[Piece], list[Piece]]:
    """The left and right pieces of the hint line. Acts that do not exist or have no key are not named."""
    if state == "finding":
        return [Piece(words, rank=-place) for place, words in enumerate(FINDING)], []
    named = [item for item in HINTS[state] if item[0] not in leave_out]
    left = [
        Piece(f"{key} {word}", rank=len(named) - place)
        for place, (act_id, word) in enumerate(named)
        if act_id in acts and (key := keymap.shown(acts[act_id]))
    ]
    right = [
        Piece(key, rank=99) for act_id, _ in ALWAYS if act_id in acts and (key := keymap.shown(acts[act_id]))
    ]
    return left, right
