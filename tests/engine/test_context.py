"""What the model is shown: order, the author's note, cuts in blocks, and the open end."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.prompt.context import assemble, block_of, prompt_of_ids, shown_text
from storyteller.engine.protocol import Context
from storyteller.errors import UserError
from tests.stubs.tiny_gpt2 import WORDS

if TYPE_CHECKING:
    from storyteller.engine.prompt.tokens import Tokens

LONG = "\n\n".join(f"Part {number}. {WORDS}" for number in range(30))


def shown(
    tokens: Tokens, context: Context, window: int = 1024, max_tokens: int = 60, *, heal: bool = True
) -> str:
    prompt = assemble(context, tokens, window=window, max_tokens=max_tokens, heal=heal)
    return shown_text(prompt, tokens)


def test_parts_stand_in_the_order_that_works(tiny_tokens: Tokens) -> None:
    context = Context(
        text="The text goes on",
        header="[genre: noir]",
        memory="The memory.\n",
        lore="The lore.",
        premise="The premise.",
    )
    assert (
        shown(tiny_tokens, context) == "[genre: noir]\nThe memory.\nThe lore.\nThe premise.\nThe text goes on"
    )


def test_a_text_known_from_its_start_begins_with_the_end_of_another(tiny_tokens: Tokens) -> None:
    prompt = assemble(Context(text="The sea"), tiny_tokens, window=64, max_tokens=8)
    assert prompt.ids[0] == tiny_tokens.eos
    assert not prompt.truncated
    cut = assemble(Context(text=LONG), tiny_tokens, window=64, max_tokens=8)
    assert cut.truncated
    assert tiny_tokens.eos not in cut.ids


def test_the_note_stands_three_paragraphs_before_the_end(tiny_tokens: Tokens) -> None:
    context = Context(text="One.\n\nTwo.\n\nThree.\n\nFour.\n\nFive", note="Be sad.")
    assert shown(tiny_tokens, context) == "One.\n\nTwo.\n\n[Author's note: Be sad.]\nThree.\n\nFour.\n\nFive"
    verse = Context(text="one\ntwo\nthree\nfour\n", note="[as a song]")
    assert shown(tiny_tokens, verse) == "one\n[as a song]\ntwo\nthree\nfour\n"
    short = Context(text="One.\n\nTwo", note="Be sad.")
    assert shown(tiny_tokens, short) == "[Author's note: Be sad.]\nOne.\n\nTwo"


def test_the_beginning_stays_while_the_writer_types(tiny_tokens: Tokens) -> None:
    """A prompt of a long text changes its start only once a block: what lies between can be served from the cache."""
    starts = []
    for typed in range(0, 300, 3):
        prompt = assemble(Context(text=LONG + " sea" * typed), tiny_tokens, window=256, max_tokens=32)
        starts.append(tiny_tokens.decode(prompt.ids)[:30])
        assert 256 - 32 - 2 * 64 <= len(prompt.ids) + len(prompt.tail) <= 256 - 32
    changes = sum(1 for one, other in pairwise(starts) if one != other)
    words = 300 * len(tiny_tokens.encode(" sea"))
    assert changes <= words // block_of(256) + 1


def test_what_stands_before_the_text_survives_the_cut(tiny_tokens: Tokens) -> None:
    prompt = assemble(
        Context(text=LONG, memory="Remember me.", note="Be sad."), tiny_tokens, window=256, max_tokens=32
    )
    text = tiny_tokens.decode(prompt.ids)
    assert text.startswith("Remember me.\n")
    assert "[Author's note: Be sad.]" in text
    assert tiny_tokens.decode(prompt.ids[: prompt.fixed]) == "Remember me.\n"


def test_a_cut_never_lands_inside_a_word_or_a_character(tiny_tokens: Tokens) -> None:
    for typed in range(40):
        prompt = assemble(Context(text=LONG + " sea" * typed), tiny_tokens, window=256, max_tokens=32)
        assert tiny_tokens.decode(prompt.ids)[0] in " \n"
        prompt = assemble(Context(text="海" * 400 + "日" * typed), tiny_tokens, window=256, max_tokens=32)
        assert "\ufffd" not in tiny_tokens.decode(prompt.ids)


def test_too_much_around_the_text_is_said_and_not_cut(tiny_tokens: Tokens) -> None:
    with pytest.raises(UserError, match=r"Memory and lore leave the model no room .* shorten by about"):
        assemble(Context(text=LONG, memory=WORDS * 3, lore=WORDS * 3), tiny_tokens, window=256, max_tokens=32)
    with pytest.raises(UserError, match="Memory leaves the model no room"):
        assemble(Context(memory=WORDS * 6), tiny_tokens, window=256, max_tokens=32)


def test_a_space_at_the_end_is_half_of_the_next_token(tiny_tokens: Tokens) -> None:
    prompt = assemble(Context(text="the sea "), tiny_tokens, window=64, max_tokens=8, heal=False)
    assert tiny_tokens.decode(prompt.ids) == "the sea"
    assert (prompt.tail, prompt.typed) == ((), b" ")


@pytest.mark.parametrize("text", ["He said.\n\n", "line\n", "    ", "if x:\n        ", "a\t", "x \n", "\n"])
def test_blanks_at_the_end_are_tokenised_as_before_a_word(tiny_tokens: Tokens, text: str) -> None:
    prompt = assemble(Context(text=text), tiny_tokens, window=64, max_tokens=8)
    followed = tiny_tokens.encode(text + "the")
    assert list(prompt.ids[1:]) == followed[: len(prompt.ids) - 1]
    assert shown_text(prompt, tiny_tokens) == text
    assert prompt.typed == (b" " if text.endswith(" ") else b"")


def test_an_unfinished_word_is_left_to_the_model(tiny_tokens: Tokens) -> None:
    prompt = assemble(Context(text="the old lightho"), tiny_tokens, window=64, max_tokens=8)
    assert tiny_tokens.decode(prompt.ids) == "the old"
    assert prompt.typed == b" lightho"
    assert tiny_tokens.decode(prompt.tail) == " lightho"
    whole = assemble(Context(text="the old lightho"), tiny_tokens, window=64, max_tokens=8, heal=False)
    assert tiny_tokens.decode(whole.ids) == "the old lightho"
    assert whole.typed == b""


def test_a_word_of_very_many_tokens_is_left_but_for_its_last(tiny_tokens: Tokens) -> None:
    prompt = assemble(Context(text="q" * 30), tiny_tokens, window=64, max_tokens=8)
    assert prompt.typed == b"q"
    assert len(prompt.ids) == 30


def test_scripts_without_blanks_are_not_backed_up(tiny_tokens: Tokens) -> None:
    assert assemble(Context(text="日本語"), tiny_tokens, window=64, max_tokens=8).typed == b""


def test_line_ends_are_newlines(tiny_tokens: Tokens) -> None:
    assert shown(tiny_tokens, Context(text="a\r\nb\rc", memory="m\r\n")) == "m\na\nb\nc"


def test_ids_are_taken_as_they_are_and_cut_in_blocks(tiny_tokens: Tokens) -> None:
    assert prompt_of_ids([], tiny_tokens, window=64, max_tokens=8).ids == (tiny_tokens.eos,)
    assert prompt_of_ids([5, 6], tiny_tokens, window=64, max_tokens=8).ids == (5, 6)
    ids = [number % 300 for number in range(100)]
    prompt = prompt_of_ids(ids, tiny_tokens, window=64, max_tokens=8)
    assert prompt.truncated
    assert list(prompt.ids) == ids[48:]
    for wrong in (-1, 400, 1 << 70):
        with pytest.raises(UserError, match=f"There is no token {wrong}"):
            prompt_of_ids([wrong], tiny_tokens, window=64, max_tokens=8)


@given(
    text=st.text(alphabet="ab .\n\t海é", max_size=300),
    note=st.text(alphabet="no te", max_size=8),
    memory=st.text(alphabet="me m\n", max_size=8),
    window=st.sampled_from([64, 65, 128]),
    max_tokens=st.integers(0, 300),
    heal=st.booleans(),
)
def test_every_prompt_fits_and_ends_with_the_text(
    tiny_tokens: Tokens, text: str, note: str, memory: str, window: int, max_tokens: int, *, heal: bool
) -> None:
    context = Context(text=text, note=note, memory=memory)
    prompt = assemble(context, tiny_tokens, window=window, max_tokens=max_tokens, heal=heal)
    assert prompt.ids
    assert len(prompt.ids) + len(prompt.tail) + max(1, min(max_tokens, block_of(window))) <= window
    said = shown_text(prompt, tiny_tokens)
    assert said.endswith(text[-10:]) or note.strip()
    assert prompt.tail == () or tiny_tokens.decode_bytes(prompt.tail) == prompt.typed
    if not prompt.truncated and not note.strip():
        assert said.endswith(text)
