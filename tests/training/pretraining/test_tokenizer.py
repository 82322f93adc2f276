"""The tokenizer's files: transformers, tokenizers and the engine read them, and give the same ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import transformers

from storyteller.engine.network.model_config import ModelConfig
from storyteller.engine.prompt.tokens import load_tokens
from storyteller.errors import CorpusError
from storyteller.training.pretraining.tokenizer import (
    END,
    FILES,
    tokenizer_of,
    train_tokenizer,
    write_tokenizer,
)
from tests.stubs.folders import names_in
from tests.stubs.tiny_gpt2 import WORDS
from tests.stubs.tiny_pretraining import VOCABULARY
from tests.stubs.tiny_training import verses

if TYPE_CHECKING:
    from pathlib import Path

library: Any = transformers
TEXTS = (WORDS, "", " ", "\n\n\tdef f(x):\n    return x", "“Ünïcode” 日本語 🌊", "a  b   c", f"x{END}y")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(train_tokenizer(iter(verses()), VOCABULARY), made, END, 64)
    return made


def test_its_files_are_gpt_2_s(folder: Path) -> None:
    assert names_in(folder) == sorted(FILES)
    vocabulary = json.loads((folder / "vocab.json").read_text())
    assert vocabulary[END] == 0
    assert sorted(vocabulary.values()) == list(range(VOCABULARY))


@pytest.mark.parametrize("text", TEXTS[:-1])
def test_transformers_and_the_engine_give_the_same_ids(folder: Path, tmp_path: Path, text: str) -> None:
    whole = library.GPT2TokenizerFast.from_pretrained(folder)
    ours = load_tokens(folder, vocab_size=VOCABULARY, eos=None)
    ids = whole(text)["input_ids"]
    assert ours.encode(text) == ids
    assert ours.decode(ids) == whole.decode(ids) == text
    assert (ours.eos, whole.eos_token_id, whole.model_max_length) == (0, 0, 64)
    for name in ("vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert load_tokens(tmp_path, vocab_size=VOCABULARY, eos=None).encode(text) == ids


def test_the_same_texts_give_the_same_tokenizer(folder: Path) -> None:
    again = train_tokenizer(iter(verses()), VOCABULARY)
    assert again.to_str(pretty=True) == (folder / "tokenizer.json").read_text()


@pytest.mark.parametrize("names", [FILES, ("vocab.json", "merges.txt")], ids=["all", "old files"])
def test_a_model_s_own_tokenizer_is_read_from_either_kind_of_file(
    folder: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    found, end = tokenizer_of(tmp_path, ModelConfig(vocab_size=VOCABULARY, eos_token_id=0))
    assert end == 0
    plain = load_tokens(folder, vocab_size=VOCABULARY, eos=0)
    assert found.encode(WORDS).ids == plain.encode(WORDS)
    (tmp_path / "again").mkdir()
    write_tokenizer(found, tmp_path / "again", END, 64)
    assert load_tokens(tmp_path / "again", vocab_size=VOCABULARY, eos=None).encode(WORDS) == plain.encode(
        WORDS
    )


def test_texts_with_too_few_words_are_refused_with_what_to_do() -> None:
    with pytest.raises(CorpusError, match=r"259 tokens .* asks for 300.* lower tokenizer\.vocabulary"):
        train_tokenizer(iter(["a b c"]), VOCABULARY)
