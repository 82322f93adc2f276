"""The hint line: which acts are worth naming now, in a word or two each, with their keys. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from storyteller.tui.lines import Piece

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storyteller.tui.acts.act import Act
    from storyteller.tui.keymap import KeyMap

State = Literal["idle", "loading", "streaming", "ready", "hidden", "selection", "finding", "reading"]

HINTS: Final[Mapping[State, tuple[tuple[str, str], ...]]] = {
    "idle": (
        ("offer.tab", "write on"),
        ("offer.previous", "earlier take"),
        ("takes.braid", "braid"),
        ("view.genre", "genre"),
        ("file.save", "save"),
    ),
    "loading": (("offer.tab", "waits for the model"), ("file.save", "save")),
    "streaming": (
        ("offer.tab", "keep"),
        ("offer.word", "word"),
        ("offer.sentence", "sentence"),
        ("offer.give_back", "give back"),
        ("offer.another", "another"),
        ("offer.refuse", "hide"),
    ),
    "ready": (
        ("offer.tab", "keep"),
        ("offer.word", "word"),
        ("offer.sentence", "sentence"),
        ("offer.line", "line"),
        ("offer.give_back", "give back"),
        ("offer.another", "another"),
        ("takes.braid", "braid"),
        ("offer.refuse", "no"),
    ),
    "hidden": (("offer.tab", "show it again"), ("offer.refuse", "stop it")),
    "selection": (("edit.copy", "copy"), ("edit.cut", "cut"), ("edit.paste", "paste over it")),
    "finding": (("find.next", "next"), ("find.previous", "previous"), ("find.leave", "back to the page")),
    "reading": (("file.save_as", "save a copy"),),
}
ALWAYS: Final = (("app.palette", ""), ("app.help", ""))


def hint_pieces(
    state: State, acts: Mapping[str, Act], keymap: KeyMap, *, leave_out: frozenset[str] = frozenset()
) -> tuple[list[Piece], list[Piece]]:
    """The left and right pieces of the hint line. Acts that do not exist or have no key are not named."""
    named = [item for item in HINTS[state] if item[0] not in leave_out]
    left = [
        Piece(f"{key} {word}", rank=len(named) - place)
        for place, (act_id, word) in enumerate(named)
        if act_id in acts and (key := keymap.shown(acts[act_id]))
    ]
    right = [
        Piece(key, rank=99)
        for act_id, _ in ALWAYS
        if act_id in acts and (key := keymap.shown(acts[act_id]))
    ]
    return left, right
