"""Models with random weights for the bench: they open like any other, and their tokenizer covers every byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storyteller.bench import shapes
from storyteller.bench.shapes import model_of_shape, write_random_model
from storyteller.engine.prompt.tokens import load_tokens
from storyteller.paths import cache_dir
from tests.stubs.tiny_gpt2 import Room, takes_of

if TYPE_CHECKING:
    from pathlib import Path

SMALL = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocabulary": 1000, "n_positions": 64}


def test_a_random_model_opens_and_writes(tmp_path: Path) -> None:
    write_random_model(tmp_path, **SMALL)
    room = Room(tmp_path)
    [take] = takes_of(room.generate("The sea", max_tokens=4, heal=False))
    assert len(take.ids) == 4
    again = tmp_path / "again"
    again.mkdir()
    write_random_model(again, **SMALL)
    assert (again / "model.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


def test_its_tokenizer_says_every_text(tmp_path: Path) -> None:
    write_random_model(tmp_path, **SMALL)
    tokens = load_tokens(tmp_path, vocab_size=1000, eos=999)
    text = "“Who is there?” he said.\n\n日本語 \x00"
    assert tokens.decode(tokens.encode(text)) == text
    assert tokens.unused == ()
    assert tokens.eos == 999


def test_a_shape_is_made_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def write(folder: Path, *, n_embd: int, n_layer: int, n_head: int) -> None:
        made.append(n_embd)
        if n_layer == 48:
            raise OSError("the disk is full")
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(shapes, "write_random_model", write)
    assert (
        model_of_shape("gpt2-large") == model_of_shape("gpt2-large") == cache_dir() / "bench" / "gpt2-large"
    )
    assert made == [1280]
    with pytest.raises(OSError, match="full"):
        model_of_shape("gpt2-xl")
    assert [path.name for path in (cache_dir() / "bench").iterdir()] == ["gpt2-large"]
