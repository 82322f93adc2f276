"""What terminals really send, and terminals that cannot do much: the room stays open and the text right."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.stubs.pty_room import REPOSITORY, PtyRoom

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

PASTE, END = b"\x1b[200~", b"\x1b[201~"


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.md"
    path.write_text("She read it twice.\n", encoding="utf-8")
    return path


def save(room: PtyRoom) -> None:
    room.send("\x13")
    room.wait_for("Saved novel.md.")


@pytest.mark.parametrize(
    "noise",
    [
        b"\xff\xfe\xc3",
        b"\x1b[M \xff\xff",
        b"\x1b[M\x20\x21\x21\x1b[M#\xc1\xa0",
        b"\x1b[",
        b"\x1b]52;c;",
        b"\x1b[<0;9999;9999M",
        b"\x1b[1;1R\x1b[?2026;9$y",
    ],
)
def test_noise_from_the_terminal_does_not_end_the_room(novel: Path, noise: bytes) -> None:
    """safety 31"""
    with PtyRoom(novel) as room:
        room.wait_for("write on")
        room.send(noise)
        room.wait_for(lambda: not room.read(0.3))
        room.send("\x1b[1;5F")  # Ctrl+End: out of whatever sequence was left open
        room.send("Onwards.")
        room.wait_for("Onwards.")


def test_a_large_paste_arrives_whole(novel: Path) -> None:
    """safety 31"""
    pasted = "".join(f"Line {number} of a chapter that was written elsewhere.\n" for number in range(20_000))
    with PtyRoom(novel) as room:
        room.wait_for("write on")
        data = PASTE + pasted.encode() + END
        while data:
            data = data[room.child.send(data[:4096]) :]
            room.read(0)
        room.wait_for("20,001:1", timeout=30)
        save(room)
    assert novel.read_text(encoding="utf-8") == pasted + "She read it twice.\n"


def test_a_paste_that_never_ends_is_not_lost(novel: Path) -> None:
    """safety 31"""
    with PtyRoom(novel) as room:
        room.wait_for("write on")
        room.send(PASTE + b"Half of it. ")
        room.wait_for("Half of it. She")
        room.send("More. ")
        room.wait_for("Half of it. More. She")


def test_a_paste_with_an_end_in_it_is_text_and_keys(novel: Path) -> None:
    """safety 31"""
    with PtyRoom(novel) as room:
        room.wait_for("write on")
        room.send(PASTE + b"One. " + END + b"Two. " + END)
        room.wait_for("One. Two. ")


def test_shift_held_a_moment_too_long_takes_no_key_away(novel: Path) -> None:
    """safety 31"""
    with PtyRoom(novel) as room:
        room.wait_for("write on")
        room.send("Onx\x1b[127;2u\x1b[127;2u")
        room.wait_for("OShe")
        room.send("ne.\x1b[13;2u")
        room.wait_for("2:1")
        save(room)
    assert novel.read_text(encoding="utf-8") == "One.\nShe read it twice.\n"


def test_any_size_of_terminal_will_do(novel: Path) -> None:
    """safety 30"""
    sizes = [(1, 1), (0, 0), (200, 500), (3, 8), (2, 40), (30, 100)]
    with PtyRoom(novel, "--pace", "0.02") as room:
        room.wait_for("write on")
        room.send("\t")
        room.wait_for("writing")
        for number in range(100):
            rows, columns = sizes[number % len(sizes)]
            room.child.setwinsize(rows, columns)
            room.read(0.01)
        room.child.setwinsize(30, 100)
        room.wait_for("paid to.")
        room.send("\t")
        room.wait_for("Kept")
        save(room)
    assert "paid to." in novel.read_text(encoding="utf-8")


def without_colour(room: PtyRoom) -> bool:
    return b"38;2;" not in room.raw and b"38;5;" not in room.raw


def sixteen(room: PtyRoom) -> bool:
    return b"38;2;" not in room.raw and b"38;5;" not in room.raw and b"\x1b[3" in room.raw


@pytest.mark.parametrize(
    ("environment", "holds"),
    [
        ({"NO_COLOR": "1", "COLORTERM": "truecolor"}, without_colour),
        ({"TERM": "xterm-16color", "COLORTERM": ""}, sixteen),
        ({"LANG": "C", "LC_ALL": "C"}, None),
        ({"LANG": "en_US.ISO-8859-1", "LC_ALL": "en_US.ISO-8859-1", "PYTHONIOENCODING": "latin-1"}, None),
    ],
    ids=["no-color", "16-colours", "C", "latin-1"],
)
def test_a_plain_terminal_still_shows_the_room(
    novel: Path, environment: dict[str, str], holds: Callable[[PtyRoom], bool] | None
) -> None:
    """safety 32"""
    with PtyRoom(novel, environment=environment) as room:
        room.wait_for("She read it twice.")
        room.wait_for("write on")
        room.send("\t")
        room.wait_for("paid to.")
        italic = [cell.data for cell in room.cells() if cell.italics]
        assert "lamp" in "".join(italic)
        assert holds is None or holds(room)


@pytest.mark.parametrize(
    ("environment", "says"),
    [({"TERM": "dumb"}, "TERM is dumb"), ({"TERM": ""}, "TERM is not set")],
)
def test_a_terminal_that_cannot_place_text_is_refused_in_words(
    novel: Path, environment: dict[str, str], says: str
) -> None:
    """safety 32"""
    with PtyRoom(novel, environment=environment, command=("-m", "storyteller")) as room:
        room.wait_for(says)
        assert room.wait_for_end() == 2
        assert b"\x1b[?1049h" not in room.raw


@pytest.mark.parametrize("closed", [True, False])
def test_without_a_terminal_it_says_so(novel: Path, *, closed: bool) -> None:
    """safety 32"""
    done = subprocess.run(
        [sys.executable, "-m", "storyteller", str(novel)],
        stdin=None if closed else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        preexec_fn=(lambda: os.close(0)) if closed else None,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm"},
    )
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_detached_from_tmux_and_attached_again(novel: Path, tmp_path: Path) -> None:
    """safety 34"""
    socket = str(tmp_path / "tmux")

    def tmux(*arguments: str) -> str:
        done = subprocess.run(["tmux", "-S", socket, *arguments], capture_output=True, text=True, check=False)
        return done.stdout

    program = f"exec {sys.executable} -m tests.stubs.room_program {novel}"
    with PtyRoom(novel, command=("-c", "pass")) as room:
        room.wait_for_end()
    tmux("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30", "-c", str(REPOSITORY), program)
    try:
        _until(lambda: "write on" in tmux("capture-pane", "-p"))
        for _ in range(3):
            client = _attach(socket)
            client.send_signal(signal.SIGTERM)
            client.wait(5)
        tmux("send-keys", "-l", "After all. ")
        _until(lambda: "After all. She" in tmux("capture-pane", "-p"))
    finally:
        tmux("kill-server")


def _attach(socket: str) -> subprocess.Popen[bytes]:
    leader, follower = os.openpty()
    try:
        return subprocess.Popen(
            ["tmux", "-S", socket, "attach"],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env={**os.environ, "TERM": "xterm-256color"},
        )
    finally:
        os.close(follower)
        del leader


def _until(holds: Callable[[], bool], timeout: float = 15) -> None:
    import time

    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
