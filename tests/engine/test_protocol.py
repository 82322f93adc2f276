"""The protocol's lines: what is written is what is read, whatever the text, and nothing else is read."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.process.failures import error_of, failed
from storyteller.engine.process.wire import UNREADABLE, LineSplitter
from storyteller.engine.protocol import (
    VERSION,
    AdapterWeight,
    Context,
    Done,
    Event,
    Failed,
    Generate,
    Hello,
    Request,
    Score,
    Token,
    decode_event,
    decode_request,
    encode,
)
from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.errors import EngineError, ModelError, UserError

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))  # lone surrogates and controls too
UNICODE = st.text()
MIXES = st.lists(st.builds(AdapterWeight, name=UNICODE, weight=st.floats(-9, 9)), max_size=3).map(tuple)


@given(
    st.builds(
        Generate,
        id=UNICODE,
        context=st.builds(Context, text=UNICODE, memory=UNICODE, note=UNICODE),
        ids=st.none() | st.lists(st.integers(0, 60_000)).map(tuple),
        takes=st.integers(1, 8),
        settings=st.builds(
            SamplerSettings,
            temperature=st.floats(0, 9),
            logit_bias=st.dictionaries(st.integers(0, 60_000), st.floats(-100, 100)),
            banned_phrases=st.lists(UNICODE).map(tuple),
        ),
        stop=st.builds(StopRules, max_tokens=st.integers(0, 100_000), stop=st.lists(UNICODE).map(tuple)),
        seed=st.none() | st.integers(-(2**63), 2**64 - 1),
        seeds=st.lists(st.integers(0, 2**63)).map(tuple),
        adapters=MIXES,
        take_adapters=st.lists(MIXES).map(tuple),
    )
)
def test_requests_come_back_as_they_went(request: Request) -> None:
    line = encode(request)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_request(line) == request


@given(
    st.builds(
        Token,
        id=UNICODE,
        take=st.integers(0, 7),
        text=UNICODE,
        token=st.integers(0),
        logprob=st.floats(-99, 0),
    )
)
def test_events_come_back_as_they_went(event: Event) -> None:
    assert decode_event(encode(event)) == event


@given(ANY_TEXT)
def test_lone_surrogates_become_one_replacement_character_each(text: str) -> None:
    arrived = decode_request(encode(Score(id="s", text=text)))
    assert isinstance(arrived, Score)
    utf16 = text.encode("utf-16-le", "surrogatepass")  # where halves that stand together make one character
    assert arrived.text == utf16.decode("utf-16-le", "replace")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not json",
        b"{}",
        b'{"type":"generate"}',
        b'{"type":"token","id":"x"}',
        b'{"type":"generate","id":"x","settings":{"temperature":-1}}',
        b'{"type":"generate","id":"x","settings":{"no_such_setting":1}}',
        b'{"type":"score","id":"x","text":"\xff"}',
        b"[" * 100_000,
    ],
    ids=[str(number) for number in range(9)],
)
def test_what_is_no_request_is_refused(line: bytes) -> None:
    with pytest.raises(UNREADABLE):
        decode_request(line)


def test_events_are_no_requests_and_the_version_is_told() -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_request(encode(Done(id="x")))
    assert decode_event(encode(Hello(pid=1))) == Hello(version=VERSION, pid=1)


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line)), st.data())
def test_lines_are_the_same_whatever_the_chunks(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    splitter = LineSplitter(limit=20)
    found: list[bytes | None] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:end])
    assert found == [line if len(line) <= 20 else None for line in lines]


def test_a_line_without_end_is_not_kept() -> None:
    splitter = LineSplitter(limit=1000)
    for _ in range(1000):
        assert splitter.feed(b"x" * 100) == []
    assert sum(map(len, splitter._parts)) <= 1000
    assert splitter.feed(b"\nnext\n") == [None, b"next"]


def test_errors_cross_the_process_border() -> None:
    event = failed(ModelError("Name another folder."), "load")
    assert event == Failed(id="load", title=ModelError.title, message="Name another folder.", exit_code=2)
    there = error_of(event)
    assert isinstance(there, UserError)
    assert str(there) == "The model cannot be opened: Name another folder."
    assert isinstance(error_of(failed(EngineError("Again."), None)), EngineError)
