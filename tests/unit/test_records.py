"""A journal's bytes and what they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from storyteller.liveness import Process
from storyteller.manuscript.difference import changed_span
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.fingerprint import Fingerprint
from storyteller.manuscript.records import (
    MAGIC,
    Delta,
    Header,
    Record,
    Seal,
    Snapshot,
    bytes_text,
    read_header,
    replay,
    text_bytes,
)

HEADER = Header(
    document=b"/home/ann/\xff.md",
    on_disk=Fingerprint(1, 2, 3, 4, b"digest"),
    encoding=UTF8,
    process=Process(host="here", boot="boot", pid=7, started="77"),
    generation=3,
)
_texts = st.lists(st.text(st.characters(), max_size=8), min_size=1, max_size=8)


@dataclass
class _Journal:
    data: bytes
    ends: dict[int, str]  # where a record ends, and the text as of then


def _journal(texts: list[str]) -> _Journal:
    seal = Seal()
    data = MAGIC + seal.wrap([HEADER, Snapshot(text_bytes(texts[0]), (0, 0), 1.0)])
    ends = {len(data): texts[0]}
    for number, (old, new) in enumerate(pairwise(texts), 1):
        span = changed_span(old, new)
        data += seal.wrap(
            [Delta(span.start, span.removed, text_bytes(span.added), (number, 0), 1.0 + number)]
        )
        ends[len(data)] = new
    return _Journal(data, ends)


@given(st.text(st.characters(codec=None), max_size=20))
def test_any_text_becomes_bytes_and_back(text: str) -> None:
    assert bytes_text(text_bytes(text)) == text


@given(_texts)
def test_a_journal_leads_to_its_last_text(texts: list[str]) -> None:
    replayed = replay(_journal(texts).data)
    assert replayed is not None
    assert (replayed.header, replayed.text, replayed.complete) == (HEADER, texts[-1], True)
    assert replayed.cursor == (len(texts) - 1, 0)
    assert read_header(_journal(texts).data) == HEADER


def test_what_makes_no_sense_is_not_applied() -> None:
    def text_of(*records: Record) -> str | None:
        found = replay(MAGIC + Seal().wrap(records))
        if found is not None and len(records) > 2:
            assert not found.complete
        return None if found is None else found.text

    first = Snapshot(b"abc", (0, 0), 1.0)
    assert text_of(HEADER, first) == "abc"
    assert text_of(HEADER, first, Delta(2, 5, b"", (0, 0), 2.0)) == "abc"
    assert text_of(HEADER, first, Delta(-1, 1, b"", (0, 0), 2.0)) == "abc"
    assert text_of(HEADER, first, Delta(1, -1, b"", (0, 0), 2.0)) == "abc"
    assert text_of(HEADER, first, Delta(0, 0, b"\xff", (0, 0), 2.0)) == "abc"
    assert text_of(HEADER, first, HEADER) == "abc"
    assert text_of(HEADER, Delta(0, 0, b"a", (0, 0), 2.0)) is None
    assert text_of(HEADER) is None
    assert text_of(first, first) is None


def test_a_record_moved_or_left_out_ends_the_journal() -> None:
    texts = ["", "a", "ab", "abc"]
    data = _journal(texts).data
    ends = list(_journal(texts).ends)
    without_second = data[: ends[1]] + data[ends[2] :]
    found = replay(without_second)
    assert found is not None
    assert (found.text, found.complete) == ("a", False)


@given(st.binary())
def test_other_bytes_are_no_journal(data: bytes) -> None:
    assert replay(data) is None
    assert replay(MAGIC + data) is None
