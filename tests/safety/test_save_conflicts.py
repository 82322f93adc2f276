"""Other programs and the same file: nobody's text is overwritten unasked."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Literal

import pytest

from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.load import load
from storyteller.manuscript.recovery import find_recoveries
from storyteller.manuscript.save import ChangedOnDisk, SaveFailed, disk_state, save
from storyteller.tui.dialogs.compare import differences
from tests.stubs.faulty_disk import FaultyDisk
from tests.stubs.folders import names_in

if TYPE_CHECKING:
    from pathlib import Path


# safety 4
def test_4_of_two_instances_the_second_save_is_stopped(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("Once")
    mine, theirs = load(path), load(path)
    save(path, theirs.text + " there was", UTF8, expected=theirs.fingerprint)
    with pytest.raises(ChangedOnDisk) as caught:
        save(path, mine.text + " upon a time", UTF8, expected=mine.fingerprint)
    assert caught.value.change == "modified"
    assert path.read_text() == "Once there was"


# safety 4
def test_4_two_new_documents_of_one_name_do_not_replace_each_other(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    mine, theirs = load(path), load(path)
    save(path, "theirs", UTF8, expected=theirs.fingerprint)
    with pytest.raises(ChangedOnDisk) as caught:
        save(path, "mine", UTF8, expected=mine.fingerprint)
    assert caught.value.change == "created"
    assert path.read_text() == "theirs"


# safety 5
def test_5_a_change_on_disk_stops_the_save_and_can_be_shown_and_overruled(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("One.\nTwo.\nThree.\n")
    loaded = load(path)
    path.write_text("One.\nTwo!\nThree.\n")
    mine = "One.\nTwo.\nThree.\nFour.\n"
    with pytest.raises(ChangedOnDisk) as caught:
        save(path, mine, UTF8, expected=loaded.fingerprint)
    assert caught.value.path == path
    assert "Compare the two" in caught.value.message
    assert path.read_text() == "One.\nTwo!\nThree.\n"
    assert names_in(tmp_path) == ["novel.md"]
    assert [row for row in differences(load(path).text, mine) if row[0] in "-+"] == [
        ("-", "Two!"),
        ("+", "Two."),
        ("+", "Four."),
    ]
    saved = save(path, mine, UTF8, expected=loaded.fingerprint, overwrite=True)
    assert path.read_text() == mine
    assert disk_state(path, saved.fingerprint) == "same"


# safety 5
@pytest.mark.parametrize("in_place", [False, True])
def test_5_a_change_in_the_last_moment_is_still_seen(tmp_path: Path, in_place: bool) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    if in_place:
        (tmp_path / "second.md").hardlink_to(path)
    known = load(path).fingerprint
    disk = FaultyDisk()

    def interfere(_path: Path) -> None:
        path.write_text("theirs, meanwhile")

    disk.before("replace" if in_place else "close", interfere)  # in place, the first rename is the copy's
    with pytest.raises(ChangedOnDisk):
        save(path, "mine", UTF8, expected=known, disk=disk)
    assert path.read_text() == "theirs, meanwhile"
    assert [name for name in names_in(tmp_path) if "storyteller-" in name] in ([], ["storyteller-home"])
    assert find_recoveries(path) == []


# safety 5
def test_5_a_change_by_a_real_other_program_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    loaded = load(path)
    subprocess.run([sys.executable, "-c", f"open({str(path)!r}, 'a').write(' more')"], check=True)
    assert disk_state(path, loaded.fingerprint) == "modified"


# safety 6
@pytest.mark.parametrize("how", ["deleted", "renamed"])
def test_6_a_file_that_is_gone_is_said_and_can_be_made_again(
    tmp_path: Path, how: Literal["deleted", "renamed"]
) -> None:
    path = tmp_path / "novel.md"
    path.write_text("old")
    loaded = load(path)
    path.unlink() if how == "deleted" else path.rename(tmp_path / "elsewhere.md")
    assert disk_state(path, loaded.fingerprint) == "deleted"
    with pytest.raises(ChangedOnDisk, match="deleted or moved") as caught:
        save(path, "new", UTF8, expected=loaded.fingerprint)
    assert caught.value.change == "deleted"
    assert not path.exists()
    save(path, "new", UTF8, expected=loaded.fingerprint, overwrite=True)
    assert path.read_text() == "new"


# safety 6
@pytest.mark.parametrize("how", ["removed", "now a file"])
def test_6_a_folder_that_is_gone_is_said_and_saving_elsewhere_works(
    tmp_path: Path, how: Literal["removed", "now a file"]
) -> None:
    folder = tmp_path / "book"
    folder.mkdir()
    path = folder / "novel.md"
    path.write_text("old")
    loaded = load(path)
    shutil.rmtree(folder)
    if how == "now a file":
        folder.touch()
    assert disk_state(path, loaded.fingerprint) == "deleted"
    with pytest.raises((ChangedOnDisk, SaveFailed)):
        save(path, "new", UTF8, expected=loaded.fingerprint)
    with pytest.raises(SaveFailed, match=r"The folder of “novel\.md” does not exist"):
        save(path, "new", UTF8, expected=loaded.fingerprint, overwrite=True)
    save(tmp_path / "novel.md", "new", UTF8, expected=None)
    assert (tmp_path / "novel.md").read_text() == "new"


# safety 6
def test_6_a_folder_removed_during_the_save_is_no_crash(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    folder.mkdir()
    path = folder / "novel.md"
    path.write_text("old")
    known = load(path).fingerprint
    disk = FaultyDisk()
    disk.before("replace", lambda _: shutil.rmtree(folder))
    with pytest.raises(SaveFailed, match="does not exist"):
        save(path, "new", UTF8, expected=known, disk=disk)
