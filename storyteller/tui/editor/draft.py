"""The settled text and what changes it: one history, who wrote what, how many words.

Everything here counts in offsets of the settled text, which is the document without what is provisional.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from textual.document._document import EditResult, Selection
from textual.widgets import TextArea

from storyteller.manuscript.provenance import Provenance, written
from storyteller.manuscript.segments import count_change, count_words, letters_after, letters_before
from storyteller.tui.editor.document import with_newlines
from storyteller.tui.editor.history import Change, History
from storyteller.tui.editor.provisional import Provisional, common_prefix
from storyteller.tui.editor.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.document._edit import Edit

    from storyteller.manuscript.offer import Offer, Piece
    from storyteller.manuscript.provenance import Origin
    from storyteller.tui.editor import messages

_AROUND: Final = 100  # characters on each side of an edit that can tell what it does to words


class Replacement(NamedTuple):
    """The characters from `start` to `end` become `text`."""

    start: int
    end: int
    text: str


class Draft(Sheet, inherit_bindings=False):
    """A sheet whose text can be written, undone and asked where it came from.

    Attributes:
        provenance: who wrote which character of the settled text.
        words: how many words the settled text has.
        revision: counts the changes of the settled text.
    """

    def __init__(self, **options: Any) -> None:
        self.revision = 0
        self._provisional = Provisional()
        self._joined = (0, "")  # the exact text of a revision
        self._latest = (0, 0, 0)  # the last edit: where, how many characters went, how many came
        super().__init__(**options)
        self._steps = History()
        self.history = self._steps  # type: ignore[assignment]  # TextArea only checkpoints and clears it
        self.provenance = Provenance()
        self.words = 0

    # Reading

    @property
    def exact_text(self) -> str:
        """The settled text, every newline as it is in the file, nothing provisional."""
        revision, text = self._joined
        if revision == self.revision - 1:
            # The common case, a key after a key: a tenth of the time of joining 100,000 words anew.
            start, removed, added = self._latest
            text = text[:start] + self.settled_slice(start, start + added) + text[start + removed :]
        elif revision != self.revision:
            whole, stretch = self.document.text, self._provisional
            text = whole[: stretch.start] + whole[stretch.end :] if stretch.text else whole
        self._joined = (self.revision, text)
        return text

    @property
    def settled_length(self) -> int:
        """How many characters the settled text has."""
        return self.document.length - self._provisional.length

    @property
    def settled_cursor(self) -> int:
        """Where the caret is in the settled text."""
        return self._offsets(self.selection)[1]

    def settled_slice(self, start: int, end: int) -> str:
        """The settled text between two offsets."""
        stretch = self._provisional
        if not stretch.text or end <= stretch.start:
            return self.document.slice(start, end)
        before = self.document.slice(start, stretch.start) if start < stretch.start else ""
        after = max(start, stretch.start)
        return before + self.document.slice(after + stretch.length, end + stretch.length)

    def text_before(self, characters: int) -> str:
        """At most so many characters before the caret."""
        caret = self.settled_cursor
        return self.settled_slice(max(0, caret - characters), caret)

    def place_caret(self, offset: int, *, center: bool = False) -> None:
        """The caret to an offset of the settled text."""
        self.move_cursor(self.document.location_of(self._provisional.placed(offset)), center=center)

    def select_span(self, start: int, end: int, *, center: bool = False) -> None:
        """Select from `start` to `end` of the settled text, the caret at the end."""
        self.place_caret(end, center=center)
        self.selection = self._selection((start, end))

    @property
    def settled_selection(self) -> str:
        """What is selected, without what is only offered in it."""
        return self.settled_slice(*sorted(self._offsets(self.selection)))

    def _offsets(self, selection: Selection) -> tuple[int, int]:
        settled, offset_of = self._provisional.settled, self.document.offset_of
        return settled(offset_of(selection.start)), settled(offset_of(selection.end))

    def _selection(self, offsets: tuple[int, int]) -> Selection:
        placed, location_of = self._provisional.placed, self.document.location_of
        return Selection(location_of(placed(offsets[0])), location_of(placed(offsets[1])))

    # Loading

    def load(self, text: str, *, provenance: Provenance | None = None, caret: int = 0) -> None:
        """Show another text; the history begins anew. A `provenance` of another length is ignored."""
        self._provisional = Provisional()
        self._steps.clear()
        self._set_document(text, None)
        fits = provenance is not None and provenance.length == len(text)
        self.provenance = provenance if fits and provenance is not None else Provenance(len(text))
        self.words = count_words(text)
        self.revision += 1
        self._joined = (self.revision, text)
        self.place_caret(caret)

    def load_text(self, text: str) -> None:
        """`load` by TextArea's name."""
        self.load(text)

    # Writing

    def settle(self, typed: str = "") -> None:
        """Called before every change of the settled text, for whoever has something provisional on show.

        `typed` is what the writer typed, if that is the change.
        """

    def write(self, start: int, end: int, text: str, *, exact: bool = False) -> None:
        """The writer replaces what stands from `start` to `end`; the caret follows.

        Line ends become those of the manuscript; `exact`: they stay as they are.
        """
        self.settle()
        if not exact:
            text = with_newlines(text, self.document.newline)
        removed = self.document.slice(start, end)
        caret = start + len(text)
        if removed == text:
            self.place_caret(caret)
            return
        left, right = self._around(start, end)
        change = self._change(start, removed, text, (caret, caret))
        self._splice(start, end, text)
        written(self.provenance, start, removed, text, left, right)
        self.words += count_change(left, removed, text, right)
        self._record(change, "mine", "write")

    def replace_spans(self, replacements: Sequence[Replacement]) -> None:
        """Replace several spans, given in order and without overlap, as one step."""
        if not replacements:
            return
        self.settle()
        first, last = replacements[0].start, replacements[-1].end
        old = self.document.slice(first, last)
        newline = self.document.newline
        parts: list[str] = []
        position = first
        for start, end, text in replacements:
            parts += [old[position - first : start - first], with_newlines(text, newline)]
            position = end
        new = "".join(parts)
        caret = _shifted(self.settled_cursor, replacements, newline)
        left, right = self._around(first, last)
        change = self._change(first, old, new, (caret, caret))
        for start, end, text in reversed(replacements):
            before, after = self._around(start, end)
            removed = old[start - first : end - first]
            written(self.provenance, start, removed, with_newlines(text, newline), before, after)
        self._splice(first, last, new)
        self.words += count_change(left, old, new, right)
        self._steps.checkpoint()
        self._record(change, "mine", "replace")

    def edit(self, edit: Edit) -> EditResult:
        """TextArea's own way to change the text; comes down to `write`."""
        settled, offset_of = self._provisional.settled, self.document.offset_of
        start, end = settled(offset_of(edit.top)), settled(offset_of(edit.bottom))
        anchor, caret = self._offsets(self.selection)
        removed = self.settled_slice(start, end)
        length = self.settled_length
        self.write(start, end, edit.text)
        after = end + self.settled_length - length
        if edit.maintain_selection_offset:
            grown = after - end
            kept = [place + grown if place >= end else min(place, after) for place in (anchor, caret)]
            self.selection = self._selection((kept[0], kept[1]))
        return EditResult(self.document.location_of(after), removed)

    def undo(self) -> None:
        """Take the last step back."""
        self.settle()
        change = self._steps.pop_undo()
        if change is None:
            return
        origins = self.provenance.runs(change.first, change.last)
        self._revert(change, change.inserted, change.removed, change.before, "undo")
        self.provenance.put(change.first, change.last, change.origins)
        change.origins = origins
        if change.accepted is not None:
            self._accept_undone(*change.accepted, change.start)

    def redo(self) -> None:
        """Make the step again that was undone last."""
        self.settle()
        change = self._steps.pop_redo()
        if change is None:
            return
        last = change.start + len(change.removed) + change.tail
        origins = self.provenance.runs(change.first, last)
        self._revert(change, change.removed, change.inserted, change.after, "redo")
        self.provenance.put(change.first, last, change.origins)
        change.origins = origins

    def _accept_undone(self, offer: Offer, piece: Piece, offset: int) -> None:
        """An undo took back what was accepted."""

    def _revert(
        self, change: Change, old: str, new: str, selection: tuple[int, int], cause: messages.Cause
    ) -> None:
        end = change.start + len(old)
        left, right = self._around(change.start, end)
        self._splice(change.start, end, new)
        self.words += count_change(left, old, new, right)
        self.selection = self._selection(selection)
        self.record_cursor_width()
        self._edited(change.start, len(old), len(new), "mine", cause)

    def _around(self, start: int, end: int) -> tuple[str, str]:
        return self.settled_slice(max(0, start - _AROUND), start), self.settled_slice(end, end + _AROUND)

    def _change(self, start: int, removed: str, inserted: str, after: tuple[int, int]) -> Change:
        left, right = self._around(start, start + len(removed))
        lead, tail = letters_before(left), letters_after(right)
        origins = self.provenance.runs(start - lead, start + len(removed) + tail)
        return Change(start, removed, inserted, self._offsets(self.selection), after, origins, lead, tail)

    def _record(self, change: Change, origin: Origin, cause: messages.Cause) -> None:
        self._steps.record(change)
        self.selection = self._selection(change.after)
        self.record_cursor_width()
        self._edited(change.start, len(change.removed), len(change.inserted), origin, cause)

    def _edited(self, start: int, removed: int, added: int, origin: Origin, cause: messages.Cause) -> None:  # noqa: ARG002
        """The settled text has changed; `page.Page` tells the app."""
        self.revision += 1
        self._latest = (start, removed, added)

    # What is provisional

    def _show_provisional(self, text: str) -> None:
        """Let the provisional stretch read `text`. The caret keeps its place in the settled text."""
        stretch = self._provisional
        text = with_newlines(text, self.document.newline)
        if text == stretch.text:
            return
        same = common_prefix(stretch.text, text)
        offsets = self._offsets(self.selection)
        self._splice(stretch.start + same, stretch.end, text[same:])
        stretch.text = text
        selection = self._selection(offsets)
        if selection != self.selection:
            self.set_reactive(TextArea.selection, selection)
            self._recompute_cursor_offset()
            self.refresh()

    def _move_provisional(self, start: int) -> None:
        """Nothing is provisional; what will be, is going to stand at `start`."""
        self._show_provisional("")
        self._provisional.start = start


def _shifted(offset: int, replacements: Sequence[Replacement], newline: str) -> int:
    """Where `offset` is after the replacements; from inside one of them, at its end."""
    grown = 0
    for start, end, text in replacements:
        if offset < end or offset == start:
            return offset + grown if offset <= start else start + grown + len(with_newlines(text, newline))
        grown += len(with_newlines(text, newline)) - (end - start)
    return offset + grown
