"""The paths a writer registers for a genre, and the corpora that ship where there are none."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from storyteller.errors import CorpusError, SettingsError
from storyteller.genres import Genre
from storyteller.training.corpus import shelf

NOIR = Genre(name="noir", title="Noir", corpus="stories")


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "assets" / "corpora" / "stories"
    folder.mkdir(parents=True)
    monkeypatch.setattr(shelf, "assets_dir", lambda: tmp_path / "assets")
    return folder


def test_a_genre_learns_from_what_ships_until_the_writer_names_texts(shipped: Path) -> None:
    assert shelf.sources(NOIR) == (shipped,)
    assert shelf.add("noir", [Path("/texts/a"), Path("/texts/b")]) == (Path("/texts/a"), Path("/texts/b"))
    assert shelf.sources(NOIR) == (Path("/texts/a"), Path("/texts/b"))
    assert shelf.remove("noir") == (Path("/texts/a"), Path("/texts/b"))
    assert shelf.sources(NOIR) == (shipped,)


def test_a_genre_without_a_corpus_has_no_sources() -> None:
    assert shelf.sources(Genre(name="noir", title="Noir", corpus="nowhere")) == ()


def test_paths_are_kept_absolute_once_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shelf.add("noir", [Path("b"), Path("a")])
    assert shelf.add("noir", [tmp_path / "a", Path("c d\x1b[31m[/x]\n")]) == (
        tmp_path / "b",
        tmp_path / "a",
        tmp_path / "c d\x1b[31m[/x]\n",
    )
    assert shelf.remove("noir", [Path("a")]) == (tmp_path / "a",)
    assert shelf.registered("noir") == (tmp_path / "b", tmp_path / "c d\x1b[31m[/x]\n")


def test_many_paths_can_be_read_again() -> None:
    paths = [Path(f"/my.texts/vol.{number}.txt") for number in range(600)]
    assert shelf.add("noir", paths) == tuple(paths)
    assert shelf.registered("noir") == tuple(paths)


def test_the_list_is_for_its_owner_only() -> None:
    shelf.add("noir", [Path("/texts")])
    assert stat.S_IMODE(shelf.shelf_path().stat().st_mode) == 0o600


def test_what_is_not_registered_cannot_be_forgotten() -> None:
    with pytest.raises(CorpusError, match="Nothing of yours"):
        shelf.remove("noir")
    shelf.add("noir", [Path("/texts")])
    with pytest.raises(CorpusError, match="/other is not registered for noir; there are /texts"):
        shelf.remove("noir", [Path("/other")])


def test_a_name_that_is_no_utf_8_cannot_be_noted() -> None:
    with pytest.raises(CorpusError, match="Rename it"):
        shelf.add("noir", [Path("/texts/\udcff")])


@pytest.mark.parametrize("content", ["noir = 1\n", "[noir]\npaths = 3\n", "[noir\n"])
def test_a_damaged_list_is_named_and_left_alone(content: str) -> None:
    shelf.shelf_path().parent.mkdir(parents=True)
    shelf.shelf_path().write_text(content, encoding="utf-8")
    with pytest.raises((CorpusError, SettingsError), match=r"corpora\.toml"):
        shelf.add("noir", [Path("/texts")])
    assert shelf.shelf_path().read_text(encoding="utf-8") == content
