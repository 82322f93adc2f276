"""Where sentences end."""

from __future__ import annotations

import pytest

from storyteller.engine.prompt.sentences import ends_sentence, last_sentence_end


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("He went. Then she", "He went."),
        ("“Go!” he said", "“Go!”"),
        ('"Go." He', '"Go."'),
        ("He asked Mr. Smith and", ""),
        ("It was J. R. who", ""),
        ("Is it? No", "Is it?"),
        ("Wait… he", "Wait…"),
        ("他走了。然后", "他走了。"),
        ("「走吧。」他", "「走吧。」"),
        ("Chapter One\n\nThe sea", "Chapter One"),
        ("3.14 is", ""),
        ("", ""),
        ("no end here", ""),
        ("All of it.", "All of it."),
    ],
)
def test_the_last_whole_sentence(text: str, kept: str) -> None:
    assert text[: last_sentence_end(text)] == kept


def test_a_text_that_ends_with_its_sentence() -> None:
    assert ends_sentence("He went.")
    assert ends_sentence("x" * 500 + " went.”")
    assert not ends_sentence("He went. Then")
    assert not ends_sentence("Mr.")
    assert not ends_sentence("")
