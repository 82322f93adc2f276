"""Signals and vanished terminals: the text is in the journal, the terminal as it was, the program gone in time."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from storyteller.manuscript.recovery import find_recoveries
from tests.stubs.pty_room import PtyRoom
from tests.stubs.room_program import SECRET

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("She read it twice.\n", encoding="utf-8")
    return path


def written(room: PtyRoom, text: str = "Once. ") -> None:
    room.wait_for("write on")
    room.send(text)
    room.wait_for(f"{text}She read")


def recovered(novel: Path) -> str:
    (recovery,) = find_recoveries(novel)
    return recovery.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_secures_the_text_and_restores_the_terminal(novel: Path, number: int) -> None:
    """safety 25, 27"""
    with PtyRoom(novel) as room:
        written(room)
        began = time.monotonic()
        room.signal(number)
        assert room.wait_for_end() == 128 + number
        assert time.monotonic() - began < 1.0
        assert room.left_as_found()
    assert recovered(novel) == "Once. She read it twice.\n"
    assert novel.read_text(encoding="utf-8") == "She read it twice.\n"


@pytest.mark.parametrize("ignore", [False, True])
def test_a_closed_terminal_ends_it_without_spinning(novel: Path, *, ignore: bool) -> None:
    """safety 25, 26, 33"""
    with PtyRoom(novel, ignore_hang_up=ignore) as room:
        written(room)
        began = time.monotonic()
        room.hang_up()
        assert room.wait_for_end() == 129
        assert time.monotonic() - began < 1.0
    assert recovered(novel) == "Once. She read it twice.\n"


def test_a_closed_terminal_in_mid_stream_ends_it(novel: Path) -> None:
    """safety 33"""
    with PtyRoom(novel, "--pace", "0.05") as room:
        written(room)
        room.send("\t")
        room.wait_for("writing")
        room.hang_up()
        assert room.wait_for_end() == 129
    assert recovered(novel) == "Once. She read it twice.\n"


def test_a_storm_of_interrupts_stops_the_model_and_nothing_else(novel: Path) -> None:
    """safety 28"""
    with PtyRoom(novel, "--pace", "0.05") as room:
        written(room)
        room.send("\t")
        room.wait_for("writing")
        for _ in range(50):
            room.signal(signal.SIGINT)
        room.wait_for(lambda: "writing" not in room.text)
        room.send("More. ")
        room.wait_for("Once. More. ")


def test_stopped_and_continued_it_draws_itself_again(novel: Path) -> None:
    """safety 29"""
    with PtyRoom(novel, "--pace", "0.05") as room:
        written(room)
        room.send("\t")
        room.wait_for("writing")
        room.signal(signal.SIGSTOP)
        room.wait_for(room.is_stopped)
        while room.read():
            pass
        before = len(room.raw)
        room.signal(signal.SIGCONT)
        room.wait_for(lambda: b"She" in room.raw[before:] and b"novel.md" in room.raw[before:])
        room.wait_for("been paid to.")
        room.send("\x1b")
        room.wait_for("Refused.")
        room.send("More. ")
        room.wait_for("Once. More. ")
        room.signal(signal.SIGTERM)
        assert room.wait_for_end() == 143
        assert room.left_as_found()


def test_suspended_it_gives_the_terminal_back_until_it_returns(novel: Path) -> None:
    """safety 29"""
    with PtyRoom(novel) as room:
        written(room)
        room.signal(signal.SIGTSTP)
        room.wait_for(room.is_stopped)
        while room.read():
            pass
        assert room.left_as_found()
        before = len(room.raw)
        room.signal(signal.SIGCONT)
        room.wait_for(lambda: b"?1049h" in room.raw[before:] and b"She" in room.raw[before:])
        room.send("More. ")
        room.wait_for("Once. More. ")
        room.signal(signal.SIGTERM)
        assert room.wait_for_end() == 143
        assert room.left_as_found()


def test_a_fault_in_a_worker_is_a_dialog_and_the_room_goes_on(novel: Path, home: Path) -> None:
    """safety 35, 79"""
    with PtyRoom(novel, "--fault", "worker") as room:
        written(room)
        room.send("\t")
        room.wait_for("Something in storyteller broke")
        room.send("\x1b")
        room.wait_for(lambda: "Something" not in room.text)
        room.send("More. ")
        room.wait_for("Once. More. ")
        assert SECRET not in room.text
    log = (home / "state" / "storyteller.log").read_text(encoding="utf-8")
    assert "ValueError" in log
    assert SECRET not in log
    assert recovered(novel).startswith("Once. ")


def test_a_crash_is_one_sentence_on_a_restored_terminal(novel: Path, home: Path) -> None:
    """safety 35, 79"""
    with PtyRoom(novel, "--fault", "handler") as room:
        written(room)
        room.send("\x1b[19~")  # F8
        assert room.wait_for_end() == 1
        assert room.left_as_found()
        goodbye = room.raw[room.raw.rfind(b"?1049l") :].decode()
        assert "storyteller failed (ValueError). Your text is safe" in goodbye
        assert "Traceback" not in goodbye
        assert SECRET not in goodbye
    log = (home / "state" / "storyteller.log").read_text(encoding="utf-8")
    assert "ValueError" in log
    assert SECRET not in log
    assert recovered(novel) == "Once. She read it twice.\n"


def test_a_crash_promises_no_text_that_is_in_no_journal(novel: Path, home: Path) -> None:
    """safety 23, 35"""
    (home / "state").mkdir(parents=True)
    (home / "state" / "journal").touch()
    with PtyRoom(novel, "--fault", "handler") as room:
        written(room)
        room.send("\x1b[19~")  # F8
        assert room.wait_for_end() == 1
        goodbye = room.raw[room.raw.rfind(b"?1049l") :].decode()
        assert "storyteller failed (ValueError). What was not saved could not be kept" in goodbye
        assert "safe" not in goodbye
