"""The hint line: which acts are worth naming now, in a word or two each, with their keys. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from storyteller.tui.lines import Piece

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storyteller.tui.acts.act import Act
    from storyteller.tui.keymap import KeyMap

State = Literal[
    "idle",
    "loading",
    "streaming",
    "ready",
    "hidden",
    "braided",
    "selection",
    "finding",
    "replacing",
    "reading",
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
    "replacing": (),
}
FINDING: Final = {
    "finding": ("Enter next", "↑ previous", "Esc back"),
    "replacing": ("Enter next; replace it", "↑ previous", "^R replace all", "Tab other line", "Esc back"),
}
BRAID: Final = (
    ("braid.drop", "drop", 5),
    ("braid.replace", "replace", 4),
    ("braid.add", "add", 1),
    ("braid.left braid.right", "move", 3),
    ("braid.word-less braid.word-more", "word by word", 2),
    ("braid.leave", "back", 6),
)
TAKES: Final = (
    ("list.offer", "offer it", 7),
    ("list.all", "all takes", 5),
    ("list.compare", "compare", 4),
    ("list.copy", "copy", 2),
    ("list.drop", "drop", 3),
    ("list.undrop", "bring back", 1),
    ("list.leave", "back", 6),
)
TRAINING: Final = (
    ("training.start", 9),
    ("training.pause", 6),
    ("training.stop", 7),
    ("training.try", 5),
    ("training.resume", 6),
    ("training.new", 3),
    ("training.add", 6),
    ("training.forget", 2),
    ("training.genre", 4),
    ("training.leave", 8),
)
TRIAL: Final = (
    ("trial.use", "write with it", 7),
    ("trial.again", "another seed", 5),
    ("trial.less trial.more", "less, more of it", 4),
    ("trial.leave", "back", 6),
)
ALWAYS: Final = (("app.palette", ""), ("app.help", ""))


def hint_pieces(
    state: State, acts: Mapping[str, Act], keymap: KeyMap, *, leave_out: frozenset[str] = frozenset()
) -> tuple[list[Piece], list[Piece]]:
    """The left and right pieces of the hint line. Acts that do not exist or have no key are not named."""
    if state in FINDING:
        return [Piece(words, rank=-place) for place, words in enumerate(FINDING[state])], []
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


def braid_pieces(
    numbers: Sequence[int], acts: Mapping[str, Act], keymap: KeyMap
) -> tuple[list[Piece], list[Piece]]:
    """The hint line of the braid, whose lanes have these numbers."""
    first, last = (keymap.shown(acts[f"braid.keep-{number}"]) for number in (numbers[0], numbers[-1]))
    number_keys = first if first == last else f"{first}-{last}"
    keep = Piece(f"{number_keys} {keymap.shown(acts['braid.keep'])} keep", rank=90)
    return [keep, *key_pieces(BRAID, acts, keymap)], [Piece(keymap.shown(acts["app.help"]), rank=99)]


def takes_pieces(
    words: Mapping[str, str], acts: Mapping[str, Act], keymap: KeyMap
) -> tuple[list[Piece], list[Piece]]:
    """The hint line of the list of takes; `words` replaces those of an act by its id, `""` leaves it out."""
    named = [(act_id, words.get(act_id, usual), rank) for act_id, usual, rank in TAKES]
    left = key_pieces([item for item in named if item[1]], acts, keymap)
    return left, [Piece(keymap.shown(acts["app.help"]), rank=99)]


def training_pieces(
    words: Mapping[str, str], acts: Mapping[str, Act], keymap: KeyMap
) -> tuple[list[Piece], list[Piece]]:
    """The hint line of the training screen: the acts that have words, by their ids."""
    named = [(act_id, words[act_id], rank) for act_id, rank in TRAINING if act_id in words]
    return key_pieces(named, acts, keymap), [Piece(keymap.shown(acts["app.help"]), rank=99)]


def key_pieces(named: Sequence[tuple[str, str, int]], acts: Mapping[str, Act], keymap: KeyMap) -> list[Piece]:
    """Keys, words and their rank; several acts, with a blank between them, share the words."""
    return [
        Piece(f"{''.join(keymap.shown(acts[act_id]) for act_id in act_ids.split())} {words}", rank)
        for act_ids, words, rank in named
    ]
