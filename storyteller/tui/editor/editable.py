"""What keyboard, clipboard and mouse do to a draft.

Every action first lets go of what is provisional and only then looks where the caret is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from storyteller.text import writable_text
from storyteller.tui.editor.draft import Draft
from storyteller.tui.letters import written_by

if TYPE_CHECKING:
    from textual import events
    from textual.document._document import EditResult, Location

# What breaks a line in other programs; a paste brings it in as a line end.
_LINE_BREAKS = dict.fromkeys((0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029), "\n")


class Editable(Draft, inherit_bindings=False):
    """A draft under a writer's hands."""

    def consume(self, typed: str) -> bool:  # noqa: ARG002
        """Whether something provisional at the caret takes what is typed; then it is not typed."""
        return False

    def _replace_via_keyboard(self, insert: str, start: Location, end: Location) -> EditResult | None:
        if self.read_only:
            return None
        offset_of, settled = self.document.offset_of, self._provisional.settled
        first, last = sorted((settled(offset_of(start)), settled(offset_of(end))))
        if first < last or not self.consume(insert):
            self.settle(insert)
            self.write(first, last, insert)
        return None

    async def _on_key(self, event: events.Key) -> None:
        """Letters that Textual takes for none."""
        written = written_by(event)
        if written and not event.is_printable and not self.read_only:
            event.stop()
            event.prevent_default()
            self._restart_blink()
            self._replace_via_keyboard(written, *self.selection)

    def _overwrite_selection(self, text: str) -> None:
        if self.read_only:
            return
        self.settle()
        self._steps.checkpoint()
        start, end = sorted(self._offsets(self.selection))
        self.write(start, end, text)
        self._steps.checkpoint()

    async def _on_paste(self, event: events.Paste) -> None:
        """The terminal's paste; control characters that came with it stay outside."""
        event.stop()
        event.prevent_default()
        self._overwrite_selection(writable_text(event.text.translate(_LINE_BREAKS)))

    def action_paste(self) -> None:
        """What was cut or copied here, exactly."""
        self._overwrite_selection(self.app.clipboard)

    def action_cut(self) -> None:
        """Cut the selection, or the line."""
        if self.read_only:
            return
        self.settle()
        start, end = self.selection
        cut = self._delete_cursor_line() if start == end else self._delete_via_keyboard(start, end)
        if cut is not None and cut.replaced_text:
            self._copy(cut.replaced_text)

    def action_undo(self) -> None:
        """Take the last step back; not on a page that is only read."""
        if not self.read_only:
            self.undo()

    def action_redo(self) -> None:
        """Make the step again that was undone last; not on a page that is only read."""
        if not self.read_only:
            self.redo()

    def action_copy(self) -> None:
        """Copy the selection, without what is only offered in it."""
        if selected := self.settled_selection:
            self._copy(selected)

    def _copy(self, text: str) -> None:
        try:
            self.app.copy_to_clipboard(text)
        except (
            UnicodeEncodeError
        ):  # lone surrogates: bytes of a file that are no text, and no clipboard takes them
            self.app.copy_to_clipboard(text.encode("utf-8", "replace").decode("utf-8"))

    def action_delete_left(self) -> None:
        """Delete the selection, or the character before the caret."""
        self.settle()
        super().action_delete_left()

    def action_delete_right(self) -> None:
        """Delete the selection, or the character after the caret."""
        self.settle()
        super().action_delete_right()

    def action_delete_word_left(self) -> None:
        """Delete the selection, or back to the start of the word."""
        self.settle()
        super().action_delete_word_left()

    def action_delete_word_right(self) -> None:
        """Delete the selection, or on to the end of the word."""
        self.settle()
        start, end = self.selection
        if start == end:
            end = self.navigator.get_location_word_end(start)
        self._delete_via_keyboard(start, end)

    def action_delete_line(self) -> None:
        """Delete the lines of the selection."""
        self.settle()
        super().action_delete_line()

    def action_delete_to_start_of_line(self) -> None:
        """Delete back to the start of the line on the screen."""
        self.settle()
        super().action_delete_to_start_of_line()

    def action_delete_to_end_of_line(self) -> None:
        """Delete on to the end of the line on the screen."""
        self.settle()
        start = self.cursor_location
        part_end = self.wrapped_document.bounds(start[0], self.wrapped_document.part_of(start))[1]
        self._delete_via_keyboard(start, (start[0], part_end))

    async def action_delete_to_end_of_line_or_delete_line(self) -> None:
        """Delete on to the end of the line on the screen; at the end of a row, join the next one to it."""
        self.settle()
        row, column = self.cursor_location
        if column < len(self.document[row]):
            self.action_delete_to_end_of_line()
        else:
            super().action_delete_right()
