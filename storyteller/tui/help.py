"""The help screen's text, made from the acts and the keys they have now. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from textual.content import Content

from storyteller.tui.keymap import shown_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.tui.acts.act import Act
    from storyteller.tui.keymap import KeyMap

_GROUPS: Final = {
    "offer": "What the model offers",
    "takes": "Takes",
    "edit": "Writing",
    "select": "Selecting",
    "move": "Moving about",
    "find": "Finding",
    "file": "The file",
    "view": "The room",
    "learn": "Teaching the model",
    "feedback": "What the model learns from",
    "app": "The program",
    "braid": "In the braid",
    "list": "In the list of takes",
    "training": "While a genre is trained",
    "trial": "Beside the base",
}
_OPENING: Final = (
    "Write. Press Tab and the model writes on, dimmed: keep all of it, a word, a sentence or a line, "
    "or type on: letters that match walk into it, any other sends it away. Nothing of it is in your text until you keep "
    "it. The keys below can be changed: “Change the keys” in the palette says how."
)


def help_text(acts: Sequence[Act], keymap: KeyMap) -> Content:
    """Everything a writer can do, by group, with its keys."""
    parts: list[str | tuple[str, str]] = [_OPENING]
    group = ""
    for act in sorted(acts, key=lambda act: list(_GROUPS).index(act.section)):
        if act.section != group:
            group = act.section
            parts += ["\n\n", (_GROUPS[group], "bold $room-accent")]
        keys = "  ".join(shown_key(key) for key in keymap.keys(act))
        parts += ["\n", (f"  {keys:<16}", "$room-accent"), act.title]
        if act.about:
            parts.append((f"  {act.about}", "$room-muted"))
    return Content.assemble(*parts)
