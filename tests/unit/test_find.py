from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storyteller.errors import UserError
from storyteller.tui.editor import find
from storyteller.tui.editor.find import Matches, Query, search

TEXT = "The rain. the RAIN, rained; a (rain)\nRain"


def found(text: str, query: Query) -> list[str]:
    return [text[start:end] for start, end in search(text, query).spans]


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        (Query("rain"), ["rain", "RAIN", "rain", "rain", "Rain"]),
        (Query("rain", case=True), ["rain", "rain", "rain"]),
        (Query("rain", words=True), ["rain", "RAIN", "rain", "Rain"]),
        (Query("(rain)"), ["(rain)"]),
        (Query("r.*n$", regex=True), ["rain. the RAIN, rained; a (rain", "Rain"][1:]),
        (Query(r"\bthe (\w+)", regex=True), ["The rain", "the RAIN"]),
        (Query("^[A-Z]", regex=True, case=True), ["T", "R"]),
        (Query("x*", regex=True), []),
        (Query(""), []),
        (Query("sun"), []),
    ],
)
def test_what_is_found(query: Query, matches: list[str]) -> None:
    assert found(TEXT, query) == matches


def test_line_ends_count_as_newlines_whatever_the_file_has() -> None:
    text = "one\r\ntwo one\rthree\n"
    assert found(text, Query("one$", regex=True)) == ["one", "one"]
    assert found(text, Query(r"e\nt\w+", regex=True)) == ["e\r\ntwo", "e\rthree"]
    assert found(text, Query("one\ntwo")) == ["one\r\ntwo"]


@settings(max_examples=200)
@given(st.text("ab\r\n ", max_size=40), st.text("ab\n", min_size=1, max_size=3))
def test_a_plain_search_finds_what_it_says(text: str, wanted: str) -> None:
    spans = search(text, Query(wanted, case=True)).spans
    for start, end in spans:
        assert text[start:end].replace("\r\n", "\n").replace("\r", "\n") == wanted
    plain = re.sub("\r\n|\r", "\n", text)
    assert len(spans) == len(re.findall(re.escape(wanted), plain))


def test_a_replacement_is_expanded_for_an_expression_and_left_alone_for_plain_text() -> None:
    expression = search("Lamb, Ada; Webb, Tom", Query(r"(\w+), (\w+)", regex=True), r"\2 \1")
    assert expression.texts == ("Ada Lamb", "Tom Webb")
    assert search("a.b", Query("."), r"\1").texts == (r"\1",)


def test_an_expression_that_would_run_for_ever_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "TIMEOUT_S", 0.3)
    with pytest.raises(UserError, match="too long"):
        search("a" * 64 + "b", Query("(a+)+$", regex=True))


@pytest.mark.parametrize(
    ("pattern", "replacement", "says"),
    [("(", None, "not a regular expression"), ("a", r"\2", "replacement"), ("[z-a]", None, "Mend it")],
)
def test_a_wrong_pattern_says_what_to_do(pattern: str, replacement: str | None, says: str) -> None:
    with pytest.raises(UserError, match=says):
        search("aaa", Query(pattern, regex=True), replacement)


def test_any_character_can_be_searched() -> None:
    text = "a\x00b\ud800c\x1b[31m\u2028"
    assert found(text, Query("\x00b\ud800")) == ["\x00b\ud800"]
    assert found(text, Query("[\ud800\x00]", regex=True)) == ["\x00", "\ud800"]


def test_a_search_ends_at_a_great_many_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "MOST_MATCHES", 10)
    assert len(search("a" * 100, Query("a"))) == 10
    assert len(search("a" * 100, Query("a", regex=True))) == 10


SPANS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), max_size=10)


def spans_of(gaps: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    spans: list[tuple[int, int]] = []
    position = 0
    for gap, size in gaps:
        spans.append((position + gap, position + gap + size))
        position += gap + size
    return tuple(spans)


@given(SPANS, st.integers(0, 60), st.integers(0, 20), st.integers(0, 20))
def test_matches_follow_an_edit(gaps: list[tuple[int, int]], start: int, removed: int, added: int) -> None:
    spans = spans_of(gaps)
    kept = [(a, b) for a, b in spans if b <= start]
    moved = [
        (a + added - removed, b + added - removed) for a, b in spans if a >= start + removed and b > start
    ]
    assert list(Matches(spans).shifted(start, removed, added).spans) == kept + moved


@given(SPANS, st.integers(0, 60), st.integers(0, 60))
def test_matches_of_a_line_and_around_the_caret(gaps: list[tuple[int, int]], start: int, end: int) -> None:
    spans = spans_of(gaps)
    matches = Matches(spans)
    if start <= end:
        assert list(matches.between(start, end)) == [(a, b) for a, b in spans if b > start and a < end]
    if spans:
        after = [span for span in spans if span[0] >= start]
        assert spans[matches.at_or_after(start)] == (after[0] if after else spans[0])
        before = [span for span in spans if span[0] < start]
        assert spans[matches.before(start)] == (before[-1] if before else spans[-1])
