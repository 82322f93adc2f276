"""Symbolic and hard links are still links after a save."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storyteller.errors import DocumentError
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.load import load
from storyteller.manuscript.save import SaveFailed, disk_state, save
from tests.stubs.folders import names_in

if TYPE_CHECKING:
    from pathlib import Path


# safety 12
@pytest.mark.parametrize("length", [1, 3])
def test_12_a_chain_of_links_is_followed_and_kept(tmp_path: Path, length: int) -> None:
    (tmp_path / "books").mkdir()
    real = tmp_path / "books" / "novel.md"
    real.write_text("old")
    link = real
    for number in range(length):
        following, link = link, tmp_path / f"link{number}.md"
        link.symlink_to(os.path.relpath(following, tmp_path))
    loaded = load(link)
    assert loaded.path == link
    saved = save(link, "new", UTF8, expected=loaded.fingerprint)
    assert link.is_symlink()
    assert not real.is_symlink()
    assert real.read_text() == "new"
    assert disk_state(link, saved.fingerprint) == "same"
    assert names_in(real.parent) == ["novel.md"]


# safety 12
def test_12_a_dangling_link_makes_its_target(tmp_path: Path) -> None:
    link = tmp_path / "link.md"
    link.symlink_to("novel.md")
    loaded = load(link)
    assert (loaded.text, loaded.fingerprint) == ("", None)
    save(link, "new", UTF8, expected=None)
    assert link.is_symlink()
    assert (tmp_path / "novel.md").read_text() == "new"


# safety 12
def test_12_a_link_into_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link.md"
    link.symlink_to("nowhere/novel.md")
    with pytest.raises(DocumentError, match="does not exist"):
        load(link)
    with pytest.raises(SaveFailed, match="does not exist"):
        save(link, "new", UTF8, expected=None)
    assert link.is_symlink()


# safety 12
def test_12_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").symlink_to("b.md")
    (tmp_path / "b.md").symlink_to("a.md")
    with pytest.raises(DocumentError, match="leads back to itself"):
        load(tmp_path / "a.md")
    with pytest.raises(SaveFailed, match="leads back to itself"):
        save(tmp_path / "a.md", "new", UTF8, expected=None)
    assert (tmp_path / "a.md").is_symlink()
    assert (tmp_path / "b.md").is_symlink()


# safety 12
def test_12_a_link_pointed_elsewhere_meanwhile_counts_as_a_change(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("one")
    (tmp_path / "two.md").write_text("two")
    link = tmp_path / "link.md"
    link.symlink_to("one.md")
    known = load(link).fingerprint
    link.unlink()
    link.symlink_to("two.md")
    assert disk_state(link, known) == "modified"


# safety 13
@pytest.mark.parametrize("text", ["a longer text than the old one", "short", ""])
def test_13_all_names_of_a_file_show_the_new_text(tmp_path: Path, text: str) -> None:
    path, second = tmp_path / "novel.md", tmp_path / "second.md"
    path.write_text("the old text")
    second.hardlink_to(path)
    inode = path.stat().st_ino
    saved = save(path, text, UTF8, expected=load(path).fingerprint)
    assert path.read_text() == second.read_text() == text
    assert path.stat().st_ino == second.stat().st_ino == inode
    assert path.stat().st_nlink == 2
    assert saved.notes == ("“novel.md” has 2 names; all of them now show this text.",)
    assert disk_state(second, saved.fingerprint) == "same"
    assert names_in(tmp_path) == ["novel.md", "second.md", "storyteller-home"]
