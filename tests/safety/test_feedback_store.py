"""The feedback store under kills, damage, full and closed disks, and several programs at once."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from storyteller import paths
from storyteller.errors import LibraryError
from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.history import read_history
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.purge import Selection, purge
from storyteller.feedback.records import FeedbackEvent, GenerationRecord, TakeRecord
from storyteller.feedback.stats import statistics
from storyteller.library import APPLICATION_ID, LibrarySetAside, connect, set_aside_files
from storyteller.migrations import MIGRATIONS
from tests.stubs.confined import run_as_plain_user, run_with_small_disk
from tests.stubs.feedback_story import Story, agreed_log, holding

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def events() -> list[str]:
    with FeedbackLog().reading() as connection:
        assert connection is not None
        return [row["id"] for row in connection.execute("SELECT id FROM event ORDER BY sequence")]


def spawn(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env={**ENVIRONMENT, "STORYTELLER_HOME": os.environ["STORYTELLER_HOME"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# safety 62

ACCEPTING = """
import asyncio, sys
from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.records import FeedbackEvent, GenerationRecord, TakeRecord
from storyteller.feedback.writer import FeedbackWriter

async def accept():
    writer = FeedbackWriter(FeedbackLog(), warn=print)
    await writer.set_consent(EVERYTHING, on=True)
    generation = GenerationRecord(session="s", document="/novel.md")
    take = TakeRecord(generation=generation.id, index=0, text="one two three", shown=True)
    writer.generation(generation)
    writer.take(take)
    for number in range(10_000):
        event = FeedbackEvent(generation=generation.id, take=take.id, kind="accept_partial", start=0, end=3)
        assert await writer.event(event)
        print(event.id, flush=True)  # the screen says: accepted

asyncio.run(accept())
"""


@pytest.mark.parametrize("shown", [1, 2, 7, 30])
def test_what_the_screen_called_accepted_is_there_after_a_kill(shown: int) -> None:
    """safety 62"""
    child = spawn(ACCEPTING)
    assert child.stdout is not None
    seen = [child.stdout.readline().strip() for _ in range(shown)]
    child.send_signal(signal.SIGKILL)
    rest, trouble = child.communicate(timeout=30)
    assert child.returncode == -signal.SIGKILL, trouble
    seen += rest.splitlines()
    # All that was said is there, in order; at most one more was committed and not yet said.
    assert events()[: len(seen)] == seen
    assert len(events()) <= len(seen) + 1


# safety 63

WRITING = """
import asyncio, sys
from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.records import FeedbackEvent, GenerationRecord
from storyteller.feedback.writer import FeedbackWriter

async def write(name, count):
    writer = FeedbackWriter(FeedbackLog(), warn=lambda sentence: print(sentence, file=sys.stderr))
    await writer.set_consent(EVERYTHING, on=True)
    generation = GenerationRecord(session=name, document="/novel.md")
    assert await writer.generation(generation)
    for number in range(count):
        assert await writer.event(FeedbackEvent(id=f"{name}{number}", generation=generation.id, kind="view"))
    assert await writer.close()

asyncio.run(write(sys.argv[1], int(sys.argv[2])))
"""
READING = """
from storyteller.feedback.datasets import prepare
from storyteller.feedback.log import FeedbackLog
log = FeedbackLog()
for turn in range(60):
    prepare(log, "unpaired")
"""


def test_two_programs_and_a_reader_at_once_lose_nothing() -> None:
    """safety 63"""
    FeedbackLog().set_consent(EVERYTHING, on=True)
    count = 80
    children = [spawn(WRITING, "a", str(count)), spawn(WRITING, "b", str(count)), spawn(READING)]
    said = [child.communicate(timeout=100) for child in children]
    assert [child.returncode for child in children] == [0, 0, 0], said
    assert [err for _, err in said] == ["", "", ""]
    found = events()
    for name in "ab":
        assert [event for event in found if event[0] == name] == [
            f"{name}{number}" for number in range(count)
        ]


def test_two_programs_that_start_the_library_at_once_share_one() -> None:
    """safety 63"""
    children = [spawn(WRITING, name, "3") for name in "abcd"]
    said = [child.communicate(timeout=100) for child in children]
    assert [child.returncode for child in children] == [0] * 4, said
    assert len(events()) == 12
    assert set_aside_files(paths.library_path()) == []


# safety 64


def told_library() -> bytes:
    story = Story(agreed_log())
    for number in range(8):
        story.kept(f"Sentence {number}, and a little more.", settings={"temperature": 0.5, "number": number})
        (take, other) = story.offer("One way.", "Another way.", prompt=f"Prompt {number}")
        story.does("reject", take)
        story.does("edit_after", other, text="My way.")
    story.log.close()
    return paths.library_path().read_bytes()


def use_everything(log: FeedbackLog) -> None:
    """What the app and the commands do with a library."""
    log.consent()
    with log.reading() as connection:
        if connection is not None:
            statistics(read_history(connection))
    generation = GenerationRecord(session="s", document="/new.md")
    if log.generation(generation):
        take = TakeRecord(generation=generation.id, index=0, text="text")
        log.take(take)
        log.event(FeedbackEvent(generation=generation.id, take=take.id, kind="accept"))


def outcome_with(data: bytes) -> tuple[str, bytes | None]:
    """What becomes of a library with these bytes: used, or set aside; and the bytes that were set aside."""
    path = paths.library_path()
    path.write_bytes(data)
    log = FeedbackLog()
    try:
        use_everything(log)
    except LibrarySetAside as aside:
        kept = aside.moved_to.read_bytes()
        use_everything(log)  # the program goes on
        log.set_consent(EVERYTHING, on=True)
        use_everything(log)
        return "set aside", kept
    finally:
        log.close()
        path.unlink(missing_ok=True)
    return "used", None


def test_a_library_cut_short_anywhere_is_set_aside() -> None:
    """safety 64"""
    data = told_library()
    lengths = [
        0,
        1,
        15,
        16,
        17,
        99,
        100,
        101,
        512,
        4095,
        4096,
        4097,
        len(data) // 2,
        len(data) - 4096,
        len(data) - 1,
    ]
    for length in lengths:
        outcome, kept = outcome_with(data[:length])
        assert outcome == "set aside", length
        assert kept == data[:length]


def test_a_library_with_turned_bits_is_used_or_set_aside_and_never_a_crash() -> None:
    """safety 64"""
    data = told_library()
    generator = random.Random(64)
    outcomes = []
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(generator.choice([1, 1, 1, 8])):
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
        outcomes.append(outcome_with(bytes(damaged))[0])
    for page in range(0, len(data), 4 * 4096):
        for offset in (0, 3, 5, 8, 20):  # the headers of pages, where it hurts
            damaged = bytearray(data)
            damaged[page + offset] ^= 0xFF
            outcomes.append(outcome_with(bytes(damaged))[0])
    assert set(outcomes) == {"used", "set aside"}


@pytest.mark.parametrize(
    "make",
    ["text", "another database", "zeros", "newer", "our number and nothing else"],
)
def test_what_is_no_library_of_ours_is_set_aside_whole(make: str) -> None:
    """safety 64"""
    path = paths.private_dir(paths.data_dir()) / "made"
    match make:
        case "text":
            path.write_text("Dear diary, this is no database.\n" * 100)
        case "zeros":
            path.write_bytes(bytes(8192))
        case "another database":
            with sqlite3.connect(path) as other:
                other.execute("CREATE TABLE bookmarks (url)")
            other.close()
        case "newer":
            newer = connect(path)
            newer.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
            newer.close()
        case _:
            with sqlite3.connect(path) as other:
                other.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                other.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            other.close()
    data = path.read_bytes()
    path.unlink()
    outcome, kept = outcome_with(data)
    assert outcome == "set aside"
    assert kept == data


def test_a_library_damaged_while_it_is_in_use_is_set_aside_too() -> None:
    """safety 64"""
    told_library()
    log = FeedbackLog()
    assert log.consent() is True
    with paths.library_path().open("r+b") as file:
        file.seek(24)  # from the change counter on, which makes SQLite look again
        file.write(random.Random(64).randbytes(60_000))
    with pytest.raises(LibraryError):
        use_everything(log)
    if paths.library_path().exists():  # SQLite may say less than that it is damaged, until it is opened again
        with pytest.raises(LibrarySetAside, match="damaged"):
            use_everything(FeedbackLog())
    assert FeedbackLog().consent() is None


# safety 65

CONFINED_IMPORTS = """
import asyncio, concurrent.futures.thread, os, sys, json
from pathlib import Path
from storyteller import paths
from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.records import FeedbackEvent, GenerationRecord, TakeRecord
from storyteller.feedback.writer import FeedbackWriter
"""
CONFINED = """
async def work():
    warnings = []
    writer = FeedbackWriter(FeedbackLog(Path(sys.argv[1]) / "data" / "library.db"), warn=warnings.append)
    results = [await writer.set_consent(EVERYTHING, on=True)]
    for number in range(40):
        generation = GenerationRecord(session="s", document="/novel.md", prompt="x" * 3000)
        results.append(await writer.generation(generation))
    results.append(await writer.close())
    await asyncio.sleep(0)
    print(json.dumps([results, warnings]))

asyncio.run(work())
"""


def test_a_full_disk_ends_the_log_with_one_warning_and_leaves_it_whole() -> None:
    """safety 65"""
    check = """
import sqlite3
connection = sqlite3.connect(Path(sys.argv[1]) / "data" / "library.db")
print(json.dumps([connection.execute("PRAGMA integrity_check").fetchone()[0],
    connection.execute("SELECT count(*) FROM generation").fetchone()[0]]))
"""
    out = run_with_small_disk(CONFINED_IMPORTS + CONFINED + check, size="256k")
    (results, warnings), (verdict, count) = map(json.loads, out.splitlines())
    assert len(warnings) == 1
    assert "full" in warnings[0] or "I/O" in warnings[0]
    assert verdict == "ok"
    written = results[1:-1]
    assert count == sum(written) > 0
    assert written == sorted(written, reverse=True)  # up to a point everything, from then on nothing
    assert not written[-1]


def test_no_room_even_for_an_empty_library_is_one_warning() -> None:
    """safety 65"""
    results, warnings = json.loads(run_with_small_disk(CONFINED_IMPORTS + CONFINED, size="16k"))
    assert len(warnings) == 1
    assert not any(results[:-1])


def test_a_limit_on_the_size_of_files_is_one_warning() -> None:
    """safety 65"""
    limit = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
"""
    child = spawn(CONFINED_IMPORTS + limit + CONFINED, os.environ["STORYTELLER_HOME"])
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    results, warnings = json.loads(out)
    assert len(warnings) == 1
    assert not results[-2]


@pytest.mark.parametrize("with_library", [False, True])
def test_a_folder_one_may_not_write_is_one_warning(*, with_library: bool) -> None:
    """safety 65"""
    prepare = """
place = Path.cwd() / "closed"
sys.argv.append(str(place))
place.mkdir()
"""
    if with_library:
        prepare += 'FeedbackLog(place / "data" / "library.db").set_consent(EVERYTHING, on=True)\n'
    prepare += """
for path in (place / "data", place):
    if path.exists():
        os.chmod(path, 0o555)
for path in place.rglob("*.db"):
    os.chmod(path, 0o444)
"""
    results, warnings = json.loads(run_as_plain_user(CONFINED_IMPORTS + prepare, CONFINED))
    assert len(warnings) == 1
    assert not any(results[:-1])


def test_a_home_that_is_a_file_is_one_message() -> None:
    """safety 65"""
    home = Path(os.environ["STORYTELLER_HOME"])
    home.write_text("not a folder")
    log = FeedbackLog()
    with pytest.raises(LibraryError) as caught:
        log.set_consent(EVERYTHING, on=True)
    assert "Traceback" not in str(caught.value)
    assert home.read_text() == "not a folder"


# safety 66

MIGRATING = """
import os, signal, sqlite3, sys
from pathlib import Path
import storyteller.library as library

left = [int(sys.argv[2])]

def stop(statement):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)

plain = library._raw_connection

def watched(path, patience_s):
    connection = plain(path, patience_s)
    connection.execute("PRAGMA cache_size = 1")  # so that half a migration has reached the disk
    connection.set_trace_callback(stop)
    return connection

library._raw_connection = watched
library.connect(Path(sys.argv[1])).close()
print("done")
"""


def test_a_migration_killed_anywhere_is_done_again_from_its_start(tmp_path: Path) -> None:
    """safety 66"""
    path = tmp_path / "library.db"
    old = sqlite3.connect(path, isolation_level=None)
    old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    old.execute("BEGIN")
    for statement in MIGRATIONS[0]:
        old.execute(statement)
    old.execute("PRAGMA user_version = 1")
    old.execute(
        "INSERT INTO generation (id, session, ts, document, document_hash, revision, genre, cursor, model, model_hash,"
        " adapters, settings, seed, prompt, prompt_ids, prompt_id_bytes, prompt_truncated, capped)"
        " VALUES ('g', 's', 0, x'', '', 0, x'', 0, x'', '', '[]', '{}', '100', x'', x'', 2, 0, 0)"
    )
    for index in range(400):
        old.execute(
            'INSERT INTO take (id, generation, "index", text, ids, id_bytes, capped, shown, shown_ms)'
            " VALUES (?, 'g', ?, ?, x'', 2, 0, 1, 0)",
            (f"t{index:04}", index, b"text " * 300),
        )
    old.execute("COMMIT")
    old.close()
    kills = 0
    for statements in range(0, 60, 2):
        child = spawn(MIGRATING, str(path), str(statements))
        out, err = child.communicate(timeout=60)
        if out == "done\n":
            break
        assert child.returncode == -signal.SIGKILL, err
        kills += 1
        seen = sqlite3.connect(path)  # plays back what the killed one left half done
        version = seen.execute("PRAGMA user_version").fetchone()[0]
        columns = [column[1] for column in seen.execute("PRAGMA table_info(take)")]
        assert ("seed" in columns) == (version == 2)
        assert seen.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        seen.close()
    assert kills >= 4
    connection = connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    seeds = [row["seed"] for row in connection.execute("SELECT seed FROM take ORDER BY id")]
    assert seeds == [str(100 + index) for index in range(400)]


# A purge killed half way: part of safety 68, kept here with the other kills.

PURGING = """
import os, signal, sys
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.purge import Selection, purge
import storyteller.library as library

left = [int(sys.argv[1])]

def stop(statement):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)

log = FeedbackLog()
with log.connected() as connection:
    connection.set_trace_callback(stop)
purge(log, Selection(everything=True))
print("done")
"""


def test_a_purge_killed_anywhere_is_finished_by_the_next() -> None:
    """safety 68"""
    told_library()
    home = Path(os.environ["STORYTELLER_HOME"])
    kills = 0
    for statements in (0, 3, 9, 20, 40, 60):
        child = spawn(PURGING, str(statements))
        _, err = child.communicate(timeout=60)
        assert child.returncode in {0, -signal.SIGKILL}, err
        kills += child.returncode != 0
    assert kills >= 4
    purge(FeedbackLog(), Selection(everything=True))
    assert holding(home, "Sentence", "My way") == []
    with FeedbackLog().reading() as connection:
        assert connection is not None
        assert read_history(connection) == []
