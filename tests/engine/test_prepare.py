"""Reading ahead of a likely request: what Tab finds in the cache, and where the window will move next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.network.cache import Trunk
from storyteller.engine.prompt.context import assemble
from storyteller.engine.protocol import Began, Context, Prepare
from storyteller.engine.settings import SamplerSettings
from tests.stubs.tiny_gpt2 import WORDS, Room, takes_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pytest

    from storyteller.engine.prompt.tokens import Tokens
    from storyteller.engine.protocol import GenerateEvent

WINDOW = 64
TAKE = 12  # tokens of a take: the window keeps them free
PLAIN = SamplerSettings(loop_guard=False, banned_tokens=(0,))


def prompt_at(tokens: Tokens, text: str, growth: int = 0) -> tuple[int, ...]:
    context = Context(text=text)
    return assemble(context, tokens, window=WINDOW, max_tokens=TAKE, growth=growth).ids


def before_a_slide(tokens: Tokens) -> str:
    """A text that fits, and that a take more moves the window of."""
    for end in range(len(WORDS), 0, -1):
        text = WORDS[:end]
        if text.endswith((".", ",")) and prompt_at(tokens, text)[0] == tokens.eos:
            assert prompt_at(tokens, text, TAKE)[0] != tokens.eos
            return text
    raise AssertionError("every text is too long")


def prepare(room: Room, text: str, cancel: CancelSignal | None = None) -> None:
    request = Prepare(id="p", context=Context(text=text), max_tokens=TAKE)
    room.core.prepare(request, cancel or CancelSignal())


def ask(room: Room, text: str, **request: Any) -> list[GenerateEvent]:
    return room.generate(text, max_tokens=TAKE, settings=PLAIN, **request)


def unread(events: Sequence[GenerateEvent]) -> int:
    """Tokens of the prompt that the cache did not hold."""
    began = events[0]
    assert isinstance(began, Began)
    return len(began.ids) - began.reused


def test_where_a_take_would_move_the_window_its_next_place_is_read_already(
    tiny_room: Room, tiny_tokens: Tokens
) -> None:
    text = before_a_slide(tiny_tokens)
    prepare(tiny_room, text)
    assert unread(ask(tiny_room, text)) == 0
    later = text + " The sea, the sea, the sea."  # as long as a take, and accepted
    moved = prompt_at(tiny_tokens, later)
    assert moved[0] != tiny_tokens.eos
    assert unread(ask(tiny_room, later)) <= TAKE + 1 < len(moved) // 2


def test_another_take_of_the_same_place_finds_its_prompt_still_there(
    tiny_room: Room, tiny_tokens: Tokens
) -> None:
    text = before_a_slide(tiny_tokens)
    first = ask(tiny_room, text)
    prepare(tiny_room, text)  # the writer reads the take
    again = ask(tiny_room, text)
    assert unread(again) == 0
    assert takes_of(again)[0].ids == takes_of(first)[0].ids


def test_what_was_read_ahead_changes_no_token(tiny_model: Path, tiny_tokens: Tokens) -> None:
    text = before_a_slide(tiny_tokens)
    ahead, plain = Room(tiny_model), Room(tiny_model)
    prepare(ahead, text)
    grown = text
    for _ in range(3):
        expected, got = ask(plain, grown, takes=2), ask(ahead, grown, takes=2)
        assert [take.ids for take in takes_of(got)] == [take.ids for take in takes_of(expected)]
        grown += takes_of(got)[0].text + "."
        prepare(ahead, grown)


def test_a_take_stays_in_the_cache_while_its_place_is_prepared_again(tiny_room: Room) -> None:
    """Accepted, it is most of the next prompt."""
    text = "The old lighthouse keeper opened the door."
    events = ask(tiny_room, text)
    began, take = events[0], takes_of(events)[0]
    assert isinstance(began, Began)
    held = (*began.ids, *take.ids)[:-1]  # the last token was not read
    lanes = tiny_room.core.opened.lanes("main", tiny_room.core.opened.network)
    assert lanes.reusable(held) == len(held)
    prepare(tiny_room, text)
    assert lanes.reusable(held) == len(held)


def test_far_from_a_slide_nothing_is_read_twice(tiny_room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = Trunk.extend

    def counted(trunk: Trunk, ids: Sequence[int]) -> object:
        read.append(len(ids))
        return original(trunk, ids)

    monkeypatch.setattr(Trunk, "extend", counted)
    prepare(tiny_room, "The sea.")
    assert 0 < sum(read) < 10
    prepare(tiny_room, "The sea.")
    assert sum(read) < 10


def test_once_cancelled_nothing_more_is_read(tiny_room: Room, tiny_tokens: Tokens) -> None:
    text = before_a_slide(tiny_tokens)
    signal = CancelSignal()
    signal.cancel()
    prepare(tiny_room, text, signal)
    assert unread(ask(tiny_room, text)) > len(prompt_at(tiny_tokens, text)) // 2


def test_without_memory_for_it_the_prompt_is_prepared_all_the_same(
    tiny_room: Room, tiny_tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = before_a_slide(tiny_tokens)
    main = tiny_room.core.opened.lanes("main", tiny_room.core.opened.network)
    original = Trunk.extend

    def extend(trunk: Trunk, ids: Sequence[int]) -> object:
        if trunk is not main._trunk:
            raise MemoryError
        return original(trunk, ids)

    with monkeypatch.context() as patch:
        patch.setattr(Trunk, "extend", extend)
        prepare(tiny_room, text)
        patch.setattr(Trunk, "extend", original)
    assert unread(ask(tiny_room, text)) == 0


@settings(max_examples=40)
@given(size=st.integers(1, 600), growth=st.integers(0, 40))
def test_a_longer_text_begins_as_was_foreseen(tiny_tokens: Tokens, size: int, growth: int) -> None:
    """Whatever the text will be once it is `growth` tokens longer, its prompt begins with the ids of today."""
    text = ("The sea. " * 200)[:size].rstrip()
    foreseen = prompt_at(tiny_tokens, text, growth)
    grown = text
    while len(tiny_tokens.encode(grown)) < len(tiny_tokens.encode(text)) + growth:
        grown += "."
    if len(tiny_tokens.encode(grown)) != len(tiny_tokens.encode(text)) + growth:
        return  # no text is exactly so much longer this way
    actual = prompt_at(tiny_tokens, grown)
    known = len(foreseen) - 4  # the last word may be spelt anew
    assert actual[: max(0, known)] == foreseen[: max(0, known)]
