"""A manuscript without the sentences that the model had a part in."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.manuscript.own_words import own_words
from storyteller.manuscript.provenance import Origin, Provenance, Run

ORIGINS: dict[str, Origin] = {"[": "accepted", "{": "edited"}


def told(marked: str) -> tuple[str, Provenance]:
    """A text in which `[…]` is accepted and `{…}` accepted and edited."""
    runs: list[Run] = []
    for part in re.findall(r"\[[^\]]*\]|\{[^}]*\}|[^\[{]+", marked):
        bare = part.strip("[]{}")
        runs.append((len(bare), ORIGINS.get(part[0], "mine")))
    provenance = Provenance()
    provenance.put(0, 0, runs)
    return re.sub(r"[\[\]{}]", "", marked), provenance


@pytest.mark.parametrize(
    ("marked", "kept"),
    [
        ("Mine. And mine.", "Mine. And mine."),
        ("Mine.[ Not mine.] Mine again.", "Mine. Mine again."),
        ("Mine.[ One. Two.]\n\nMine.", "Mine.\n\nMine."),
        ("She opened the door and[ saw the sea.] He waited.", " He waited."),
        ("Mine.\n\n[Not mine.] Mine again.", "Mine.\n\nMine again."),
        ("Mine.\n\nShe[ rose.]\n\nMine again.", "Mine.\n\nMine again."),
        ("Mine. {Changed} by me.", "Mine. Changed by me."),
        ("[Not mine.]", ""),
        ("A line\n[another]\nthe third\n", "A line\nthe third\n"),
        ("Mine[ ]and mine.", ""),
        ("Mine.[ ]And mine.[\n\n]Mine.", "Mine. And mine.\n\nMine."),
        ("", ""),
    ],
)
def test_what_is_kept(marked: str, kept: str) -> None:
    assert own_words(*told(marked)) == kept


def test_lines_end_in_every_way() -> None:
    text, provenance = told("A line\r\n[another]\r\nthe third\r[fourth]")
    assert own_words(text, provenance).split() == ["A", "line", "the", "third"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["One. ", "two ", "three\n", "\n\n", "“Four.” ", "五。"]), st.booleans())
    )
)
def test_nothing_of_the_models_is_kept_and_nothing_is_made_up(pieces: list[tuple[str, bool]]) -> None:
    texts = [piece if own else piece.upper().replace("五", "九") for piece, own in pieces]
    runs: list[Run] = [
        (len(text), "mine" if own else "accepted") for text, (_, own) in zip(texts, pieces, strict=True)
    ]
    provenance = Provenance()
    provenance.put(0, 0, runs)
    text = "".join(texts)
    kept = own_words(text, provenance)
    assert not re.search("ONE|TWO|THREE|FOUR|九", kept)
    left = iter(text)
    assert all(character in left for character in kept if not character.isspace())
    if all(own for _, own in pieces):
        assert kept == text
