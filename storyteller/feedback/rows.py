r"""Records as rows of the library and back. Every string comes back as it went in: lone surrogates, NULs and all.

Texts longer than `LONGEST_TEXT` characters are cut there and the row is marked `capped`.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from array import array
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from storyteller.feedback.records import FeedbackEvent, GenerationRecord, Survival, TakeRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONGEST_TEXT: Final = 1_000_000
_LARGEST_ID: Final = 0xFFFF_FFFF

Value: TypeAlias = str | bytes | int | float | None


class DamagedRow(sqlite3.DatabaseError):
    """What a column holds was never written by us: damage that SQLite itself cannot see."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def pack_text(text: str) -> bytes:
    """UTF-8 in which lone surrogates pass."""
    return text.encode("utf-8", "surrogatepass")


def unpack_text(blob: bytes) -> str:
    """The inverse of `pack_text`. Where a disk turned a bit, the character is lost and the text is not."""
    try:
        return blob.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return blob.decode("utf-8", "replace")


def name_hash(name: str) -> str:
    """What stands for a document's or a genre's name where the name itself should not be read."""
    return blake2b(pack_text(name), digest_size=16).hexdigest()


def pack_json(value: object) -> bytes:
    """JSON with sorted keys, readable as text; numbers JSON does not know (NaN, infinities) become null."""
    return pack_text(json.dumps(_finite(value), ensure_ascii=False, sort_keys=True, allow_nan=False))


def unpack_json(blob: bytes) -> object:
    """The inverse of `pack_json`.

    Raises:
        DamagedRow: this is no JSON; so do the other inverses here.
    """
    with _damage_told():
        value: object = json.loads(unpack_text(blob))
    return value


def unpack_table(blob: bytes) -> dict[str, object]:
    """A JSON object as `pack_json` packed it."""
    with _damage_told():
        return msgspec.convert(unpack_json(blob), dict[str, object])


def pack_ids(ids: Sequence[int]) -> tuple[bytes, int]:
    """Token ids as little-endian unsigned integers, and how many bytes each takes: 2, or 4 past 65,535.

    Raises:
        ValueError: an id is negative or takes more than four bytes.
    """
    largest = max(ids, default=0)
    if min(ids, default=0) < 0 or largest > _LARGEST_ID:
        message = f"Token ids must lie between 0 and {_LARGEST_ID}."
        raise ValueError(message)
    packed = array("H" if largest <= 0xFFFF else "I", ids)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes(), packed.itemsize


def unpack_ids(blob: bytes, id_bytes: int) -> tuple[int, ...]:
    """The inverse of `pack_ids`."""
    with _damage_told():
        unpacked = array("H" if id_bytes == 2 else "I", blob)
    if sys.byteorder == "big":
        unpacked.byteswap()
    return tuple(unpacked)


def generation_row(record: GenerationRecord) -> dict[str, Value]:
    """The columns of `generation`."""
    capped = len(record.prompt) > LONGEST_TEXT
    prompt_ids, id_bytes = pack_ids(() if capped else record.prompt_ids)
    return {
        "id": record.id,
        "session": record.session,
        "ts": record.ts,
        "document": pack_text(record.document),
        "document_hash": name_hash(record.document),
        "revision": record.revision,
        "genre": pack_text(record.genre),
        "cursor": record.cursor,
        "model": pack_text(record.model),
        "model_hash": record.model_hash,
        "adapters": pack_json(msgspec.to_builtins(record.adapters)),
        "settings": pack_json(msgspec.to_builtins(record.settings)),
        "seed": str(record.seed),
        "prompt": pack_text(record.prompt[-LONGEST_TEXT:]),  # what stands before the caret matters most
        "prompt_ids": prompt_ids,
        "prompt_id_bytes": id_bytes,
        "prompt_truncated": record.prompt_truncated or capped,
        "capped": capped,
        "first_token_ms": record.first_token_ms,
        "total_ms": record.total_ms,
    }


def generation_from(row: sqlite3.Row) -> GenerationRecord:
    """The inverse of `generation_row`, but for what was cut."""
    with _damage_told():
        return msgspec.convert(
            {
                "id": row["id"],
                "session": row["session"],
                "ts": row["ts"],
                "document": unpack_text(row["document"]),
                "revision": row["revision"],
                "genre": unpack_text(row["genre"]),
                "cursor": row["cursor"],
                "model": unpack_text(row["model"]),
                "model_hash": row["model_hash"],
                "adapters": unpack_json(row["adapters"]),
                "settings": unpack_table(row["settings"]),
                "seed": int(row["seed"]),
                "prompt": unpack_text(row["prompt"]),
                "prompt_ids": unpack_ids(row["prompt_ids"], row["prompt_id_bytes"]),
                "prompt_truncated": bool(row["prompt_truncated"]),
                "first_token_ms": row["first_token_ms"],
                "total_ms": row["total_ms"],
            },
            GenerationRecord,
        )


def take_row(record: TakeRecord) -> dict[str, Value]:
    """The columns of `take`."""
    capped = len(record.text) > LONGEST_TEXT
    ids, id_bytes = pack_ids(() if capped else record.ids)
    return {
        "id": record.id,
        "generation": record.generation,
        "index": record.index,
        "text": pack_text(record.text[:LONGEST_TEXT]),
        "ids": ids,
        "id_bytes": id_bytes,
        "capped": capped,
        "logprob_sum": record.logprob_sum,
        "logprob_mean": record.logprob_mean,
        "finish": record.finish,
        "shown": record.shown,
        "shown_ms": record.shown_ms,
        "seed": str(record.seed),
    }


def take_from(row: sqlite3.Row) -> TakeRecord:
    """The inverse of `take_row`, but for what was cut."""
    with _damage_told():
        return msgspec.convert(
            {
                "id": row["id"],
                "generation": row["generation"],
                "index": row["index"],
                "text": unpack_text(row["text"]),
                "ids": unpack_ids(row["ids"], row["id_bytes"]),
                "logprob_sum": row["logprob_sum"],
                "logprob_mean": row["logprob_mean"],
                "finish": row["finish"],
                "seed": int(row["seed"] or 0),
                "shown": bool(row["shown"]),
                "shown_ms": row["shown_ms"],
            },
            TakeRecord,
        )


def event_row(record: FeedbackEvent) -> dict[str, Value]:
    """The columns of `event`, its sequence number aside."""
    payload = pack_json(msgspec.to_builtins(record.payload))
    return {
        "id": record.id,
        "ts": record.ts,
        "monotonic": record.monotonic,
        "generation": record.generation,
        "take": record.take,
        "kind": record.kind,
        "start": record.start,
        "end": record.end,
        "elapsed_ms": record.elapsed_ms,
        "payload": payload if len(payload) <= 4 * LONGEST_TEXT else pack_json({"capped": True}),
    }


def event_from(row: sqlite3.Row) -> FeedbackEvent:
    """The inverse of `event_row`."""
    with _damage_told():
        return msgspec.convert(
            {
                "id": row["id"],
                "ts": row["ts"],
                "monotonic": row["monotonic"],
                "generation": row["generation"],
                "take": row["take"],
                "kind": row["kind"],
                "start": row["start"],
                "end": row["end"],
                "elapsed_ms": row["elapsed_ms"],
                "payload": unpack_table(row["payload"]),
            },
            FeedbackEvent,
        )


def survival_row(record: Survival) -> dict[str, Value]:
    """The columns of `survival`."""
    return {
        "take": record.take,
        "horizon": record.horizon,
        "ts": record.ts,
        "elapsed_s": record.elapsed_s,
        "length": record.length,
        "kept": record.kept,
        "overlap": record.overlap,
        "distance": record.distance,
        "now": pack_text(record.now[:LONGEST_TEXT]),
        "capped": len(record.now) > LONGEST_TEXT,
    }


def survival_from(row: sqlite3.Row) -> Survival:
    """The inverse of `survival_row`, but for what was cut."""
    with _damage_told():
        return msgspec.convert(
            {
                "take": row["take"],
                "horizon": row["horizon"],
                "ts": row["ts"],
                "elapsed_s": row["elapsed_s"],
                "length": row["length"],
                "kept": row["kept"],
                "overlap": row["overlap"],
                "distance": row["distance"],
                "now": unpack_text(row["now"]),
            },
            Survival,
        )


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except (ValueError, TypeError, AttributeError, RecursionError, msgspec.MsgspecError) as error:
        message = "a row holds what was never written"
        raise DamagedRow(message) from error


def _finite(value: object) -> object:
    match value:
        case float() if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - NaN
            return None
        case dict():
            return {str(key): _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value
