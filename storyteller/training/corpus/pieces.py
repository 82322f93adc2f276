"""Documents of plain text files: where a book's own text begins and ends, and what its title is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, Final

from storyteller.training.corpus.clean import plain_newlines, split_documents
from storyteller.training.corpus.document import Document
from storyteller.training.corpus.reading import read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

# Project Gutenberg's lines, of today and of the 1990s.
_BEGINS: Final = re.compile(
    r"^\*{3} ?START OF (?:THE|THIS) PROJECT GUTENBERG[^*]{0,400}\*{3}[^\n]*\n"
    r"|^\*END\*? ?THE SMALL PRINT[^\n]*\n",
    re.MULTILINE | re.IGNORECASE,
)
_ENDS: Final = re.compile(
    r"^(?:\*{3} ?END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?:the |this )?Project Gutenberg)",
    re.MULTILINE | re.IGNORECASE,
)
_BOOK_TITLE: Final = re.compile(r"^Title: *(\S[^\n]{0,200})$", re.MULTILINE)
_CREDIT: Final = re.compile(
    r"\s*(?:\[?E-?text prepared by|Produced by|This e-?text was)(?:[^\n]+\n)+", re.IGNORECASE
)
_HEADING: Final = re.compile(r"\s*# +([^\n]{1,200}?)[ #]*(?:\n|\Z)")
_FRONT_MATTER: Final = re.compile(r"---\n(.{0,20000}?)\n---(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE: Final = re.compile(r"""^title: *["']?([^\n]{1,200}?)["']? *$""", re.MULTILINE)
_TITLE_LENGTH: Final = 80
_NO_TITLE_BEGINS: Final = "\"'“‘«„—-*[("
_NO_TITLE_ENDS: Final = ".,;:\"'”’»…-—"


def read_plain(file: BinaryIO, name: str) -> Iterator[Document]:
    """The piece, or the pieces between end marks, of a plain text; its first line is the title if it looks like one.

    Raises:
        Unreadable: see `read_text`.
    """
    yield from _documents(plain_newlines(read_text(file)), name)


def read_markdown(file: BinaryIO, name: str) -> Iterator[Document]:
    """The piece of a Markdown file, without its front matter; its first heading is the title.

    Raises:
        Unreadable: see `read_text`.
    """
    text, title = plain_newlines(read_text(file)), ""
    if front := _FRONT_MATTER.match(text):
        text = text[front.end() :]
        if found := _FRONT_TITLE.search(front[1]):
            title = found[1]
    if heading := _HEADING.match(text):
        title, text = heading[1], text[heading.end() :]
    if title:
        yield Document(text, name, title)
    else:
        yield from _documents(text, name)


def read_source(file: BinaryIO, name: str) -> Iterator[Document]:
    """The whole of a source file.

    Raises:
        Unreadable: see `read_text`.
    """
    yield Document(read_text(file), name)


def _documents(text: str, name: str) -> Iterator[Document]:
    parts = split_documents(text) or [""]  # a blank piece is counted
    for number, part in enumerate(parts, 1):
        title, piece = without_gutenberg(part)
        if not title:
            title, piece = _titled(piece)
        yield Document(piece, name if len(parts) == 1 else f"{name}#{number}", title)


def without_gutenberg(text: str) -> tuple[str, str]:
    """The title a Project Gutenberg header gives, and the book without header and footer; others as they are."""
    begins = _BEGINS.search(text)
    ends = _ENDS.search(text, begins.end() if begins else 0)
    title = _BOOK_TITLE.search(text, 0, begins.start()) if begins else None
    if begins is None and ends is None:
        return "", text
    book = text[begins.end() if begins else 0 : ends.start() if ends else len(text)]
    if begins is not None and (credit := _CREDIT.match(book)):
        book = book[credit.end() :]
    return title[1].strip() if title else "", book


def _titled(text: str) -> tuple[str, str]:
    """A short first line that stands alone and is no sentence, and the rest."""
    first, _, rest = text.lstrip("\n").partition("\n")
    line = first.strip()
    stands_alone = rest.startswith("\n") and rest.strip() != ""
    is_title = line and len(line) <= _TITLE_LENGTH and line[-1] not in _NO_TITLE_ENDS
    if stands_alone and is_title and line[0] not in _NO_TITLE_BEGINS:
        return line, rest
    return "", text
