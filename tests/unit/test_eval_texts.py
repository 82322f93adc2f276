"""What evaluation reads: documents in files, words in texts, and the lists that ship."""

from __future__ import annotations

import pytest

from storyteller.errors import UserError
from storyteller.evaluation.texts import documents, shipped_prompts, shipped_stop_words, words


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.txt", "one\n\ntwo", ["one\n\ntwo"]),
        ("a.txt", " \n", []),
        ("-", "x", ["x"]),
        ("a.jsonl", '{"text": "one", "more": 1}\n\n"two"\n{"text": ""}\n', ["one", "two"]),
        ("a.JSONL", '{"text": "a\u2028b"}', ["a\u2028b"]),
        ("a.json", '[{"text": "one"}, "two"]', ["one", "two"]),
        ("a.json", '{"text": "one"}', ["one"]),
        ("a.json", '"one"', ["one"]),
    ],
)
def test_documents(name: str, content: str, found: list[str]) -> None:
    assert documents(content, name) == found


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '"one"\n\n{"text": 1}', "a.jsonl, line 3"),
        ("a.jsonl", "plain", "a.jsonl, line 1"),
        ("a.json", '{"body": "one"}', "a.json"),
        ("a.json", "[1]", "a.json"),
        ("a.json", "", "a.json"),
        ("a.json", "[" * 100_000, "a.json"),
    ],
)
def test_what_is_no_document_is_named(name: str, content: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        documents(content, name)
    assert raised.value.message.startswith(said)
    assert raised.value.exit_code == 2


def test_words_and_marks() -> None:
    assert words("“It’s the dog's,” he said.") == ["“", "It’s", "the", "dog's", ",", "”", "he", "said", "."]


def test_what_ships() -> None:
    assert len(set(shipped_prompts())) == 20
    assert all(0 < len(prompt) < 80 for prompt in shipped_prompts())
    assert {"the", "a", "he"} <= shipped_stop_words()
    assert all(word.isalpha() and word == word.lower() for word in shipped_stop_words())
