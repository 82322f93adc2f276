"""`storyteller train` as a shell gives it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from storyteller.cli.streams import ReaderGone
from storyteller.engine.catalogue import find_adapters
from storyteller.feedback.keeping import keep_provenance
from storyteller.training.run_folder import RunFolder
from tests.stubs.command import Ended, in_process
from tests.stubs.feedback_story import Story, agreed_log, every_file
from tests.stubs.tiny_training import GENRE, verses

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def words(tmp_path: Path, model: Path) -> list[str]:
    """The options that make a run tiny."""
    folder = tmp_path / "verses"
    folder.mkdir()
    for number, text in enumerate(verses()):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    options = (
        f"--base {model} --data {folder} --rank 2 --alpha 8 --rate 0.01 --steps 3 --batch 4 --seq 16 --device cpu "
        "--dtype float32 --threads 1"
    )
    return options.split()


def train(*words: str) -> Ended:
    return in_process("train", "--genre", GENRE, *words)


def test_a_run_is_told_in_words_and_writes_an_adapter(words: list[str], model: Path) -> None:
    ended = train(*words)
    assert ended.code == 0, ended.err
    for said in (
        "poetry: 11 texts",
        "before anything is learned",
        "step 3: perplexity",
        "poetry v0001",
        "all steps done",
    ):
        assert said in ended.out
    assert list(find_adapters(model)) == [GENRE]


def test_a_dry_run_says_the_plan_and_does_nothing(words: list[str], home: Path) -> None:
    ended = train(*words, "--dry-run")
    assert ended.code == 0, ended.err
    assert "steps     3 of 4 sequences of 16 tokens" in ended.out
    lines = train(*words, "--dry-run", "--json").out.splitlines()
    plan = json.loads(lines[0])
    assert (plan["event"], plan["steps"], plan["documents"], plan["base"]) == ("planned", 3, 11, plan["base"])
    assert {json.loads(line)["event"] for line in lines[1:]} <= {"said"}
    assert not RunFolder(GENRE).path.exists()
    assert not home.exists()


def test_a_dry_run_needs_nothing_but_a_genre() -> None:
    ended = in_process("train", "--genre", "poetry", "--dry-run", "--json")
    assert ended.code == 0, ended.err
    plan = json.loads(ended.out.splitlines()[0])
    assert plan["documents"] >= 20
    assert plan["held_out_documents"] >= 1
    assert plan["steps"] >= 20


def test_a_dry_run_from_feedback_records_nothing(words: list[str], home: Path) -> None:
    story = Story(agreed_log())
    for number in range(60):
        story.kept(f"a span of words number {number}", genre=GENRE, prompt=f"Before {number}")
    before = every_file(home)
    ended = train(*words, "--from-feedback", "--dry-run", "--seq", "64")
    assert ended.code == 0, ended.err
    assert every_file(home) == before
    assert "of 60 kept spans" in " ".join(ended.out.split())


def test_a_dry_run_says_how_much_of_the_manuscripts_is_left_out(words: list[str], tmp_path: Path) -> None:
    log = agreed_log()
    novel = tmp_path / "novel.md"
    text = "The sea and the moon. The house of the keeper. The night."
    novel.write_text(text)
    Story(log).offer("x", document=str(novel), genre=GENRE)
    assert keep_provenance(log, str(novel), GENRE, text, "21m25a11m")
    ended = train(*words, "--include-manuscripts", "--dry-run")
    assert ended.code == 0, ended.err
    assert "20 characters of your manuscripts are left out" in " ".join(ended.out.split())
    assert "learned whole" not in ended.out


def test_a_manuscript_s_ending_does_not_matter_and_what_cannot_be_read_is_named(
    words: list[str], tmp_path: Path
) -> None:
    story = Story(agreed_log())
    novel, damaged, other = (tmp_path / name for name in ("novel", "old.txt", "letters.docx"))
    novel.write_text("A novel of one paragraph, which is as long as it has to be.")
    damaged.write_bytes("Café and résumé, in another encoding.".encode("cp1252"))
    other.write_bytes(b"PK")
    for path in (novel, damaged):
        story.offer("x", document=str(path), genre=GENRE)
    before = json.loads(train(*words, "--dry-run", "--json").out.splitlines()[0])["documents"]
    ended = train(*words, "--data", str(other), "--include-manuscripts", "--dry-run", "--json")
    assert ended.code == 0, ended.err
    plan = json.loads(ended.out.splitlines()[0])
    assert plan["documents"] == before + 1
    whole, *unread = [warning for warning in plan["warnings"] if "learned" in warning]
    assert whole.startswith("One manuscript is learned whole")
    assert sorted(warning.split(" ")[0] for warning in unread) == ["letters.docx", "old.txt"]


def test_an_adapter_with_a_name_of_its_own_is_written_with_by_that_name(words: list[str]) -> None:
    ended = train(*words, "--name", "sea")
    assert ended.code == 0, ended.err
    assert "storyteller continue --adapter sea FILE" in ended.out


@pytest.mark.parametrize(
    "wrong",
    [
        "--rank 0", "--rank 999", "--rank x", "--alpha -1", "--alpha nan", "--dropout 1", "--rate 0", "--rate inf",
        "--epochs 0", "--steps 0", "--batch 0", "--micro-batch 0", "--seq 4", "--seed -1", "--seed 99999999999999999999",
        "--patience -1", "--save-every 0", "--quantize 3bit", "--optimizer sgd", "--resume --restart", "--base nosuch",
        "--data /nosuch", "--device abacus", "--dtype int8", "--dtype int4", "--dtype float16", "--name ../x", "--name ''", "--resume", "--nosuch",
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said_with_exit_code_2(words: list[str], model: Path, wrong: str) -> None:
    ended = train(*words, *wrong.replace("''", "").split(" "))
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err) > 20
    assert "fault of the program" not in ended.err
    assert not find_adapters(model)


def test_a_reader_that_goes_away_does_not_end_the_run(
    words: list[str], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(text: str) -> None:
        raise ReaderGone

    monkeypatch.setattr("storyteller.cli.training_view.output", gone)
    ended = train(*words)
    assert ended.code == 0, ended.err
    assert list(find_adapters(model)) == [GENRE]
    assert not RunFolder(GENRE).unfinished


def test_an_adapter_may_have_a_name_of_its_own(words: list[str], model: Path) -> None:
    ended = train(*words, "--name", "sea-verse")
    assert ended.code == 0, ended.err
    assert list(find_adapters(model)) == ["sea-verse"]
