"""What reaches standard output and standard error, and what a command reads."""

from __future__ import annotations

import errno
import io
import os
from typing import TYPE_CHECKING

import pytest
from rich.text import Text

from storyteller.cli import streams
from storyteller.cli.app import COMMANDS, help_text, run
from storyteller.cli.source import read_text, without_final_newline
from storyteller.cli.terminal import Terminal, inspect_terminal, why_no_room
from storyteller.errors import DocumentError, StorytellerError, UserError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "the secret of the old house"
HOSTILE = "a\x1b]52;c;aGk=\x07b\x9b31m\u202ec\x00[/red]"


class Screen(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    """A stream that cannot be written."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


def test_a_terminal_gets_no_control_characters_safety_44(
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # safety 44
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    streams.output(HOSTILE + "\ttab\nline")
    shown = screen.getvalue()
    assert shown.endswith("[/red]\ttab\nline")
    assert not {character for character in shown if character < " "} - {"\t", "\n"}
    assert not set(shown) & {"\x1b", "\x9b", "\u202e", "\x07"}


def test_a_pipe_gets_what_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stdout", pipe)
    streams.output(HOSTILE)
    assert pipe.getvalue() == HOSTILE


def test_a_notice_is_one_safe_line(capsys: pytest.CaptureFixture[str]) -> None:
    streams.notice(HOSTILE)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "\x1b" not in captured.err
    assert captured.err.count("\n") == 1


def test_a_notice_to_nobody_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    streams.notice("nobody hears this")
    monkeypatch.setattr("sys.stderr", Broken(errno.EPIPE))
    streams.notice("nor this")


def test_writing_fails_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Broken(errno.EPIPE))
    with pytest.raises(streams.ReaderGone):
        streams.output("x")
    monkeypatch.setattr("sys.stdout", Broken(errno.ENOSPC))
    with pytest.raises(StorytellerError, match="No space left"):
        streams.output("x")


def test_work_goes_on_when_nobody_reads_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[bool] = []
    monkeypatch.setattr(streams, "forget_output", lambda: forgotten.append(True))
    told: list[str] = []

    def tell(event: str) -> None:
        if event == "goes":
            raise streams.ReaderGone
        told.append(event)

    listener = streams.told_while_read(tell)
    for event in ("first", "goes", "later", "last"):
        listener(event)
    assert told == ["first"]
    assert forgotten == [True]


def test_a_page_in_a_pipe_is_neither_folded_nor_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr("sys.stdout", pipe)
    streams.output_rich(Text("word " * 100 + "\nnext", style="bold red"))
    assert pipe.getvalue() == ("word " * 100).rstrip() + "\nnext\n"


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UserError("Do this.", title="No"), 2, "No: Do this.\n"),
        (StorytellerError("It broke."), 1, "storyteller cannot go on: It broke.\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (streams.ReaderGone(), 0, ""),
        (BrokenPipeError(), 0, ""),
        (UserError("\x1b[31m", title="\x07"), 2, "\u2407: \u241b[31m\n"),
    ],
)
def test_whatever_happens_becomes_a_line_and_a_code(
    error: BaseException,
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr("storyteller.cli.app.help_text", fail)
    monkeypatch.setattr("storyteller.cli.app.forget_output", lambda: None)
    assert run(["--help"]) == code
    assert capfd.readouterr().err == says


def test_a_fault_of_ours_is_a_sentence_and_the_log_has_no_word_of_the_text_safety_79(  # safety 79
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> str:
        found: dict[str, str] = {}
        return found[SECRET]

    monkeypatch.setattr("storyteller.cli.app.help_text", fail)
    assert run(["--help"]) == 1
    told = capfd.readouterr().err
    assert "fault of the program" in told
    assert "Traceback" not in told
    log = (home / "state" / "storyteller.log").read_text()
    assert "KeyError" in log
    assert "fail" in log
    assert SECRET not in log


def test_help_lists_every_command() -> None:
    assert all(command.does in help_text() for command in COMMANDS.values())
    assert all(len(line) <= 110 for line in help_text().splitlines())


# what is read


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"plain\n", "plain\n"),
        (b"one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("\ufeffcafé".encode(), "café"),
        ("naïve".encode("latin-1"), "naïve"),
        ("日本".encode("utf-16"), "日本"),
    ],
)
def test_a_file_is_read_in_its_encoding_with_plain_line_ends(data: bytes, text: str, tmp_path: Path) -> None:
    path = tmp_path / "draft.md"
    path.write_bytes(data)
    assert read_text(str(path)) == text


def test_bytes_that_are_no_text_are_still_a_prompt(tmp_path: Path) -> None:
    path = tmp_path / "draft.md"
    path.write_bytes("日本語の物語".encode() + b"\xff\xfe" + "です".encode())
    read_text(str(path)).encode()


@pytest.mark.parametrize("name", ["missing.md", "folder", "fifo", "/dev/zero"])
def test_what_is_no_file_is_refused_safety_15(name: str, tmp_path: Path) -> None:  # safety 15
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DocumentError):
        read_text(str(tmp_path / name))


def test_one_newline_at_the_end_is_the_files_not_the_writers() -> None:
    assert without_final_newline("Once upon\n") == "Once upon"
    assert without_final_newline("a verse\n\n") == "a verse\n"
    assert without_final_newline("a\n b ") == "a\n b "


# where the room can open


def terminal(**changes: object) -> Terminal:
    plain = {"term": "xterm", "colours": "16", "columns": 80, "rows": 24, "input_is_terminal": True,
             "output_is_terminal": True, "encoding": "utf-8", "unicode": True, "multiplexer": "", "ssh": False}  # fmt: skip
    return Terminal(**{**plain, **changes})  # type: ignore[arg-type]  # the values of a table


def test_the_room_opens_in_a_terminal_and_nowhere_else_safety_32() -> None:  # safety 32
    assert why_no_room(terminal()) is None
    assert why_no_room(terminal(term="dumb")) is not None
    assert why_no_room(terminal(term="")) is not None
    assert why_no_room(terminal(input_is_terminal=False)) is not None
    assert why_no_room(terminal(output_is_terminal=False)) is not None


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "16 million"),
        ({"TERM": "xterm-256color"}, "256"),
        ({"TERM": "xterm"}, "16"),
        ({"TERM": "dumb"}, "none"),
        ({}, "none"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "none (NO_COLOR)"),
    ],
)
def test_colours_are_what_the_environment_says(environment: dict[str, str], colours: str) -> None:
    assert inspect_terminal(environment).colours == colours


def test_ssh_and_multiplexers_are_seen() -> None:
    seen = inspect_terminal({"TERM": "tmux", "TMUX": "/tmp/x", "SSH_CONNECTION": "1 2 3 4"})
    assert (seen.multiplexer, seen.ssh) == ("tmux", True)
