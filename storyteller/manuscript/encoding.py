"""Bytes to text and back, so that what was not edited comes back byte for byte, whatever it was."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from storyteller.errors import DocumentError
from storyteller.text import display_line

if TYPE_CHECKING:
    from collections.abc import Iterator

_ASCII: Final = bytes(range(0x80))
_WINDOWS_ONLY: Final = re.compile(rb"[\x80-\x9f]")
_UTF16: Final[tuple[tuple[bytes, Literal["utf-16-le", "utf-16-be"]], ...]] = (
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Encoding(Struct, frozen=True):
    """How a file's bytes are its text: `bom` first, then the text in `name`, with Python's error handler `errors`.

    `surrogateescape` keeps bytes that are not UTF-8, one by one, as U+DC80..U+DCFF.
    """

    name: Literal["utf-8", "utf-16-le", "utf-16-be", "cp1252", "latin-1"] = "utf-8"
    bom: bytes = b""
    errors: Literal["strict", "surrogateescape", "surrogatepass"] = "strict"

    @property
    def label(self) -> str:
        """What a writer reads in the status line."""
        return {"cp1252": "Windows-1252", "latin-1": "Latin-1"}.get(self.name, self.name.upper())


UTF8: Final = Encoding()


class CannotEncode(DocumentError):  # noqa: N818  it says what happened
    """A character does not exist in the file's encoding.

    Attributes:
        character: the first such character.
        offset: where it stands, in code points.
        encoding: what it does not fit.
        utf8_fits: whether saving with `UTF8` instead would work.
    """

    title = "The manuscript was not saved"

    def __init__(self, text: str, offset: int, encoding: Encoding) -> None:
        self.character = text[offset]
        self.offset = offset
        self.encoding = encoding
        self.utf8_fits = _fits(text, UTF8)
        code = f"U+{ord(self.character):04X}"
        what = f"“{display_line(self.character)}” ({unicodedata.name(self.character, code)}, {code})"
        line = text.count("\n", 0, offset) + 1
        way_out = (
            "Save it as UTF-8, or replace that character."
            if self.utf8_fits
            else "It is half of a character: delete it and save again."
        )
        super().__init__(f"{what} in line {line} cannot be written in {encoding.label}. {way_out}")


def decode(data: bytes) -> tuple[str, Encoding]:
    """The text of `data` and the encoding that gives `data` back: `encode(*decode(data)) == data`, always.

    UTF-8 and UTF-16 by their byte order marks, then UTF-8; bytes that are mostly UTF-8 keep the broken ones
    escaped; anything else is Windows-1252 where it uses that code page's own characters, or Latin-1.
    """
    for encoding in _candidates(data):
        try:
            text = data[len(encoding.bom) :].decode(encoding.name, encoding.errors)
            if encode(text, encoding) == data:
                return text, encoding
        except (UnicodeDecodeError, CannotEncode):
            continue
    return data.decode("latin-1"), Encoding("latin-1")


def encode(text: str, encoding: Encoding) -> bytes:
    """The bytes of `text`.

    Raises:
        CannotEncode: a character does not exist in this encoding.
    """
    try:
        return encoding.bom + text.encode(encoding.name, encoding.errors)
    except UnicodeEncodeError as error:
        raise CannotEncode(text, error.start, encoding) from error


def _candidates(data: bytes) -> Iterator[Encoding]:
    """Encodings worth trying, the likeliest first. Latin-1, which fits all bytes, is what remains."""
    if data.startswith(codecs.BOM_UTF8):
        yield Encoding("utf-8", codecs.BOM_UTF8)
        yield Encoding("utf-8", codecs.BOM_UTF8, "surrogateescape")
    for bom, name in _UTF16:
        if data.startswith(bom):
            yield Encoding(name, bom)
            yield Encoding(name, bom, "surrogatepass")
    yield UTF8
    if _mostly_utf8(data):
        yield Encoding("utf-8", errors="surrogateescape")
    if _WINDOWS_ONLY.search(data):
        yield Encoding("cp1252")


def _mostly_utf8(data: bytes) -> bool:
    """Whether more bytes belong to valid characters outside ASCII than to none."""
    valid = data.decode("utf-8", "ignore").encode("utf-8")
    broken = len(data) - len(valid)
    return len(valid.translate(None, _ASCII)) > broken


def _fits(text: str, encoding: Encoding) -> bool:
    try:
        text.encode(encoding.name, encoding.errors)
    except UnicodeEncodeError:
        return False
    return True
