"""The page's keys: every binding has an id, so that the writer's key map can change it.

Where a key stands twice, the first binding whose action is possible just now is the one that acts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from storyteller.tui.quiet import quiet_binding

if TYPE_CHECKING:
    from textual.binding import Binding, BindingType


def _binding(keys: str, action: str, does: str, name: str, *, priority: bool = False) -> Binding:
    return quiet_binding(keys, action, does, f"page.{name}", priority=priority)


OFFER_BINDINGS: Final[list[BindingType]] = [
    _binding("tab", "accept", "Keep the whole continuation", "accept", priority=True),
    _binding("tab", "continue", "Continue here", "continue", priority=True),
    _binding("ctrl+right", "accept_word", "Keep the next word", "accept-word"),
    _binding("ctrl+down", "accept_sentence", "Keep the next sentence", "accept-sentence"),
    _binding("end", "accept_line", "Keep the next line", "accept-line"),
    _binding("ctrl+left", "give_back", "Give the last piece back", "give-back"),
    _binding("ctrl+r", "another", "Another take", "another"),
    _binding("escape", "escape", "Hide, then cancel; refuse", "escape"),
]

CARET_BINDINGS: Final[list[BindingType]] = [
    _binding("up", "cursor_up", "Up", "up"),
    _binding("down", "cursor_down", "Down", "down"),
    _binding("left", "cursor_left", "Left", "left"),
    _binding("right", "cursor_right", "Right", "right"),
    _binding("ctrl+left", "cursor_word_left", "A word left", "word-left"),
    _binding("ctrl+right", "cursor_word_right", "A word right", "word-right"),
    _binding("home", "cursor_line_start", "Start of the line", "line-start"),
    _binding("end,ctrl+e", "cursor_line_end", "End of the line", "line-end"),
    _binding("pageup", "cursor_page_up", "A page up", "page-up"),
    _binding("pagedown", "cursor_page_down", "A page down", "page-down"),
    _binding("ctrl+home", "text_start", "Start of the manuscript", "text-start"),
    _binding("ctrl+end", "text_end", "End of the manuscript", "text-end"),
]

SELECTION_BINDINGS: Final[list[BindingType]] = [
    _binding("shift+up", "cursor_up(True)", "Select up", "select-up"),
    _binding("shift+down", "cursor_down(True)", "Select down", "select-down"),
    _binding("shift+left", "cursor_left(True)", "Select left", "select-left"),
    _binding("shift+right", "cursor_right(True)", "Select right", "select-right"),
    _binding("ctrl+shift+left", "cursor_word_left(True)", "Select a word left", "select-word-left"),
    _binding("ctrl+shift+right", "cursor_word_right(True)", "Select a word right", "select-word-right"),
    _binding("shift+home", "cursor_line_start(True)", "Select to the start of the line", "select-line-start"),
    _binding("shift+end", "cursor_line_end(True)", "Select to the end of the line", "select-line-end"),
    _binding(
        "ctrl+shift+home", "text_start(True)", "Select to the start of the manuscript", "select-text-start"
    ),
    _binding("ctrl+shift+end", "text_end(True)", "Select to the end of the manuscript", "select-text-end"),
    _binding("f9", "select_line", "Select the line", "select-line"),
    _binding("ctrl+a", "select_all", "Select everything", "select-all"),
]

EDIT_BINDINGS: Final[list[BindingType]] = [
    _binding("backspace", "delete_left", "Delete to the left", "delete-left"),
    _binding("delete,ctrl+d", "delete_right", "Delete to the right", "delete-right"),
    _binding(
        "ctrl+w,ctrl+backspace,alt+backspace", "delete_word_left", "Delete a word left", "delete-word-left"
    ),
    _binding("ctrl+delete,alt+delete", "delete_word_right", "Delete a word right", "delete-word-right"),
    _binding("ctrl+u", "delete_to_start_of_line", "Delete to the start of the line", "delete-line-start"),
    _binding(
        "ctrl+k", "delete_to_end_of_line_or_delete_line", "Delete to the end of the line", "delete-line-end"
    ),
    _binding("ctrl+shift+k", "delete_line", "Delete the line", "delete-line"),
    _binding("ctrl+x,super+x", "cut", "Cut", "cut"),
    _binding("ctrl+c,super+c", "copy", "Copy", "copy"),
    _binding("ctrl+v", "paste", "Paste what was copied here", "paste"),
    _binding("ctrl+z,super+z", "undo", "Undo", "undo"),
    _binding("ctrl+y,ctrl+shift+z,super+y", "redo", "Redo", "redo"),
]

PAGE_BINDINGS: Final[list[BindingType]] = [
    *OFFER_BINDINGS,
    *CARET_BINDINGS,
    *SELECTION_BINDINGS,
    *EDIT_BINDINGS,
]
