"""Text to ids and back: byte-exact, nothing special in a writer's text, long texts in remembered segments."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from storyteller.engine.prompt.tokens import Tokens, load_tokens
from storyteller.errors import ModelError
from tests.stubs.tiny_gpt2 import VOCAB, WORDS

if TYPE_CHECKING:
    from pathlib import Path

TEXT = st.text(max_size=60)


@pytest.fixture(scope="module")
def starter_tokens(starter_model: Path) -> Tokens:
    return load_tokens(starter_model, vocab_size=8192, eos=0)


@given(text=TEXT)
def test_bytes_of_ids_are_the_text(tiny_tokens: Tokens, text: str) -> None:
    assert tiny_tokens.decode_bytes(tiny_tokens.encode(text)) == text.encode("utf-8")


def test_special_tokens_in_a_text_are_text(starter_tokens: Tokens) -> None:  # safety 38
    ids = starter_tokens.encode("before <|endoftext|> after")
    assert starter_tokens.eos not in ids
    assert starter_tokens.decode(ids) == "before <|endoftext|> after"
    assert starter_tokens.token_bytes(starter_tokens.eos) == b""


PIECES = st.sampled_from(
    [
        "word",
        "a",
        "I'll",
        "don't",
        "7",
        "…",
        "é",
        "海",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        "\u00a0",
        ".",
        '"',
        "'s",
        "\x85",
    ]
)


@given(pieces=st.lists(PIECES, max_size=200))
def test_a_long_text_in_segments_is_the_same_ids(starter_tokens: Tokens, pieces: list[str]) -> None:
    text = "".join(pieces) * 12
    assert tuple(starter_tokens.encode(text)) == starter_tokens._encode_whole(text)


def test_an_edit_at_the_end_costs_its_own_segment(starter_model: Path) -> None:
    tokens = load_tokens(starter_model, vocab_size=8192, eos=0)
    novel = "\n\n".join(f"{number}. {WORDS}" for number in range(200))
    tokens.encode(novel)
    misses = tokens._encode_segment.cache_info().misses
    tokens.encode(novel + " And then one more sentence.")
    assert tokens._encode_segment.cache_info().misses <= misses + 2
    tokens.encode("A new beginning. " + novel)
    assert tokens._encode_segment.cache_info().misses <= misses + 40  # in step again after some segments


def test_a_text_without_blanks_is_not_remembered(starter_model: Path) -> None:
    tokens = load_tokens(starter_model, vocab_size=8192, eos=0)
    text = "x" * 50_000
    assert tokens.decode(tokens.encode(text)) == text
    assert tokens._encode_segment.cache_info().currsize == 0


def test_lone_surrogates_become_replacement_characters(tiny_tokens: Tokens) -> None:
    assert tiny_tokens.decode(tiny_tokens.encode("a\udc80b\ud800")) == "a\ufffdb\ufffd"


@given(text=st.text(alphabet="the lighouskp.海", min_size=1, max_size=8))
def test_continuing_is_what_says_all_of_a_text(tiny_tokens: Tokens, text: str) -> None:
    prefix = text.encode()
    pieces = [tiny_tokens.token_bytes(token) for token in range(VOCAB)]
    assert set(tiny_tokens.continuing(prefix)) == {
        token for token, piece in enumerate(pieces) if piece.startswith(prefix)
    }
    assert tiny_tokens.continuing(b"") == []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("the light", " light"),
        ("he said.", "."),
        ("he said ", ""),
        ("", ""),
        ("don't", "'t"),
        ("a\n", ""),
        ("x 42", " 42"),
    ],
)
def test_the_last_word(starter_tokens: Tokens, text: str, word: str) -> None:
    assert starter_tokens.last_word(text) == word


def test_vocabulary_and_merges_are_the_same_tokenizer(starter_model: Path, tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(starter_model / name, tmp_path)
    old = load_tokens(tmp_path, vocab_size=8192, eos=None)
    new = load_tokens(starter_model, vocab_size=8192, eos=None)
    text = WORDS + " <|endoftext|> \n\n  double  blanks"
    assert old.encode(text) == new.encode(text)
    assert old.eos == new.eos == 0
    assert [old.token_bytes(token) for token in range(8192)] == [
        new.token_bytes(token) for token in range(8192)
    ]


def test_padding_of_a_vocabulary_is_unused(tiny_model: Path) -> None:
    tokens = load_tokens(tiny_model, vocab_size=VOCAB + 5, eos=0)
    known = len(json.loads((tiny_model / "tokenizer.json").read_text())["model"]["vocab"])
    assert tokens.unused == tuple(range(known, VOCAB + 5))
    assert tokens.token_bytes(VOCAB + 4) == b""


def test_a_tokenizer_of_another_model_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="a vocabulary of 300"):
        load_tokens(tiny_model, vocab_size=300, eos=0)


def test_a_tokenizer_that_is_not_byte_level_is_refused(tmp_path: Path) -> None:
    from tokenizers import models

    Tokenizer(models.WordLevel({"中文": 0, "[UNK]": 1}, unk_token="[UNK]")).save(
        str(tmp_path / "tokenizer.json")
    )
    with pytest.raises(ModelError, match="not byte-level"):
        load_tokens(tmp_path, vocab_size=2, eos=0)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": "1.0"}', '"' * 10])
def test_a_damaged_tokenizer_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        load_tokens(tmp_path, vocab_size=10, eos=0)


def test_no_end_of_document_is_refused(tmp_path: Path) -> None:
    from tokenizers import models

    Tokenizer(models.BPE(vocab={"a": 0}, merges=[])).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError, match="no end-of-document token"):
        load_tokens(tmp_path, vocab_size=1, eos=None)
    assert load_tokens(tmp_path, vocab_size=1, eos=0).eos == 0
