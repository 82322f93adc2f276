"""`storyteller corpus` and `storyteller genres`, as a shell gives them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from storyteller.cli.app import run
from storyteller.genres import Genre, genres_path, load_genres
from storyteller.training.corpus import shelf

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def poems(tmp_path: Path) -> Path:
    folder = tmp_path / "poems"
    folder.mkdir()
    for number, word in enumerate(("tide", "lamp", "stairs", "bell")):
        text = f"The {word}\n\nOf the {word} I know {number} lines,\n  and this is one.\n"
        (folder / f"{word}.txt").write_text(text, encoding="utf-8")
    return folder


def test_added_texts_are_reported_listed_shown_and_forgotten(
    poems: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["corpus", "add", "poetry", str(poems)]) == 0
    said = capsys.readouterr()
    assert "4 from 4 files" in said.out
    assert "by heart" in said.err
    assert run(["corpus", "list", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"genre": "poetry", "path": str(poems), "yours": True, "there": True} in lines
    assert run(["corpus", "list"]) == 0
    assert str(poems) in capsys.readouterr().out
    assert run(["corpus", "show", "poetry"]) == 0
    shown = capsys.readouterr().out
    assert "poems/bell.txt  The bell\n  Of the bell I know 3 lines,\n    and this is one." in shown
    assert "The stairs" in shown
    assert "The tide" not in shown  # three beginnings, not four
    assert run(["corpus", "remove", "poetry", str(poems)]) == 0
    assert shelf.registered("poetry") == ()


def test_show_as_json_has_the_hash_and_every_figure(poems: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["corpus", "show", "poetry", str(poems), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["report"]["documents"] == 4
    assert len(shown["hash"]) == 64


def test_texts_that_cannot_be_used_are_not_registered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.txt").touch()
    assert run(["corpus", "add", "poetry", str(tmp_path / "empty.txt")]) == 2
    assert "empty.txt is empty" in capsys.readouterr().err
    assert shelf.registered("poetry") == ()


def test_clean_writes_json_lines_and_replaces_nothing_unasked(
    poems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "clean.jsonl"
    assert run(["corpus", "clean", "poetry", str(poems), "--out", str(out)]) == 0
    first = json.loads(out.read_text(encoding="utf-8").splitlines()[0])
    assert first == {"title": "The bell", "text": "Of the bell I know 3 lines,\n  and this is one."}
    capsys.readouterr()
    assert run(["corpus", "clean", "poetry", str(poems)]) == 0
    assert capsys.readouterr().out == out.read_text(encoding="utf-8")
    out.write_text("mine", encoding="utf-8")
    assert run(["corpus", "clean", "poetry", str(poems), "--out", str(out)]) == 2
    assert out.read_text(encoding="utf-8") == "mine"
    assert run(["corpus", "clean", "poetry", str(poems), "--out", str(out), "--force"]) == 0
    assert run(["corpus", "show", "poetry", str(out)]) == 0  # what was cleaned is a corpus again


def test_a_genre_is_added_beside_what_the_file_says_already() -> None:
    genres_path().parent.mkdir(parents=True)
    genres_path().write_text('# mine\n[haiku]\ntitle = "Haiku"  # short\n', encoding="utf-8")
    assert (
        run(["genres", "add", "noir", "--preset", "wild", "--corpus", "stories", "--title", "[b]Noir"]) == 0
    )
    assert genres_path().read_text(encoding="utf-8").startswith('# mine\n[haiku]\ntitle = "Haiku"  # short\n')
    assert load_genres()["noir"] == Genre(name="noir", title="[b]Noir", preset="wild", corpus="stories")
    assert list(load_genres())[-2:] == ["haiku", "noir"]


def test_a_genres_rules_are_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["genres", "add", "songs", "--keep-line-breaks", "--keep-indentation", "--fragments"]) == 0
    songs = load_genres()["songs"]
    assert (songs.keep_line_breaks, songs.keep_indentation, songs.end_documents) == (True, True, False)
    capsys.readouterr()
    assert run(["genres", "list"]) == 0
    assert "line breaks kept, indentation kept, fragments" in capsys.readouterr().out
    assert run(["genres", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["name"] == "songs"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stories"], "already"),
        (["noir", "--preset", "nonsense"], "nonsense"),
        (["noir", "--title", ""], "title"),
        (["noir", "--corpus", "../x"], "corpus"),
    ],
)
def test_an_unusable_genre_is_refused_and_nothing_written(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["genres", "add", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not genres_path().exists()
