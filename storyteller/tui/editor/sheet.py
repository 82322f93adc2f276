"""The page as something to look at and to move about on: exact text, own wrapping, margins, typewriter scrolling.

What it means to change the text is `draft.Draft`'s business, offers are `page.Page`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.style import Style
from rich.text import Text
from textual.content import Content
from textual.document._document import Selection
from textual.geometry import Offset, Size
from textual.reactive import Reactive, reactive
from textual.widgets import TextArea

from storyteller.manuscript.segments import next_cluster, word_at
from storyteller.text import editor_line
from storyteller.tui.editor.document import Document
from storyteller.tui.editor.navigator import Navigator
from storyteller.tui.editor.painting import Layer, Line, Painter
from storyteller.tui.editor.paragraph import paragraph_rows
from storyteller.tui.editor.wrap import LOOK_BACK, Wrap

if TYPE_CHECKING:
    from textual import events
    from textual.document._document import Location
    from textual.geometry import Region
    from textual.strip import Strip

_NARROWEST: Final = 8  # cells; below, lines are cropped and not wrapped: nobody writes there
_CONTEXT: Final = 2  # lines kept in sight above and below the caret
_TYPEWRITER: Final = 0.45  # where the caret's line is held, from the top


class Sheet(TextArea, inherit_bindings=False):
    """A TextArea that keeps every character, and costs the same in a long manuscript as in a short one."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"page--unfocused"}

    column: reactive[int] = reactive(0, init=False)
    """The widest a line of text may be, in cells, centred; 0 for as wide as the window."""

    typewriter: reactive[bool] = reactive(default=False, init=False)
    """Hold the caret's line at the same height of the window."""

    spotlight: reactive[bool] = reactive(default=False, init=False)
    """Dim all but the paragraph of the caret."""

    selection: reactive[Selection] = reactive(Selection(), init=False, always_update=True, repaint=False)
    """Where the caret is (its `end`) and what is selected; only the lines this changes are painted again."""

    virtual_size = Reactive(Size(0, 0), layout=False)
    """Lines of the whole text. It changes with every line a stream begins: laying out the screen again for it
    cost 7 ms each time, and no other widget moves; the scrollbar, which keeps its column, is told directly."""

    document: Document
    wrapped_document: Wrap
    navigator: Navigator

    def __init__(
        self,
        *,
        placeholder: str | Content = "",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        self._painter = Painter()
        self._seen_rows = 0  # the height of the window before it changed
        self._frame: tuple[int, int] | None = None  # width and margin, while lines are painted
        super().__init__(
            placeholder=placeholder,
            id=id,
            classes=classes,
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            highlight_cursor_line=False,
        )
        self.set_reactive(TextArea.match_cursor_bracket, False)  # noqa: FBT003

    def find_matching_bracket(self, bracket: str, search_from: Location) -> Location | None:  # noqa: ARG002
        """None: prose has no use for it, and the search runs through the whole manuscript."""
        return None

    # The document

    def _set_document(self, text: str, language: str | None) -> None:  # noqa: ARG002
        self.document = Document(text)
        self.wrapped_document = Wrap(self.document, 0, self.indent_width)
        self.navigator = Navigator(self.wrapped_document)
        self.move_cursor((0, 0))
        self._rewrap_and_refresh_virtual_size()

    def _splice(self, start: int, end: int, text: str) -> None:
        """Replace text of the document, and nothing else: no history, no message."""
        wrap = self.wrapped_document
        height = wrap.height
        splice = self.document.replace(start, end, text)
        row = splice.row
        wrap.follow(splice)
        same_rows = wrap.height == height and splice.removed == splice.added == 1
        if not same_rows:
            self._refresh_size()
        if self.spotlight:
            self.refresh()
            return
        first = max(0, wrap.part_of((row, splice.column)) - LOOK_BACK)
        y = max(wrap.y_of(row) + first, self.scroll_offset.y)
        end = wrap.y_of(row) + wrap.row_height(row) if same_rows else self.scroll_offset.y + self.size.height
        if end > y:
            self.refresh_lines(y, end - y)

    def _repaint(self, start: int, end: int) -> None:
        """The characters between two offsets of the document stay where they are and look different."""
        wrap, place = self.wrapped_document, self.document.location_of
        first, last = (wrap.location_to_offset(place(offset)).y for offset in (start, end))
        self.refresh_lines(first, last - first + 1)

    # Widths and heights

    @property
    def wrap_width(self) -> int:
        """The cells a line of text may take; 0 where there is no room to wrap."""
        width = self._room - 1  # the caret may rest behind the last character
        if self.column:
            width = min(width, self.column)
        return width if width >= _NARROWEST else 0

    @property
    def gutter_width(self) -> int:
        """The margin on the left, which centres the text."""
        width = self.wrap_width
        return max(0, (self._room - width - 1) // 2) if width else 0

    @property
    def _room(self) -> int:
        return self.scrollable_content_region.width

    def _rewrap_and_refresh_virtual_size(self) -> None:
        wrap = self.wrapped_document
        width = self.wrap_width
        if width == wrap.width and self.indent_width == wrap.tab_width:
            self._refresh_size()
        else:
            top = self.scroll_offset.y
            in_sight = self._caret_within(self._seen_rows)
            held = self.cursor_location if in_sight else wrap.offset_to_location(Offset(0, top))
            from_top = wrap.location_to_offset(held).y - top
            wrap.wrap(width, self.indent_width)
            self._refresh_size()
            self._recompute_cursor_offset()
            self._scroll_rows_to(wrap.location_to_offset(held).y - from_top)
        self.refresh()

    @property
    def _caret_in_sight(self) -> bool:
        return self._caret_within(self.scrollable_content_region.height)

    def _caret_within(self, rows: int) -> bool:
        return 0 <= self._cursor_offset[1] - self.scroll_offset.y < rows

    def _refresh_size(self) -> None:
        wrap = self.wrapped_document
        height = self.scrollable_content_region.height
        wrap.lead = int(height * _TYPEWRITER) if self.typewriter else 0
        wrap.trail = max(0, height - wrap.lead - 1) if self.typewriter else 0
        self.virtual_size = Size(0, wrap.height)
        self._scroll_update(self.virtual_size)

    def _watch_column(self) -> None:
        self._rewrap_and_refresh_virtual_size()
        self.scroll_cursor_visible()

    def _watch_typewriter(self) -> None:
        self._refresh_size()
        self.scroll_cursor_visible()
        self.refresh()

    def _on_resize(self) -> None:
        in_sight = self._caret_within(self._seen_rows)
        self._rewrap_and_refresh_virtual_size()
        if in_sight or self.typewriter:
            self.scroll_cursor_visible()
        self._seen_rows = self.scrollable_content_region.height

    def _recompute_cursor_offset(self) -> None:
        self._cursor_offset = self.wrapped_document.location_to_offset(self.cursor_location)

    def _watch_selection(self, previous_selection: Selection, selection: Selection) -> None:
        before = self._cursor_offset[1]
        super()._watch_selection(previous_selection, selection)
        if not (previous_selection.is_empty and selection.is_empty) or self.spotlight:
            self.refresh()
        else:
            self.refresh_lines(before)
            self.refresh_lines(self._cursor_offset[1])

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:  # noqa: ARG002
        """Scroll so that the caret is in sight, with some lines around it; at its height in typewriter mode.

        With `center`, a caret that was out of sight comes to the middle.
        """
        self._recompute_cursor_offset()
        y = self._cursor_offset[1]
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if not height:
            return Offset(0, 0)
        if self.typewriter and not self._selecting:
            target = y - self.wrapped_document.lead
        elif center and not self._caret_in_sight:
            target = y - height // 2
        else:
            context = min(_CONTEXT, (height - 1) // 2)
            target = max(min(top, y - context), y + context + 1 - height)
        self._scroll_rows_to(target)
        return Offset(0, self.scroll_offset.y - top)

    def _scroll_rows_to(self, y: int) -> None:
        self.scroll_to(y=min(max(y, 0), self.max_scroll_y), animate=False, force=True)

    # Moving about

    def get_cursor_word_left_location(self) -> Location:
        """The start of the word before the caret."""
        return self.navigator.get_location_word_left(self.cursor_location)

    def get_cursor_word_right_location(self) -> Location:
        """The start of the word after the caret."""
        return self.navigator.get_location_word_right(self.cursor_location)

    def action_text_start(self, select: bool = False) -> None:
        """To the first character of the manuscript."""
        self.move_cursor(self.document.start, select=select)

    def action_text_end(self, select: bool = False) -> None:
        """Past the last character of the manuscript."""
        self.move_cursor(self.document.end, select=select)

    def go_to_line(self, number: int) -> None:
        """The caret to the start of line `number`, counted from 1, or to the nearest line there is."""
        row = min(max(number, 1), self.document.line_count) - 1
        self.move_cursor((row, 0), center=True)

    @property
    def position(self) -> tuple[int, int]:
        """The line of the caret and, in characters as people see them, its column; both from 1."""
        row, column = self.cursor_location
        line = self.document[row]
        if line.isascii() or column > _LONG_LINE:
            return row + 1, column + 1
        count = index = 0
        while index < column:
            index = next_cluster(line, index)
            count += 1
        return row + 1, count + 1

    async def _on_click(self, event: events.Click) -> None:
        """Two clicks select a word, three a line."""
        row, column = self.cursor_location
        if event.chain == 2:
            start, end = word_at(self.document[row], column)
            self.selection = Selection((row, start), (row, end))
        elif event.chain >= 3:
            self.select_line(row)

    # Painting

    def get_line(self, line_index: int) -> Text:
        """A row as it is shown: one character for each of its own, controls made visible."""
        return Text(editor_line(self.document[line_index]), end="", no_wrap=True)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The visual lines of a part of the window."""
        self._frame = self._room, self.gutter_width
        try:
            return super().render_lines(crop)
        finally:
            self._frame = None

    def render_line(self, y: int) -> Strip:
        """Visual line `y` of the window."""
        width, margin = self._frame or (self._room, self.gutter_width)
        base = self._theme.base_style or Style.null()
        wrap = self.wrapped_document
        place = wrap.line_at(y + self.scroll_offset.y)
        if place is None:
            return self._painter.paint(Line("", base, (), 0, width, 1))
        if not self.document.length and self.placeholder:
            return self._placeholder_line(base, width, margin)
        row, part = place
        start, end = wrap.bounds(row, part)
        if not wrap.width:
            end = min(end, width)
        ends_row = part + 1 == wrap.row_height(row)
        reach = end + 1 if ends_row else end
        layers = tuple(
            Layer(max(layer.start, start) - start, min(layer.end, reach) - start, layer.style)
            for layer in self._layers(row, start, end, ends_row=ends_row)
            if layer.start < reach and layer.end > start
        )
        text = self.document[row][start:end]
        return self._painter.paint(Line(text, base, layers, margin, width, wrap.tab_width))

    def _placeholder_line(self, base: Style, width: int, margin: int) -> Strip:
        content = Content.from_text(self.placeholder, markup=False)
        layers = [Layer(0, len(content.plain), self.get_component_rich_style("text-area--placeholder"))]
        if self._draw_cursor and self._theme.cursor_style:
            layers.append(Layer(0, 1, self._theme.cursor_style))
        text = content.plain[: max(self.wrap_width, 1)]
        return self._painter.paint(Line(text, base, tuple(layers), margin, width, 1))

    def _layers(self, row: int, start: int, end: int, *, ends_row: bool) -> list[Layer]:
        """The styles over columns `start` to `end` of a row, in columns of the row, from the lowest up."""
        layers = self._text_layers(row, start, end)
        if self.spotlight and row not in paragraph_rows(self.document.lines, self.cursor_location[0]):
            layers.append(Layer(start, end, self.get_component_rich_style("page--unfocused")))
        layers += self._mark_layers(row, start, end)
        theme = self._theme
        (top_row, top_column), (bottom_row, bottom_column) = sorted(self.selection)
        if top_row <= row <= bottom_row and not self.selection.is_empty and theme.selection_style:
            first = top_column if row == top_row else 0
            # A selected line end shows as one selected cell.
            last = bottom_column if row == bottom_row else end + 1
            layers.append(Layer(first, last, theme.selection_style))
        caret_row, caret = self.cursor_location
        here = start <= caret < end or (caret == end and ends_row)
        if row == caret_row and here and self._draw_cursor and theme.cursor_style:
            past = next_cluster(self.document[row], caret) if caret < end else end + 1
            layers.append(Layer(caret, past, theme.cursor_style))
        return layers

    def _text_layers(self, row: int, start: int, end: int) -> list[Layer]:  # noqa: ARG002
        """Styles that say what the text is."""
        return []

    def _mark_layers(self, row: int, start: int, end: int) -> list[Layer]:  # noqa: ARG002
        """Styles that point at something in it."""
        return []


_LONG_LINE: Final = 4096  # past this, a column is counted in code points
