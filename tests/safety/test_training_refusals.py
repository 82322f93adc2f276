"""Safety 50 and 53: texts that are none, and genres that are none, through the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from storyteller.paths import adapters_dir
from storyteller.training.run_folder import RunFolder
from tests.stubs.command import in_process
from tests.stubs.tiny_training import (
    GENRE,
    command_options,
    train_here,
    verses,
)

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.usefixtures("quick")


# 50, 53


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "There is no text to learn"),
        ({"a.txt": ""}, "is empty"),
        ({"a.txt": " \n\t\n\u3000\n"}, "no text to learn"),
        ({"a.txt": "a"}, "too few to learn from"),
        ({"a.txt": "One line of a poem, and no more of it."}, "too few to learn from"),
        (
            {f"{number}.txt": "The tide went out.\nThe moon came in." for number in range(20)},
            "too few to learn from",
        ),
    ],
    ids=["no file", "empty", "blank", "one token", "one line", "all the same"],
)
@pytest.mark.parametrize("dry", [True, False], ids=["dry", "real"])
def test_50_texts_that_are_none_are_refused_in_a_sentence(
    model: Path, tmp_path: Path, files: dict[str, str], said: str, *, dry: bool
) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    ended = train_here(*command_options(model, folder), *(["--dry-run"] if dry else []))
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert not (adapters_dir() / GENRE).exists()
    assert not RunFolder(GENRE).path.exists()


def test_50_less_than_a_batch_is_learned_in_short_sequences(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for number, text in enumerate(verses(5)):
        (folder / f"{number}.txt").write_text(text[:90], encoding="utf-8")
    words = [
        word for word in command_options(model, folder, batch=64, steps=2) if word not in {"--seq", "16"}
    ]
    ended = train_here(*words, "--json")
    assert ended.code == 0, ended.err
    plan = json.loads(ended.out.splitlines()[0])
    assert plan["tokens"] < plan["batch"] * plan["seq"]
    assert plan["held_out_documents"] >= 1


@pytest.mark.parametrize(
    "genre", ["../../x", "", "/", "nosuch", "[/red]", "\x1b[31m", "a\nb", "POETRY", "x" * 65, "."], ids=repr
)
def test_53_no_genre_of_that_name_and_nothing_is_written(
    home: Path, model: Path, texts: Path, genre: str
) -> None:
    ended = in_process("train", "--genre", genre, *command_options(model, texts))
    assert (ended.code, ended.out) == (2, "")
    assert "\x1b" not in ended.err
    assert "genre" in ended.err
    assert not home.exists()
    name = in_process("train", "--genre", GENRE, "--name", "../../x", *command_options(model, texts))
    assert name.code == 2
    assert not home.exists()
