"""safety 38, 44: no prompt is too short, too long or too odd, and nothing raw leaves the engine."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest

from storyteller.engine.protocol import Began, Context, Probe, Score
from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.text import writable_text
from tests.stubs.tiny_gpt2 import Room, takes_of, tokens_of, write_model

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = SamplerSettings(loop_guard=False, banned_tokens=(0,))


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A window of GPT-2's length."""
    return Room(write_model(tmp_path_factory.mktemp("model"), n_positions=1024, n_layer=1))


@pytest.mark.parametrize("count", [0, 1, 1022, 1023, 1024, 1025, 2000, 100_000])
@pytest.mark.parametrize("takes", [1, 2])
def test_prompts_of_any_number_of_tokens(room: Room, count: int, takes: int) -> None:  # safety 38
    ids = tuple(1 + number % 300 for number in range(count))
    events = room.generate(ids=ids, takes=takes, max_tokens=5, settings=PLAIN)
    began = events[0]
    assert isinstance(began, Began)
    assert began.truncated == (count > 1019)
    lengths = [len(take.ids) for take in takes_of(events)]
    assert len(lengths) == takes
    assert all(1 <= length <= 5 for length in lengths)  # a take may end its text


@pytest.mark.parametrize("words", [0, 1, 340, 341, 342, 343, 1023, 1024, 1025, 60_000])
def test_texts_of_any_length(room: Room, words: int) -> None:  # safety 38
    text = " the" * words
    events = room.generate(text, max_tokens=5, settings=PLAIN)
    began = events[0]
    assert isinstance(began, Began)
    assert takes_of(events)[0].finish == "length"
    assert len(began.ids) <= 1019


ODD = [
    "",
    " ",
    "     ",
    "\n",
    "\n\n\n",
    "\t",
    " \n ",
    "\u00a0\u3000",
    "\x00",
    "\x00\x01\x1b[31m\x07\x9b",
    "\x1c\x1d\x1e\x85",
    "<|endoftext|>",
    "The end.<|endoftext|>",
    "<|endoftext|>" * 400,
    "\ud800",
    "a\udcff",
    "\u202e\u2066",
    "🜁",
    "e\u0301" * 50,
    "日本語" * 500,
    "x" * 5000,
    "[/red][link=x]",
    "\ufeff",
]


@pytest.mark.parametrize("text", ODD, ids=lambda text: ascii(text)[:20])
@pytest.mark.parametrize("heal", [True, False])
def test_odd_texts(room: Room, text: str, *, heal: bool) -> None:  # safety 38
    for part in ("text", "memory", "note"):
        context = Context(**({"text": "The sea"} | {part: text[:300] if part != "text" else text}))
        events = room.generate(context=context, heal=heal, takes=2, max_tokens=4, settings=PLAIN)
        began = events[0]
        assert isinstance(began, Began)
        assert 0 not in began.ids[1:]
        for take in takes_of(events):
            assert writable_text(take.text) == take.text
    room.core.probe(Probe(id="p", context=Context(text=text)))
    if text:
        room.core.score(Score(id="s", text=text))


@pytest.mark.parametrize("size", [8, 9, 16])
def test_windows_of_hardly_any_size(tmp_path: Path, size: int) -> None:  # safety 38
    room = Room(write_model(tmp_path, n_positions=size, n_layer=1))
    for text in ("", "a", "The old sea ", "the lightho"):
        for takes in (1, 2):
            events = room.generate(text, takes=takes, max_tokens=7, settings=PLAIN)
            assert all(take.finish == "length" for take in takes_of(events))


@pytest.mark.parametrize("method", ["beam", "contrastive", "greedy", "sample"])
@pytest.mark.parametrize("text", ["", " ", "<|endoftext|>", " the" * 1100, "The lightho"])
def test_every_method_takes_every_prompt(room: Room, method: str, text: str) -> None:  # safety 38
    settings = SamplerSettings(method=method, loop_guard=False, beams=2, contrastive_k=2)  # type: ignore[arg-type] # a Literal by name
    events = room.generate(text, takes=2, max_tokens=4, settings=settings)
    assert len(takes_of(events)) == 2


FORCED = {
    "escape": b"\x1b[31mred\x1b[0m",
    "bell": b"\x07\x07",
    "c1": "\x9b31m".encode(),
    "nul": b"\x00",
    "bidi": "\u202eabc\u2066".encode(),
    "osc": b"\x1b]8;;http://evil\x07link\x1b]8;;\x07",
    "raw bytes": b"\x9b\xff\xfe",
    "separator": "\u2028\u2029".encode(),
    "backspace": b"abc\x08\x08\x7f",
    "carriage": b"a\rb\r\nc\r",
}


@pytest.mark.parametrize("forced", FORCED.values(), ids=FORCED)
def test_nothing_raw_leaves_the_engine(room: Room, forced: bytes) -> None:  # safety 44, 45
    """The model is made to say each byte in turn, so that every sequence is cut at every place."""
    tokens = room.core.opened.tokens
    single = {piece: token for token in range(300) if len(piece := tokens.token_bytes(token)) == 1}
    path = [single[bytes([byte])] for byte in forced]
    said: list[str] = []
    text = ""
    for step, token in enumerate(path):
        settings = SamplerSettings(logit_bias={token: 1000.0}, loop_guard=False)
        ids = (*tokens.encode("The sea"), *path[:step])
        events = room.generate(ids=ids, max_tokens=1, settings=settings)
        said += [event.text for event in tokens_of(events)]
    settings = SamplerSettings(
        logit_bias=dict.fromkeys(path, 50.0), loop_guard=False, temperature=3.0, banned_tokens=(0,)
    )
    events = room.generate("The sea", takes=4, stop=StopRules(max_tokens=80, stop=("zz",)), settings=settings)
    said += [event.text for take in range(4) for event in tokens_of(events, take)]
    said += [take.text for take in takes_of(events)]
    text = "".join(said)
    assert all(
        character in "\n\t" or unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
        for character in text
    )
    assert not {"\u202e", "\u2066", "\u061c"} & set(text)
