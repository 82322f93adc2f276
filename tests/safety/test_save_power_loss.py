"""The power fails between any two steps: what the disk may then hold is always the old text or the new one."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from storyteller import paths
from storyteller.atomic import temporary_beside, write_atomic
from storyteller.disk import sync_directory, sync_file, write_all
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.records import replay
from storyteller.manuscript.recovery import find_recoveries
from storyteller.manuscript.save import save
from tests.stubs.faulty_disk import FaultyDisk
from tests.stubs.power_loss import after_power_loss

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_OLD, _NEW = b"the old text, which is rather long", b"the new text"


def _saved(path: Path, disk: FaultyDisk) -> None:
    save(path, _NEW.decode(), UTF8, expected=load(path).fingerprint, disk=disk)


def _contents(
    path: Path, work: Callable[[Path, FaultyDisk], None]
) -> tuple[set[bytes | None], set[bytes | None]]:
    """What `path` may hold when the power fails on the way, and after the work was reported done."""
    path.write_bytes(_OLD)
    disk = FaultyDisk(longest_write=5)
    work(path, disk)
    on_the_way: set[bytes | None] = set()
    done: set[bytes | None] = set()
    for count, world in after_power_loss({path: _OLD}, disk.calls):
        (done if count == len(disk.calls) else on_the_way).add(world.get(path))
    return on_the_way, done


# safety 21
@pytest.mark.parametrize(
    "work",
    [_saved, lambda path, disk: write_atomic(path, _NEW, disk=disk)],
    ids=["the manuscript", "our own files"],
)
def test_21_every_prefix_of_a_save_leaves_old_or_new(
    tmp_path: Path, work: Callable[[Path, FaultyDisk], None]
) -> None:
    on_the_way, done = _contents(tmp_path / "novel.md", work)
    assert on_the_way == {_OLD, _NEW}
    assert done == {_NEW}


# safety 21
def test_21_every_prefix_of_a_first_save_leaves_nothing_or_new(tmp_path: Path) -> None:
    disk = FaultyDisk(longest_write=5)
    path = tmp_path / "novel.md"
    save(path, _NEW.decode(), UTF8, expected=None, disk=disk)
    worlds = [
        (count == len(disk.calls), world.get(path)) for count, world in after_power_loss({}, disk.calls)
    ]
    assert {content for _, content in worlds} == {None, _NEW}
    assert {content for done, content in worlds if done} == {_NEW}


def _careless(path: Path, disk: FaultyDisk, *, file: bool, folder: bool) -> None:
    with temporary_beside(path, disk=disk) as temporary:
        write_all(temporary.fd, _NEW, disk)
        if file:
            sync_file(temporary.fd, disk)
        temporary.become(path)
    if folder:
        sync_directory(path.parent, disk)


# safety 21
def test_21_the_model_finds_what_a_careless_save_would_lose(tmp_path: Path) -> None:
    def without_file_sync(path: Path, disk: FaultyDisk) -> None:
        _careless(path, disk, file=False, folder=True)

    def without_folder_sync(path: Path, disk: FaultyDisk) -> None:
        _careless(path, disk, file=True, folder=False)

    on_the_way, _ = _contents(tmp_path / "a.md", without_file_sync)
    assert b"" in on_the_way
    _, done = _contents(tmp_path / "b.md", without_folder_sync)
    assert done == {_OLD, _NEW}


# safety 21
def test_21_a_save_in_place_can_be_taken_back_from_its_copy(tmp_path: Path) -> None:
    folder = tmp_path / "book"
    folder.mkdir()
    path, second = folder / "novel.md", folder / "second.md"
    path.write_bytes(_OLD)
    second.hardlink_to(path)
    disk = FaultyDisk()
    _saved(path, disk)
    torn = 0
    for count, world in after_power_loss({path: _OLD}, disk.calls):
        content = world[path]
        if content not in {_OLD, _NEW}:
            assert _offered(path, world) == {_OLD.decode()}, f"after {count} calls"
            torn += 1
        if count == len(disk.calls):
            assert content == _NEW
    assert torn


def _offered(path: Path, world: dict[Path, bytes]) -> set[str]:
    """What is offered for `path` on a disk that holds exactly `world`."""
    _put_on_disk(world)
    return {recovery.text for recovery in find_recoveries(path)}


def _put_on_disk(world: dict[Path, bytes]) -> None:
    shutil.rmtree(paths.journal_dir())
    paths.journal_dir().mkdir()
    for place, content in world.items():
        place.write_bytes(content)


# safety 21
def test_21_a_journal_holds_all_that_was_flushed_after_every_prefix(tmp_path: Path) -> None:
    texts = ["Once", "Once upon", "Once upon a time", "Once a time"]
    disk = FaultyDisk()
    journal = Journal.open(tmp_path / "novel.md", "", None, disk=disk)
    flushed_by: dict[int, str] = {0: ""}
    for text in texts:
        journal.update(text, (0, 0))
        assert journal.flush()
        flushed_by[len(disk.calls)] = text
    calls = list(disk.calls)
    journal.close(discard=True)
    for count, world in after_power_loss({}, calls):
        promised = max(done for done in flushed_by if done <= count)
        data = world.get(journal.path)
        replayed = replay(data) if data is not None else None
        reached = replayed.text if replayed is not None else ""
        order = ["", *texts]
        assert order.index(reached) >= order.index(flushed_by[promised])


# safety 21
def test_21_the_folders_made_for_the_first_journal_are_synced_by_name(tmp_path: Path) -> None:
    disk = FaultyDisk()
    journal = Journal.open(tmp_path / "novel.md", "", None, disk=disk)
    journal.update("typed", (0, 0))
    assert journal.flush()
    journal.close(discard=True)
    synced = {call.path for call in disk.calls if call.name == "fsync folder"}
    folder = paths.journal_dir()
    assert {folder, folder.parent, folder.parent.parent, tmp_path} <= synced


# safety 21
def test_21_a_removed_journal_that_comes_back_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    disk = FaultyDisk()
    journal = Journal.open(path, "", None, disk=disk)
    journal.update("typed", (0, 0))
    assert journal.flush()
    saved = save(path, "typed", UTF8, expected=None)
    journal.saved("typed", saved.fingerprint)
    journal.close(discard=True)
    for _, world in after_power_loss({}, disk.calls):
        _put_on_disk(world)
        assert find_recoveries(path) == []


# safety 21
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_21_the_kernel_sees_the_same_order(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    script = f"""
from pathlib import Path
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.save import save
save(Path({str(tmp_path / "novel.md")!r}), "text of the novel", UTF8, expected=None)
"""
    what = "trace=openat,write,fsync,rename,renameat,renameat2"
    traced = subprocess.run(
        ["strace", "-y", "-e", what, "-o", str(trace), sys.executable, "-c", script],
        capture_output=True,
        check=False,
    )
    if traced.returncode:
        pytest.skip("strace may not trace here")
    steps = [
        name
        for line in trace.read_text(errors="replace").splitlines()
        for name, pattern in (
            ("write", r"^write\(\d+<.*\.storyteller-.*\.tmp>.*text of the novel"),
            ("fsync", r"^fsync\(\d+<.*\.storyteller-.*\.tmp>\)\s+= 0"),
            ("rename", r"^rename.*\.storyteller-.*\.tmp.*novel\.md.*= 0"),
            ("fsync folder", rf"^fsync\(\d+<{re.escape(str(tmp_path))}>\)\s+= 0"),
        )
        if re.search(pattern, line)
    ]
    assert steps == ["write", "fsync", "rename", "fsync folder"]
