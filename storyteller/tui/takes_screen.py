"""All takes of a place, or of the whole text: what each begins with, what made it, and the whole of the one under the cursor."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from storyteller.manuscript.takes import ShownTake
from storyteller.text import display_line, display_text
from storyteller.tui.acts import BY_ID
from storyteller.tui.hints import takes_pieces
from storyteller.tui.lines import Line, Piece
from storyteller.tui.over import OverRoom
from storyteller.tui.takes_keys import LIST_BINDINGS
from storyteller.tui.takes_list import (
    Around,
    Entry,
    differing,
    entries_at,
    entries_of_all,
    particulars,
    row_words,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from textual.binding import BindingType
    from textual.widget import Widget

    from storyteller.engine.presets import Preset
    from storyteller.tui.room import Room

_BESIDE: Final = 90  # cells from which the whole take stands beside the list
_BEFORE: Final = 160  # characters of the text before a place shown with a take
_HEADING: Final = 40  # characters of it that name the place


class TakesScreen(OverRoom[ShownTake]):
    """Returns the take that is to be offered again. `offset` is the place; `presets` gives names to settings."""

    BINDINGS: ClassVar[list[BindingType]] = LIST_BINDINGS
    AUTO_FOCUS = "OptionList"

    def __init__(self, room: Room, offset: int, presets: Mapping[str, Preset], *, everywhere: bool) -> None:
        super().__init__(room)
        self._offset = offset
        self._presets = presets
        self._everywhere = everywhere
        self._entries: dict[str, Entry] = {}
        self._compared: str | None = None
        self._dropped: list[ShownTake] = []
        self._drawn: dict[str, tuple[object, Content]] = {}  # rows as they are, and what they were drawn from
        self._shown = Content("")

    def content(self) -> Iterable[Widget]:
        """What the list is of; the list, and the whole of one take."""
        yield Line(id="top")
        yield Container(
            OptionList(markup=False, compact=True),
            VerticalScroll(Static(markup=False), can_focus=False, id="whole"),
            id="takes",
        )

    @property
    def entries(self) -> list[Entry]:
        """What is listed, in order."""
        return list(self._entries.values())

    @property
    def entry(self) -> Entry | None:
        """What is under the cursor."""
        option = self.query_one(OptionList).highlighted_option
        return None if option is None or option.id is None else self._entries.get(option.id)

    # Showing

    def draw(self) -> None:
        """The rows, the whole take, the lines."""
        tree = self.room.prompter.gathered()
        entries = entries_of_all(tree) if self._everywhere else entries_at(tree, self._offset)
        self._entries = {entry.take.id: entry for entry in entries}
        self.query_one("#takes").set_class(self.size.width >= _BESIDE, "-beside")
        self._draw_rows()
        self._draw_whole()
        title = f"Takes of {self.room.session.name}" if self._everywhere else "Takes of this place"
        count = len(entries)
        counted = Piece(f"{count} {'take' if count == 1 else 'takes'}", 1)
        self.query_one("#top", Line).show([Piece(title, 2, "$foreground")], [counted])
        super().draw()

    def _draw_rows(self) -> None:
        """Replace what changed; all of it only where rows came or went, and then the cursor stays on its take."""
        rows = self.query_one(OptionList)
        around = self._around
        options = list(self._options(around))
        if [option.id for option in options] == [option.id for option in rows.options]:
            for index, option in enumerate(options):
                if option.prompt != rows.get_option_at_index(index).prompt:
                    rows.replace_option_prompt_at_index(index, option.prompt)
            return
        place, entry = rows.highlighted, self.entry
        rows.set_options(options)
        if place is None:
            entry = self._first()
        takes = {option.id: index for index, option in enumerate(options) if not option.disabled}
        if entry is not None:
            rows.highlighted = takes.get(entry.take.id)
        elif takes and place is not None:
            rows.highlighted = min(takes.values(), key=lambda index: abs(index - place))

    def _first(self) -> Entry | None:
        """Where the cursor begins: on the take that is on the page, or else on the newest of the place."""
        shown = self.room.prompter.shown
        for entry in self._entries.values():
            if shown is not None and (entry.take.anchor, entry.take.text) == (
                shown.anchor,
                shown.offer.whole,
            ):
                return entry
        nearest = sorted(self._entries.values(), key=lambda entry: abs(entry.take.anchor - self._offset))
        return next((entry for entry in nearest if entry.newest), None)

    def _options(self, around: Around) -> Iterator[Option]:
        place: int | None = None
        for identifier, entry in self._entries.items():
            if self._everywhere and entry.take.anchor != place:
                place = entry.take.anchor
                yield Option(self._heading(place), id=f"place {place}", disabled=True)
            yield Option(self._row(entry, around), id=identifier)

    def _row(self, entry: Entry, around: Around) -> Content:
        """A take's two lines; drawn again only where it, its mark or the minute is another."""
        identifier = entry.take.id
        compared = identifier == self._compared
        state = (entry, compared, around.now // 60)
        if identifier not in self._drawn or self._drawn[identifier][0] != state:
            number = f"{entry.number:>2}{'=' if compared else ' '} "
            row = Content.assemble(
                (number, "$room-accent"),
                display_line(entry.first_words),
                "\n" + " " * len(number),
                (display_line(" · ".join(row_words(entry, around))), "$room-muted"),
            )
            self._drawn[identifier] = state, row
        return self._drawn[identifier][1]

    def _heading(self, offset: int) -> Content:
        page = self.room.page
        line = page.exact_text.count("\n", 0, offset) + 1
        before = " ".join(page.settled_slice(max(0, offset - _HEADING), offset).split())
        if offset > _HEADING:
            before = before.partition(" ")[2] or before  # the first word is cut
        return Content.assemble((display_line(f"line {line:,}  …{before}"), "$room-accent"))

    def _draw_whole(self) -> None:
        whole = self._whole(self.entry)
        if not whole.is_same(self._shown):
            self._shown = whole
            self.query_one("#whole Static", Static).update(whole)

    def _whole(self, entry: Entry | None) -> Content:
        if entry is None:
            return Content.styled("There is none here yet.", "$room-muted")
        compared = self._entries.get(self._compared or "")
        parts = [self._in_place(entry, compared)]
        if compared is not None and compared is not entry:
            parts += [
                Content.styled(f"= take {compared.number}", "$room-accent"),
                self._in_place(compared, entry),
            ]
        words = particulars(entry, self._around)
        parts.append(Content.styled(display_line(" · ".join(words)), "$room-muted"))
        return Content("\n\n").join(parts)

    def _in_place(self, entry: Entry, other: Entry | None) -> Content:
        """A take after the words it follows; what `other` has not is bold."""
        take = entry.take
        before = self.room.page.settled_slice(max(0, take.anchor - _BEFORE), take.anchor)
        text = Content(display_text(take.text))
        if other is not None and other is not entry:
            for start, end in differing(take.text, other.take.text):
                text = text.stylize("bold $room-accent", start, end)
        return Content.styled(display_text(before.rpartition("\n")[2]), "$room-muted").append(text)

    @property
    def _around(self) -> Around:
        return Around(self._presets, time.time(), self.room.witness.session)

    def hint_pieces(self) -> tuple[list[Piece], list[Piece]]:
        """What can be done with the take under the cursor."""
        none = "" if self.entry is None else None
        words = {
            "list.all": "this place" if self._everywhere else "all takes",
            "list.undrop": "bring back" if self._dropped else "",
        }
        if none is not None:
            words |= dict.fromkeys(("list.offer", "list.compare", "list.copy", "list.drop"), none)
        return takes_pieces(words, BY_ID, self.room.keymap)

    # Choosing

    @on(OptionList.OptionHighlighted)
    def _looked(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._draw_whole()
        self.query_one("#whole").scroll_home(animate=False)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_offer()

    def action_offer(self) -> None:
        """Back to the page, with this take on offer at its place."""
        if self.entry is not None:
            self.dismiss(self.entry.take)

    def action_all(self) -> None:
        """The whole text's takes, or this place's."""
        self._everywhere = not self._everywhere
        self.draw()

    def action_compare(self) -> None:
        """Hold this take against every other one looked at, or stop that."""
        if self.entry is not None:
            identifier = self.entry.take.id
            self._compared = None if identifier == self._compared else identifier
            self.draw()

    def action_copy(self) -> None:
        """The take to the clipboard."""
        if self.entry is not None:
            self.app.copy_to_clipboard(self.entry.take.text.encode("utf-8", "replace").decode("utf-8"))
            self.room.flash("Copied.")

    def action_drop(self) -> None:
        """The take, and its twins, leave the list. No judgement."""
        entry, prompter = self.entry, self.room.prompter
        if entry is None:
            return
        twins = [
            take
            for take in prompter.tree.all()
            if (take.anchor, take.text) == (entry.take.anchor, entry.take.text)
        ]
        if any(prompter.at_work_on(take.id) for take in twins):
            self.room.flash("It is on the page or still growing: refuse it there.")
            return
        prompter.forget([take.id for take in twins])
        self._dropped = twins
        self.draw()

    def action_undrop(self) -> None:
        """What was dropped last is in the list again."""
        for take in self._dropped:
            self.room.prompter.tree.add(take)
        self._dropped = []
        self.draw()

    def action_leave(self) -> None:
        """Back to the page."""
        self.dismiss(None)
