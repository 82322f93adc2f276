"""Asks for a folder or file of texts: a line to type its path in, and the folders there are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from rich.text import Text
from textual import on
from textual.binding import Binding
from textual.content import Content
from textual.widgets import DirectoryTree, Input, Static

from storyteller.text import display_line, display_text
from storyteller.training.corpus.files import KINDS
from storyteller.tui.dialogs.dialog import Dialog, words
from storyteller.tui.dialogs.panel import GIVES_WAY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.text import TextType
    from textual.binding import BindingType
    from textual.widget import Widget
    from textual.widgets._directory_tree import DirEntry

_FOOT: Final = "Enter  take it   ↓ Tab  the list   →← open, close   Esc  leave"


class TextsTree(DirectoryTree):
    """Folders, and the files that can be learned from. Nothing in their names is markup."""

    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "
    ICON_FILE = "  "
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right", "open", "Open", show=False, id="tree.open"),
        Binding("left", "close", "Close, or the folder above", show=False, id="tree.close"),
    ]

    def __init__(self, path: Path) -> None:
        super().__init__(path, classes=GIVES_WAY)
        self.begins = ""  # names in the root that do not begin so are left out
        self.auto_expand = False  # Enter takes a folder

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        """Without hidden names and without what is no text."""
        root = Path(self.path)
        begins = self.begins.casefold()
        for path in paths:
            wanted = not path.name.startswith(".") and (
                path.parent != root or path.name.casefold().startswith(begins)
            )
            if wanted and (path.suffix.lower() in KINDS or self._safe_is_dir(path)):
                yield path

    def process_label(self, label: TextType) -> Text:
        """A name as it is, on one line."""
        return label if isinstance(label, Text) else Text(display_line(label))

    def action_open(self) -> None:
        """Look into the folder."""
        node = self.cursor_node
        if node is not None:
            node.expand()

    def action_close(self) -> None:
        """Close the folder, or go to the one it is in."""
        node = self.cursor_node
        if node is not None and node.is_expanded and node.parent is not None:
            node.collapse()
        else:
            self.action_cursor_parent()


class FolderPicker(Dialog[Path]):
    """Returns a path that is there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "to_list", "To the list", show=False, id="folder.list"),
    ]

    def __init__(self, title: str, begin: Path) -> None:
        super().__init__(title, wide=True)
        self._begin = begin if begin.is_dir() else Path.home()

    def content(self) -> Iterable[Widget]:
        """The line, the folders, and room for what is wrong."""
        yield words("A folder, or one file: .txt .md .py .jsonl .json .csv .tsv .parquet")
        yield Input(value=_typed(self._begin), select_on_focus=False)
        yield TextsTree(self._begin)
        yield Static(classes="alarm", markup=False)
        yield words(_FOOT, "foot")

    def on_mount(self) -> None:
        """The keyboard goes to the line."""
        self.query_one(Input).focus()

    def action_to_list(self) -> None:
        """From the line to the folders."""
        self.query_one(TextsTree).focus()

    @on(Input.Changed)
    def _typing(self, event: Input.Changed) -> None:
        """Show the folder that is named so far, and in it what begins like the rest."""
        event.stop()
        tree = self.query_one(TextsTree)
        self._complain("")
        folder, begins = _parted(event.value)
        if not _is_folder(folder) or (folder, begins) == (Path(tree.path), tree.begins):
            return
        tree.begins = begins
        tree.path = folder

    @on(TextsTree.NodeHighlighted)
    def _looked(self, event: TextsTree.NodeHighlighted[DirEntry]) -> None:
        event.stop()
        tree = self.query_one(TextsTree)
        if tree.has_focus and event.node.data is not None:
            line = self.query_one(Input)
            with line.prevent(Input.Changed):
                line.value = str(event.node.data.path)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self._take(Path(event.value.strip() or "."))

    @on(TextsTree.DirectorySelected)
    @on(TextsTree.FileSelected)
    def _chosen(self, event: TextsTree.DirectorySelected | TextsTree.FileSelected) -> None:
        event.stop()
        self._take(event.path)

    def _take(self, path: Path) -> None:
        try:
            path = path.expanduser().absolute()
            path.stat()
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: ~somebody
            why = error.strerror if isinstance(error, OSError) else "it is no path"
            self._complain(f"{path} cannot be read ({why}).")
        else:
            self.dismiss(path)

    def _complain(self, sentence: str) -> None:
        self.query_one(".alarm", Static).update(Content(display_text(sentence)))


def _typed(folder: Path) -> str:
    return f"{folder}{os.sep}"


def _parted(typed: str) -> tuple[Path, str]:
    """The folder that a half-typed path names, and the beginning of a name in it."""
    folder, separator, begins = typed.rpartition(os.sep)
    try:
        return Path(folder + separator if separator else ".").expanduser(), begins
    except RuntimeError:  # ~somebody
        return Path(folder + separator), begins


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
