"""A recovery journal as bytes: framed records, each sealed by a checksum that also covers all before it.

Whatever is cut off or damaged, `replay` gives the text as of the last record that is whole, and says whether more
followed. Pure: no files here.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import Struct

from storyteller.liveness import Process  # noqa: TC001  msgspec reads the annotations of its structs
from storyteller.manuscript.encoding import Encoding  # noqa: TC001
from storyteller.manuscript.fingerprint import Fingerprint  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FAMILY: Final = b"storyteller journal "
MAGIC: Final = FAMILY + b"1\n"  # another version of this format has another number here
_LENGTH: Final = struct.Struct(">I")
_SEAL_BYTES: Final = 16

Cursor = tuple[int, int]


class Header(Struct, frozen=True, tag="header"):
    """The first record: whose text this is and where it belongs.

    Attributes:
        document: the file's path as the system's bytes; None for a document without a name.
        on_disk: the version of the file that the text departs from; None where there was no file.
        encoding: how the text becomes that file's bytes.
        process: who writes the journal.
        generation: one more than that of any journal this document had; orders journals where clocks cannot.
        purpose: `unsaved` text, or the text `before` a save that writes in place.
        replaced_by: with `before`: the digest of the bytes being written.
    """

    document: bytes | None
    on_disk: Fingerprint | None
    encoding: Encoding
    process: Process
    generation: int
    purpose: Literal["unsaved", "before"] = "unsaved"
    replaced_by: bytes = b""


class Snapshot(Struct, frozen=True, tag="snapshot"):
    """The whole text. `when` is the wall clock's seconds, to be shown, never compared."""

    text: bytes
    cursor: Cursor
    when: float


class Delta(Struct, frozen=True, tag="delta"):
    """`removed` code points at `start` gave way to `inserted`."""

    start: int
    removed: int
    inserted: bytes
    cursor: Cursor
    when: float


Record = Header | Snapshot | Delta


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a journal's bytes hold.

    Attributes:
        complete: nothing follows the last whole record; otherwise later edits were cut off or damaged.
    """

    header: Header
    text: str
    cursor: Cursor
    when: float
    complete: bool


class Seal:
    """The running checksum of one journal: records are sealed, or opened, in their order."""

    def __init__(self) -> None:
        self._state = hashlib.blake2b(MAGIC, digest_size=_SEAL_BYTES)

    def wrap(self, records: Sequence[Record]) -> bytes:
        """The bytes of `records`, which come next in the journal."""
        frames = bytearray()
        for record in records:
            payload = _ENCODER.encode(record)
            length = _LENGTH.pack(len(payload))
            self._state.update(length + payload)
            frames += length + payload + self._state.digest()
        return bytes(frames)

    def copy(self) -> Seal:
        """The checksum as it stands, to go on from should the next write fail."""
        twin = Seal()
        twin._state = self._state.copy()
        return twin

    def opens(self, framed: bytes, seal: bytes) -> bool:
        """Whether `framed`, length and payload, is what `seal` was set on. Moves on to the next record."""
        self._state.update(framed)
        return self._state.digest() == seal


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Record)


def text_bytes(text: str) -> bytes:
    """Any text as bytes, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def bytes_text(data: bytes) -> str:
    """The inverse of `text_bytes`."""
    return data.decode("utf-8", "surrogatepass")


def replay(data: bytes) -> Replayed | None:
    """The text that a journal's bytes lead to; None where not even its first text survives."""
    records = _Records(data)
    header = next(records, None)
    if not isinstance(header, Header):
        return None
    text: str | None = None
    cursor, when, sound = (0, 0), 0.0, True
    for record in records:
        changed = _apply(record, text)
        if changed is None or isinstance(record, Header):
            sound = False
            break
        text, cursor, when = changed, record.cursor, record.when
    if text is None:
        return None
    return Replayed(header, text, cursor, when, complete=sound and records.at_end)


def read_header(data: bytes) -> Header | None:
    """The header alone, from a journal's first few kilobytes; None where it is damaged."""
    record = next(_Records(data), None)
    return record if isinstance(record, Header) else None


def _apply(record: Record, text: str | None) -> str | None:
    """The text after `record`; None where the record makes no sense here."""
    try:
        if isinstance(record, Snapshot):
            return bytes_text(record.text)
        if text is None or not isinstance(record, Delta):
            return None
        start, end = record.start, record.start + record.removed
        if not 0 <= start <= end <= len(text):
            return None
        return text[:start] + bytes_text(record.inserted) + text[end:]
    except UnicodeDecodeError:
        return None


class _Records:
    """The whole records at the start of a journal; `at_end` tells, afterwards, whether they are all of it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = len(MAGIC) if data.startswith(MAGIC) else len(data)
        self._seal = Seal()

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        payload_at = self._at + _LENGTH.size
        if payload_at > len(self._data):
            raise StopIteration
        (length,) = _LENGTH.unpack_from(self._data, self._at)
        seal_at = payload_at + length
        framed = self._data[self._at : seal_at]
        if not self._seal.opens(framed, self._data[seal_at : seal_at + _SEAL_BYTES]):
            raise StopIteration
        try:
            record: Record = _DECODER.decode(framed[_LENGTH.size :])
        except msgspec.DecodeError:  # whole, but of a version that we do not know
            raise StopIteration from None
        self._at = seal_at + _SEAL_BYTES
        return record
