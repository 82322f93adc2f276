"""Banned phrases in a stream of bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.sampling import PhraseGuard
from storyteller.engine.sampling.phrases import Found


def fed(guard: PhraseGuard, *pieces: str | bytes) -> list[Found | None]:
    return [guard.append(piece.encode() if isinstance(piece, str) else piece) for piece in pieces]


def test_a_phrase_is_found_when_it_is_whole_and_where_it_began() -> None:
    guard = PhraseGuard(["a testament to"])
    found = fed(guard, "It", " was", " a", " test", "ament", " to", " him")
    assert found == [None] * 5 + [Found("a testament to", 2), None]


def test_case_does_not_matter_nor_how_it_was_cut() -> None:
    for pieces in (["Shivers DOWN"], ["shi", "vers d", "own"], list("sHiVeRs DoWn")):
        assert fed(PhraseGuard(["shivers down"]), *pieces)[-1] == Found("shivers down", 0)


def test_a_phrase_begun_in_the_prompt_goes_back_to_the_take_s_start() -> None:
    guard = PhraseGuard(["once upon a time"], b"It began: Once upon")
    assert fed(guard, " a", " time") == [None, Found("once upon a time", 0)]


def test_the_prompt_s_own_phrases_are_the_writer_s() -> None:
    guard = PhraseGuard(["dark"], b"It was dark")
    assert fed(guard, " and", " cold") == [None, None]


def test_characters_cut_between_tokens() -> None:
    guard = PhraseGuard(["naïve", "愛"])
    first, second = "ï".encode()[:1], "ï".encode()[1:]
    assert fed(guard, "so na", first, second + b"v", "e") == [None, None, None, Found("naïve", 0)]
    love = "愛".encode()
    assert fed(guard, love[:1], love[1:2], love[2:]) == [None, None, Found("愛", 4)]


def test_after_going_back_it_is_found_again() -> None:
    guard = PhraseGuard(["bad"])
    assert fed(guard, "a ", "b", "ad")[-1] == Found("bad", 1)
    guard.rewind(2)
    assert fed(guard, "good ", "ba", "d")[-1] == Found("bad", 2)


def test_what_may_become_a_phrase_is_held_back() -> None:
    guard = PhraseGuard(["shivers down", "short"])
    held = []
    for piece in ("He ", "sh", "iv", "ers", " up"):
        guard.append(piece.encode())
        held.append(guard.held_back)
    assert held == [0, 2, 4, 7, 0]
    assert PhraseGuard([]).held_back == 0


@given(
    st.lists(st.text("ab \n", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.text("abAB \nï", min_size=1, max_size=4), max_size=20),
    st.text("ab ", max_size=6),
)
def test_found_exactly_when_the_text_newly_ends_up_holding_it(
    phrases: list[str], pieces: list[str], prompt: str
) -> None:
    guard = PhraseGuard(phrases, prompt.encode())
    text, starts = prompt, [len(prompt)]
    for index, piece in enumerate(pieces):
        before, text = len(text), text + piece
        starts.append(len(text))
        found = guard.append(piece.encode())
        ends = [
            at
            for phrase in phrases
            for at in range(len(text))
            if text.lower().startswith(phrase, at) and at + len(phrase) > before
        ]
        if not ends:
            assert found is None
        else:
            assert found is not None
            at = min(ends)
            assert found.start == max(0, next(i for i in range(index + 1) if starts[i + 1] > at))


@given(
    st.lists(st.text("ab ", min_size=1, max_size=5), min_size=1, max_size=3),
    st.lists(st.text("abï ", min_size=1, max_size=3), max_size=12),
)
def test_nothing_shown_was_ever_part_of_a_phrase(phrases: list[str], pieces: list[str]) -> None:
    guard, text, shown = PhraseGuard(phrases), "", 0
    for piece in pieces:
        text += piece
        found = guard.append(piece.encode())
        if found is not None:
            at = min(at for phrase in phrases if (at := text.lower().find(phrase)) >= 0)
            assert at >= shown
            return
        shown = max(shown, len(text) - guard.held_back)
