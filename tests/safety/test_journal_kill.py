"""Killed while someone types: next time all but the last second, or the last 200 characters, is there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from storyteller import paths
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.lock import DocumentLock
from storyteller.manuscript.recovery import discard, find_recoveries
from storyteller.manuscript.save import save

if TYPE_CHECKING:
    from pathlib import Path

# Types a character every millisecond and tells, after each, how many there are and when that was.
_TYPE = """
import os, sys, time
from pathlib import Path
from storyteller.manuscript.journal import Journal
from storyteller.manuscript.load import load
from storyteller.manuscript.lock import DocumentLock

path = Path(sys.argv[1])
lock = DocumentLock()
assert lock.acquire(path) is None
loaded = load(path)
journal = Journal.open(path, loaded.text, loaded.fingerprint)
text = loaded.text
for count in range(1, 10**6):
    text += "x"
    journal.update(text, (0, count))
    os.write(1, b"%d %d\\n" % (count, time.monotonic_ns()))
    time.sleep(0.001)
"""


def _type_and_kill(path: Path, seconds: float) -> list[tuple[int, float]]:
    """What was typed, and how long before the end."""
    with subprocess.Popen([sys.executable, "-c", _TYPE, str(path)], stdout=subprocess.PIPE) as typist:
        assert typist.stdout is not None
        first = typist.stdout.readline()
        time.sleep(seconds)
        os.kill(typist.pid, signal.SIGKILL)
        killed = time.monotonic()
        lines = [first, *typist.stdout.readlines()]
    pairs = (line.split() for line in lines if line.endswith(b"\n"))
    return [(int(count), killed - int(when) / 1e9) for count, when in pairs]


# safety 2
@pytest.mark.slow
def test_2_a_second_or_200_characters_are_the_most_that_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("Once upon a time ")
    rng = random.Random(7)
    for _ in range(6):
        typed = _type_and_kill(path, rng.uniform(0.1, 1.6))
        everything = typed[-1][0]
        a_second_ago = max((count for count, age in typed if age >= 1.0), default=0)
        found = find_recoveries(path)
        recovered = len(found[0].text) - len("Once upon a time ") if found else 0
        assert recovered >= min(everything - 200, a_second_ago), (recovered, everything, a_second_ago)
        assert recovered <= everything + 1
        if found:
            assert found[0].text == "Once upon a time " + "x" * recovered
            discard(found[0])
    assert path.read_text() == "Once upon a time "


# safety 2
def test_2_after_a_clean_end_no_journal_reappears(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    journal = Journal.open(path, "", None)
    journal.update("typed", (0, 5))
    assert journal.flush()
    saved = save(path, "typed", UTF8, expected=None)
    journal.saved("typed", saved.fingerprint)
    journal.close(discard=True)
    assert find_recoveries(path) == []
    assert list(paths.journal_dir().iterdir()) == []


# safety 3
# safety 4
def test_3_after_a_kill_another_program_is_told_of_the_text_and_before_it_of_the_user(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    path.write_text("Once ")
    with subprocess.Popen([sys.executable, "-c", _TYPE, str(path)], stdout=subprocess.PIPE) as typist:
        assert typist.stdout is not None
        while int(typist.stdout.readline().split()[0]) < 250:
            pass
        lock = DocumentLock()
        owner = lock.acquire(path)
        assert owner is not None
        assert owner.pid == typist.pid
        assert find_recoveries(path) == []  # it is being written, not left behind
        typist.kill()
        typist.wait()
    assert lock.acquire(path) is None
    (recovery,) = find_recoveries(path)
    assert recovery.text.startswith("Once " + "x" * 50)
    assert load(path).text == "Once "
    lock.release()


# safety 17
def test_17_a_kill_in_the_middle_of_a_journal_s_first_write_leaves_nothing_for_long(tmp_path: Path) -> None:
    path = tmp_path / "novel.md"
    script = """
import os, sys
from pathlib import Path
from storyteller.manuscript.journal import Journal
from tests.stubs.faulty_disk import FaultyDisk
disk = FaultyDisk()
disk.before("fsync", lambda _path: os.kill(os.getpid(), 9))
journal = Journal.open(Path(sys.argv[1]), "", None, disk=disk)
journal.update("typed", (0, 5))
journal.flush()
"""
    ended = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    (orphan,) = paths.journal_dir().iterdir()
    assert find_recoveries(path) == []
    journal = Journal.open(path, "", None)
    journal.update("typed again", (0, 0))
    assert journal.flush()
    assert not orphan.exists()
    journal.close(discard=True)
