"""Killed in the middle of a save, two hundred times: the file is exactly the old text or the new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storyteller.atomic import is_temporary_name, sweep_orphans
from tests.stubs.confined import run_script
from tests.stubs.folders import names_in

if TYPE_CHECKING:
    from pathlib import Path

_KILL_LOOP = """
import os, random, signal, sys, time
from pathlib import Path
from storyteller.manuscript.encoding import UTF8
from storyteller.manuscript.load import load
from storyteller.manuscript.save import save

novel = Path(sys.argv[1])
texts = [name * size for name, size in (("one ", 9000), ("two ", 30000), ("three ", 2000))]
save(novel, texts[0], UTF8, expected=None)
rng = random.Random(2)
torn = 0
found = set()
for turn in range(200):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        known = load(novel).fingerprint
        os.write(writing, b".")
        while True:
            for text in texts[turn % 3 :] + texts[: turn % 3]:
                known = save(novel, text, UTF8, expected=known).fingerprint
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    time.sleep(rng.uniform(0, 0.015))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    text = novel.read_text()
    assert text in texts, len(text)
    found.add(text)
assert len(found) == 3, "the kills came at one place only"
"""


# safety 1
def test_1_two_hundred_kills_never_tear_the_file(tmp_path: Path) -> None:
    run_script(_KILL_LOOP, tmp_path / "novel.md")
    # safety 17: what the kills left is swept, and only that
    left = set(names_in(tmp_path)) - {"novel.md"}
    assert left, "no kill came while a temporary file was there"
    assert all(is_temporary_name(name) for name in left)
    sweep_orphans(tmp_path)
    assert names_in(tmp_path) == ["novel.md"]
