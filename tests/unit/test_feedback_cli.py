"""`storyteller feedback`: what each command says, writes and returns."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from storyteller import paths
from storyteller.cli.app import run
from storyteller.config import load_settings
from storyteller.feedback.consent import Scope
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.records import document_name
from tests.stubs.feedback_story import Story, agreed_log, holding

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "\x1b[31mred\x1b]8;;http://evil\x07 [bold]x[/bold] \u202egnp.exe \ud800\x00\x9b2J\u2028end"


class Shell:
    """Runs commands in this process and keeps what they said."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = run(["feedback", *arguments])
        said = self._capsys.readouterr()
        return code, said.out, said.err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture
def story() -> Story:
    return Story(agreed_log())


def objects(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def no_controls(text: str) -> bool:
    return not any(
        (ord(character) < 32 and character != "\n") or 0x7F <= ord(character) < 0xA0 for character in text
    )


# show and stats


def test_show_tells_the_latest_generations(shell: Shell, story: Story) -> None:
    for number in range(12):
        story.kept(f"Sentence {number}.")
    (refused,) = story.offer("Nothing of this.")
    story.does("reject", refused)
    code, out, _ = shell("show", "--limit", "3")
    assert code == 0
    assert "Sentence 10." in out
    assert "Sentence 9." not in out
    assert "rejected" in out
    assert "100% when saved" in out


def test_show_as_json_has_everything(shell: Shell, story: Story) -> None:
    take = story.kept("One.", document="/novel.md")
    story.kept("Two.", genre="verse")
    code, out, _ = shell("show", "--json", "--document", "/novel.md")
    (found,) = objects(out)
    assert code == 0
    assert found["document"] == "/novel.md"
    assert found["takes"][0]["id"] == take.id
    assert found["takes"][0]["events"][0]["kind"] == "accept"
    assert found["takes"][0]["survival"]["save"]["kept"] == 4
    assert [each["genre"] for each in objects(shell("show", "--json", "--genre", "verse")[1])] == ["verse"]


@pytest.mark.parametrize("command", ["show", "stats"])
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_hostile_texts_are_shown_as_plain_characters(
    shell: Shell, story: Story, command: str, options: tuple[str, ...]
) -> None:
    """safety 16, 70, 78"""
    take = story.kept(HOSTILE, prompt=HOSTILE, document="/d/" + HOSTILE, genre=HOSTILE)
    story.does("edit_after", take, text=HOSTILE)
    code, out, err = shell(command, *options)
    assert code == 0
    assert no_controls(out)
    assert no_controls(err)
    assert not set("\u202e\u2028\ud800") & set(out)
    if command == "show" and not options:
        assert "[bold]x[/bold]" in out  # shown, not obeyed


def test_a_take_of_a_megabyte_shows_in_a_few_lines(shell: Shell, story: Story) -> None:
    story.kept("x" * 1_000_000)
    assert len(shell("show")[1]) < 5000


def test_an_empty_log_says_so_and_makes_nothing(shell: Shell, home: Path) -> None:
    code, out, err = shell("show")
    assert (code, out) == (0, "")
    assert "Nothing is in the feedback log" in err
    assert shell("stats")[0] == 0
    assert shell("stats", "--json")[0] == 0
    assert not home.exists()


def test_stats_count_and_tell_what_is_missing(shell: Shell, story: Story) -> None:
    for number in range(3):
        story.kept(f"Sentence {number}.")
    (refused,) = story.offer("No.", genre="verse", document="/verse.md")
    story.does("reject", refused)
    _, out, _ = shell("stats")
    assert "4 generations in 2 documents, 4 takes, 33 characters accepted" in out
    assert "3 of 50 accepted spans that survived" in out
    (found,) = objects(shell("stats", "--json")[1])
    assert found["genres"]["tales"] == {"generations": 3, "shown": 3, "accepted": 3, "refused": 0}
    assert found["genres"]["verse"]["refused"] == 1
    assert found["standing"]["save"] == {"looked": 3, "stood": 3, "kept_share": 1.0}
    assert found["events"] == {"accept": 3, "reject": 1}
    assert found["datasets"]["sft"] == {"rows": 3, "missing": ["3 of 50 accepted spans that survived"]}


# export


def test_export_says_where_and_what_to_mix_in(shell: Shell, story: Story) -> None:
    for number in range(50):
        story.kept(f"Sentence {number}.")
    code, out, err = shell("export", "--kind", "sft")
    path = paths.datasets_dir() / out.strip().rsplit("/", 1)[1]
    assert code == 0
    assert out.strip() == str(path)
    assert len(path.read_text().splitlines()) == 50
    assert "50 rows" in err
    assert "characters of human text" in err
    (facts,) = objects(shell("export", "--kind", "sft", "--json")[1])
    assert (facts["path"], facts["rows"]) == (str(path), 50)
    assert shell("export", "--kind", "sft", "--out", "-")[1] == path.read_text()


def test_too_little_is_the_writer_s_to_mend(shell: Shell, story: Story) -> None:
    story.kept("One.")
    (slip,) = story.offer("Two.")
    story.does("accept", slip, elapsed_ms=10)
    code, out, err = shell("export", "--kind", "sft")
    assert (code, out) == (2, "")
    assert "1 of 50 accepted spans that survived" in err
    assert "left out: 1 (rushed, or undone at once)" in err
    code, out, _ = shell("export", "--kind", "unpaired", "--json")
    assert code == 2
    assert objects(out)[0]["missing"][0] == "1 of 100 judged takes"


def test_an_unknown_kind_is_refused(shell: Shell) -> None:
    code, _, err = shell("export", "--kind", "dpo")
    assert code == 2
    assert "preference" in err


# redact and purge


def test_nothing_is_removed_with_nobody_to_ask(shell: Shell, story: Story, home: Path) -> None:
    story.kept("Rosamunde.")
    for arguments in (("redact", "Rosamunde"), ("purge", "--all")):
        code, _, err = shell(*arguments)
        assert code == 2
        assert "--yes" in err
    assert holding(home, "Rosamunde")


@pytest.mark.parametrize(("answer", "gone"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_a_person_is_asked_first(
    shell: Shell, story: Story, home: Path, monkeypatch: pytest.MonkeyPatch, answer: str, *, gone: bool
) -> None:
    story.kept("Rosamunde.")
    monkeypatch.setattr("storyteller.cli.confirm.is_terminal", lambda stream: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    code, out, err = shell("purge", "--all")
    assert code == 0
    assert "Remove 1 generation, 1 take and 1 event for good?" in out + err
    assert (holding(home, "Rosamunde") == []) is gone
    assert ("Nothing was removed." in err) is not gone


def test_redact_strikes_out_and_says_how_much(shell: Shell, story: Story, home: Path) -> None:
    story.kept("Rosamunde ran.", prompt="Then ")
    code, out, _ = shell("redact", "rosamunde", "-i", "--yes")
    assert code == 0
    assert "Struck out of 2 texts; 1 generation can no longer be learnt from." in out
    assert holding(home, "Rosamunde") == []
    (again,) = objects(shell("redact", "x.z", "--regex", "--yes", "--json")[1])
    assert again["texts"] == 0


@pytest.mark.parametrize("pattern", ["", "("])
def test_a_bad_pattern_is_the_writer_s_to_mend(shell: Shell, pattern: str) -> None:
    assert shell("redact", pattern, "--regex", "--yes")[0] == 2


def test_purge_wants_to_know_what(shell: Shell) -> None:
    for arguments in ((), ("--all", "--since", "1d"), ("--all", "--document", "x")):
        code, _, err = shell("purge", *arguments, "--yes")
        assert code == 2
        assert "--since" in err


def test_purge_removes_a_document_by_its_path(
    shell: Shell, story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "novel.md").write_text("x")
    (tmp_path / "link.md").symlink_to("novel.md")
    story.kept("Gone.", document=document_name(tmp_path / "novel.md"))
    story.kept("There.", document="untitled-1")
    monkeypatch.chdir(tmp_path)
    code, out, _ = shell("purge", "--document", "link.md", "--yes")
    assert code == 0
    assert "Removed 1 generation, 1 take and 1 event." in out
    assert [found["document"] for found in objects(shell("show", "--json")[1])] == ["untitled-1"]
    (purged,) = objects(shell("purge", "--document", "untitled-1", "--yes", "--json")[1])
    assert purged["generations"] == 1


def test_purge_finds_a_document_whose_name_was_struck_out(shell: Shell, story: Story) -> None:
    story.kept("Gone.", document="/home/Rosamunde/novel.md")
    story.kept("There.", document="/home/Rosamunde/other.md")
    assert shell("redact", "Rosamunde", "--yes")[0] == 0
    assert "Gone" in shell("show", "--document", "/home/Rosamunde/novel.md")[1]
    assert "Removed 1 generation" in shell("purge", "--document", "/home/Rosamunde/novel.md", "--yes")[1]
    assert "Gone" not in shell("show")[1]
    assert "There" in shell("show")[1]


@pytest.mark.parametrize("when", ["1970-01-01", "1970-01-01T00:00", "99999999w"])
def test_purge_since_takes_dates_and_ages(shell: Shell, story: Story, when: str) -> None:
    story.kept("Gone.")
    assert "Removed 1 generation" in shell("purge", "--since", when, "--yes")[1]


def test_purge_since_leaves_what_is_older(shell: Shell) -> None:
    Story(agreed_log(), clock=time.time() - 7200).kept("An hour and more ago.")
    assert "Removed 0 generations" in shell("purge", "--since", "30m", "--yes")[1]
    assert "Removed 1 generation" in shell("purge", "--since", "3h", "--yes")[1]


@pytest.mark.parametrize("when", ["yesterday", "", "d", "12", "2026-13-45"])
def test_a_time_that_is_none_is_refused(shell: Shell, when: str) -> None:
    code, _, err = shell("purge", "--since", when, "--yes")
    assert code == 2
    assert "is no time" in err


# consent


def test_consent_is_undecided_then_what_was_said(shell: Shell, home: Path) -> None:
    assert shell("consent")[1] == "not decided, which is off\n"
    assert not home.exists()
    assert shell("consent", "on")[:2] == (0, "on\n")
    assert load_settings()[0].consent == "yes"
    assert FeedbackLog().consent() is True
    assert shell("consent", "off")[:2] == (0, "off\n")
    assert load_settings()[0].consent == "no"
    assert FeedbackLog().consent() is False


def test_a_no_makes_no_library(shell: Shell) -> None:
    """safety 67"""
    assert shell("consent", "off")[0] == 0
    assert shell("consent", "off", "--document", "/diary.md")[0] == 0
    assert shell("consent", "off", "--genre", "letters")[0] == 0
    assert not paths.data_dir().exists()
    refusals = load_settings()[0].refusals
    assert set(refusals) == {Scope.of_document("/diary.md").refusal, Scope.of_genre("letters").refusal}
    assert shell("consent", "--document", "/diary.md")[1] == "off\n"
    assert shell("consent", "on", "--genre", "letters")[0] == 0
    assert load_settings()[0].refusals == (Scope.of_document("/diary.md").refusal,)
    assert shell("consent", "on", "--document", "/diary.md")[0] == 0
    assert load_settings()[0].refusals == ()


def test_consent_is_about_one_thing_at_a_time(shell: Shell) -> None:
    assert shell("consent", "off", "--genre", "a", "--document", "b")[0] == 2
    (found,) = objects(shell("consent", "--genre", "a", "--json")[1])
    assert found == {"scope": "genre", "consent": None}


# a library that cannot be used


def test_a_no_stands_though_the_library_is_damaged(shell: Shell) -> None:
    """safety 67"""
    assert shell("consent", "on")[0] == 0
    paths.library_path().write_bytes(b"\xff" * 5000)
    assert shell("consent", "off")[0] == 1
    assert load_settings()[0].consent == "no"


def test_a_damaged_library_is_a_message_and_then_a_new_start(shell: Shell) -> None:
    paths.private_dir(paths.data_dir())
    paths.library_path().write_bytes(b"\xff" * 5000)
    code, _, err = shell("show")
    assert code == 1
    assert "moved to" in err
    assert "Traceback" not in err
    assert shell("show")[0] == 0
