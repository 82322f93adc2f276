"""Documents of tables and JSON: a row or object is a piece, its text under one of the names public data sets use."""

from __future__ import annotations

import csv
from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from storyteller.training.corpus.document import Document, Unreadable
from storyteller.training.corpus.reading import LINE_LIMIT, lines, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storyteller.training.corpus.document import Skips

TEXT_FIELDS: Final = (
    "text",
    "content",
    "body",
    "paragraphs",  # chinese-poetry
    "selftext_without_tldr",  # Reddit TIFU
    "selftext",
    "documents",
    "document",
    "story",
    "poem",
    "lines",
)
_WANTED: Final = "text, content, body or paragraphs"
_NO_TEXT: Final = f"has no text under {_WANTED}"
_DELIMITERS: Final = ",;\t|"

Row = tuple[str, str]  # title, text


def read_json(file: BinaryIO, name: str, skips: Skips) -> Iterator[Document]:
    """The pieces of a list of objects or texts, or of one object; what is JSON lines is read as that.

    Raises:
        Unreadable: not JSON, or nothing in it is a text.
    """
    text = read_text(file)
    try:
        value: Any = msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        if "trailing characters" in str(error):
            file.seek(0)
            yield from read_json_lines(file, name, skips)
            return
        raise Unreadable(f"is not JSON ({_fault(error)})") from error
    objects = value if isinstance(value, list) else [value]
    found = 0
    for number, item in enumerate(objects, 1):
        row = _row(item)
        if row is None:
            skips.row(name, number, _NO_TEXT)
            continue
        found += 1
        yield Document(row[1], f"{name}:{number}", row[0])
    if not found:
        raise Unreadable(_NO_TEXT)


def read_json_lines(file: BinaryIO, name: str, skips: Skips) -> Iterator[Document]:
    """The piece of each line. A line that is no usable object is left out with its reason."""
    for number, line in lines(file):
        if not line.strip():
            continue
        try:
            row = _row(msgspec.json.decode(line))
        except UnicodeEncodeError:
            skips.row(name, number, "is not UTF-8 text")
            continue
        except (msgspec.MsgspecError, RecursionError, ValueError) as error:
            skips.row(name, number, f"is not JSON ({_fault(error)})")
            continue
        if row is None:
            skips.row(name, number, _NO_TEXT)
        else:
            yield Document(row[1], f"{name}:{number}", row[0])


def _fault(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "too deep"
    return str(error).removeprefix("JSON is malformed: ").partition(" (byte")[0]


def _row(value: object) -> Row | None:
    """Title and text of an object, or of a bare text; None where there is none."""
    if isinstance(value, str):
        return "", value
    if not isinstance(value, dict):
        return None
    fields = {str(key).lower(): content for key, content in value.items()}
    text = next((text for field in TEXT_FIELDS if (text := _text(fields.get(field))) is not None), None)
    title = fields.get("title")
    return None if text is None else (title if isinstance(title, str) else "", text)


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    return None


def read_table(file: BinaryIO, name: str, skips: Skips, *, tabs: bool) -> Iterator[Document]:
    """The pieces of a CSV or TSV file, whose first row names the columns.

    Raises:
        Unreadable: no column has a known name, or a cell never ends.
    """
    csv.field_size_limit(LINE_LIMIT)
    with closing(lines(file)) as numbered:
        _, header = next(numbered, (0, ""))
        delimiter = "\t" if tabs else max(_DELIMITERS, key=header.count)
        reader = csv.reader(chain([header], (line for _, line in numbered)), delimiter=delimiter)
        try:
            title, text = _columns(next(reader, []))
            for cells in filter(None, reader):
                if len(cells) <= text:
                    skips.row(name, reader.line_num, "has fewer columns than the first row")
                    continue
                heading = cells[title] if title is not None and title < len(cells) else ""
                yield Document(cells[text], f"{name}:{reader.line_num}", heading)
        except csv.Error as error:
            raise Unreadable(f"is not a table ({error}, line {reader.line_num})") from error


def _columns(names: Sequence[str]) -> tuple[int | None, int]:
    """Where the title and the text are.

    Raises:
        Unreadable: no text column.
    """
    lower = [name.strip().lower() for name in names]
    text = next((lower.index(field) for field in TEXT_FIELDS if field in lower), None)
    if text is None:
        raise Unreadable(
            f"has no column called {_WANTED}: name the column of the texts `text` in its first row"
        )
    return (lower.index("title") if "title" in lower else None), text


def read_parquet(file: BinaryIO, name: str, skips: Skips) -> Iterator[Document]:
    """The pieces of a Parquet file, some hundred rows at a time.

    Raises:
        Unreadable: pyarrow is not installed, the file is damaged, or no column has a known name.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise Unreadable("needs pyarrow to be read: pip install pyarrow, or save it as .jsonl") from error
    try:
        table = ParquetFile(file)
        names: list[str] = list(table.schema_arrow.names)
        title, text = _columns(names)
        wanted = [names[text]] if title is None else [names[text], names[title]]
        number = 0
        for batch in table.iter_batches(batch_size=256, columns=wanted):
            for fields in batch.to_pylist():
                number += 1
                row = _row({"text": fields[names[text]], "title": fields.get(wanted[-1])})
                if row is None:
                    skips.row(name, number, "has no text")
                else:
                    yield Document(row[1], f"{name}:{number}", "" if title is None else row[0])
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"is not a Parquet file that can be read ({type(error).__name__})") from error
