"""What the feedback store keeps to itself: consent, purge to the last byte, file modes, texts of any kind."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from storyteller import paths
from storyteller.cli.app import run
from storyteller.feedback.consent import EVERYTHING, Scope, refusals_in
from storyteller.feedback.datasets import export
from storyteller.feedback.history import read_history
from storyteller.feedback.keeping import keep_provenance, keep_takes
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.purge import Selection, purge
from storyteller.feedback.records import FeedbackEvent, GenerationRecord, TakeRecord
from storyteller.feedback.redact import pattern, redact
from storyteller.feedback.rows import LONGEST_TEXT, pack_ids
from storyteller.feedback.survival import Sighting
from storyteller.feedback.writer import FeedbackWriter
from tests.stubs.feedback_story import Story, agreed_log, every_file, holding

REPOSITORY = Path(__file__).resolve().parents[2]
NOVEL = "/home/anna/novel.md"


async def a_session(log: FeedbackLog) -> list[int]:
    """Everything the app would write in a session, and the answers it gets."""
    warnings: list[str] = []
    writer = FeedbackWriter(log, warn=warnings.append)
    generation = GenerationRecord(session="s", document=NOVEL, genre="tales", prompt="The gardener")
    take = TakeRecord(generation=generation.id, index=0, text=" did it.", shown=True)
    event = FeedbackEvent(generation=generation.id, take=take.id, kind="accept", start=0, end=8)
    answers = [
        await writer.consent() is True,
        await writer.generation(generation),
        await writer.take(take),
        await writer.event(event),
        await writer.sightings([Sighting(take.id, "save", take.text, take.text, 1.0)]),
        await writer.call(lambda log: keep_takes(log, NOVEL, "text", [(take.id, 0)]), otherwise=0),
        await writer.call(lambda log: keep_provenance(log, NOVEL, "tales", "text", "[]"), otherwise=False),
        await writer.generation(generation),
        not await writer.close(),
    ]
    assert warnings == []
    return answers


# safety 67


async def test_undecided_writes_nothing_at_all(home: Path) -> None:
    """safety 67"""
    assert not any(await a_session(FeedbackLog()))
    assert every_file(home) == {}
    assert not any(home.parent.glob("storyteller-home*"))


async def test_refused_in_the_settings_writes_nothing_at_all(home: Path) -> None:
    """safety 67"""
    assert not any(await a_session(FeedbackLog(refusals=refusals_in("no", ()))))
    assert every_file(home) == {}


async def test_a_no_given_in_the_app_makes_no_library(home: Path) -> None:
    """safety 67"""
    log = FeedbackLog()
    log.set_consent(EVERYTHING, on=False)
    assert not any(await a_session(log))
    assert every_file(home) == {}


@pytest.mark.parametrize("scope", [EVERYTHING, Scope.of_genre("tales"), Scope.of_document(NOVEL)])
async def test_a_no_in_the_library_leaves_every_byte_of_it(home: Path, scope: Scope) -> None:
    """safety 67"""
    log = agreed_log()
    Story(log).kept("From before.", document="/other.md", genre="verse")
    log.set_consent(scope, on=False)
    log.close()
    before = every_file(home)
    # Another instance: it finds the answer in the library, not in its own memory.
    assert not any((await a_session(FeedbackLog()))[1:])
    assert every_file(home) == before


async def test_a_yes_writes(home: Path) -> None:
    """safety 67: the sessions above would have written."""
    agreed_log().close()
    answers = await a_session(FeedbackLog())
    assert answers == [True, True, True, True, 1, 1, True, True, False]
    assert holding(home, "gardener")


# safety 68

SECRET = "the murderer is the gardener"
SECRET_IDS = (4321, 1234, 999, 31415)


def everywhere(home: Path) -> None:
    """The secret in every table, in data sets here and elsewhere, in a library set aside, and half-made ones."""
    story = Story(agreed_log())
    paths.private_dir(paths.state_dir())
    for number in range(55):
        (take,) = story.offer(
            f"And {SECRET}, {number}.",
            prompt=f"Nobody knows: {SECRET}",
            document=NOVEL,
            settings={"negative_prompt": SECRET, "banned_phrases": [SECRET]},
        )
        story.log.take(
            TakeRecord(
                id=take.id, generation=take.generation, index=0, text=take.text, ids=SECRET_IDS, shown=True
            )
        )
        story.does("accept", take)
        story.does("edit_after", take, text=f"No, {SECRET}!")
        story.stands(take, f"And indeed {SECRET}, {number}.", accepted=take.text)
        keep_takes(story.log, NOVEL, f"{SECRET} {number}", [(take.id, number)])
    keep_provenance(story.log, NOVEL, "tales", SECRET, "[[0,4,1]]")
    export(story.log, "sft")
    export(story.log, "sft", to=home / "mine.jsonl")
    story.log.close()
    library = paths.library_path().read_bytes()
    for name in ("library.db.set-aside-20200101T000000Z", "library.db.set-aside-20200101T000000Z-journal"):
        paths.library_path().with_name(name).write_bytes(library)
    paths.library_path().with_name("library.db.new-half").write_bytes(library)
    (paths.datasets_dir() / "sft-of-a-lost-library.jsonl").write_text(SECRET)


def needles() -> list[str | bytes]:
    return [SECRET, SECRET.encode("utf-16-le"), pack_ids(SECRET_IDS)[0], NOVEL]


def test_purged_text_is_in_no_file_of_ours(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """safety 68"""
    with caplog.at_level(logging.DEBUG):
        everywhere(home)
        assert len(holding(home, *needles())) == 7
        assert run(["feedback", "purge", "--all", "--yes"]) == 0
    assert holding(home, *needles()) == []
    assert SECRET not in caplog.text


def test_one_purged_document_is_in_no_file_of_ours_and_another_stays(home: Path) -> None:
    """safety 68"""
    everywhere(home)
    (
        paths.datasets_dir() / "sft-of-a-lost-library.jsonl"
    ).unlink()  # whose it was, only a purge of all can tell
    log = FeedbackLog()
    Story(log).kept("The lighthouse stays.", document="/lighthouse.md", number=7_000)
    purge(log, Selection(document=NOVEL))
    log.close()
    assert holding(home, *needles()) == []
    assert holding(home, "The lighthouse stays.") == [paths.library_path()]


def test_purged_text_is_not_in_the_room_it_took_while_another_program_has_the_library_open(
    home: Path,
) -> None:
    """safety 68"""
    everywhere(home)
    other = FeedbackLog()
    assert other.consent() is True
    with other.reading() as connection:
        assert connection is not None
        assert len(read_history(connection)) == 55
    purge(FeedbackLog(), Selection(everything=True))
    assert holding(home, *needles()) == []
    Story(other).kept("After the purge.", document="/lighthouse.md", number=8_000)
    assert holding(home, *needles()) == []
    other.close()


def test_a_library_of_no_one_s_secure_delete_is_clean_after_a_purge(home: Path) -> None:
    """safety 68: what another program left in free pages, or hanging on nothing, goes as well."""
    everywhere(home)
    careless = sqlite3.connect(paths.library_path())
    careless.execute("PRAGMA secure_delete = OFF")
    careless.execute("DELETE FROM generation WHERE id IN (SELECT id FROM generation LIMIT 30)")
    careless.commit()
    careless.close()
    purge(FeedbackLog(), Selection(everything=True))
    assert holding(home, *needles()) == []


def test_redacted_text_is_in_no_file_of_ours(home: Path) -> None:
    """safety 68"""
    everywhere(home)
    for path in [*paths.data_dir().glob("*.set-aside-*"), *paths.data_dir().glob("*.new-*")]:
        path.unlink()  # redaction is for libraries that can be read
    (paths.datasets_dir() / "sft-of-a-lost-library.jsonl").unlink()
    log = FeedbackLog()
    redact(log, pattern(SECRET))
    redact(log, pattern(NOVEL))
    log.close()
    assert holding(home, *needles()) == []


# safety 69

WIDE_OPEN = """
import os
os.umask(0)
from storyteller import paths
from storyteller.feedback.consent import EVERYTHING
from storyteller.feedback.datasets import export
from storyteller.feedback.log import FeedbackLog
from tests.stubs.feedback_story import Story
log = FeedbackLog()
log.set_consent(EVERYTHING, on=True)
story = Story(log)
for number in range(50):
    story.kept(f"Sentence {number}.")
export(log, "sft")
with log.updating() as connection:
    connection.execute("UPDATE take SET shown_ms = 1")
    connection.execute("PRAGMA cache_spill = 1")
    for path in sorted(paths.data_dir().iterdir()):  # the journal is there now
        print(oct(path.stat().st_mode & 0o777), path.name)
"""


def test_files_are_0600_and_folders_0700_whatever_the_umask(home: Path) -> None:
    """safety 69"""
    ended = subprocess.run(
        [sys.executable, "-c", WIDE_OPEN],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "0o600 library.db-journal" in ended.stdout.splitlines()
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}
    wrong = {path: oct(mode) for path, mode in modes.items() if mode != (0o700 if path.is_dir() else 0o600)}
    assert wrong == {}
    assert len(modes) == 5


# safety 70


def test_lone_surrogates_and_nul_come_back_and_go_out_as_plain_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """safety 70"""
    text = "a\ud800b\x00c\udfff\U0001f600\x1b[2J"
    story = Story(agreed_log())
    story.kept(text, prompt=text, document=f"/{text}")
    with story.log.reading() as connection:
        assert connection is not None
        (found,) = read_history(connection, document=f"/{text}")
    assert (found.record.prompt, found.takes[0].record.text) == (text, text)
    assert found.takes[0].survival["save"].now == text
    story.log.close()
    assert run(["feedback", "show"]) == 0
    shown = capsys.readouterr().out
    assert "a\ufffdb␀c\ufffd" in shown
    assert "\x1b" not in shown
    assert run(["feedback", "show", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["takes"][0]["text"] == text


def test_ten_megabytes_are_cut_and_say_so() -> None:
    """safety 70"""
    story = Story(agreed_log())
    long = "word " * 2_000_000
    take = story.kept(long, prompt=long)
    story.does("edit_after", take, text=long)
    with story.log.reading() as connection:
        assert connection is not None
        (found,) = read_history(connection)
    assert (found.whole, found.takes[0].whole) == (False, False)
    assert found.takes[0].record.text == long[:LONGEST_TEXT]
    assert found.record.prompt == long[-LONGEST_TEXT:]
    assert found.record.prompt_truncated
    assert found.takes[0].record.ids == ()
    assert found.takes[0].events[-1].payload == {"capped": True}
    assert len(found.takes[0].survival["save"].now) == LONGEST_TEXT
    assert story.log.path.stat().st_size < 5 * LONGEST_TEXT
