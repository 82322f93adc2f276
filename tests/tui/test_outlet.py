"""Writing to a terminal that works, that hangs, and that is gone."""

from __future__ import annotations

import contextlib
import os
import pty
import tty
from typing import TYPE_CHECKING

import pytest

from storyteller.tui.outlet import Outlet

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal:
    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.told: list[str] = []
        self.outlet = Outlet(
            self.slave,
            "utf-8",
            on_repaint=lambda: self.told.append("repaint"),
            on_gone=lambda: self.told.append("gone"),
        )


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    for descriptor in (terminal.master, terminal.slave):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def test_text_arrives(terminal: Terminal) -> None:
    assert terminal.outlet.write("┌ é") == 3
    assert os.read(terminal.master, 100) == "┌ é".encode()


def test_what_the_encoding_lacks_is_replaced(terminal: Terminal) -> None:  # safety 32
    outlet = Outlet(terminal.slave, "latin-1", on_repaint=list, on_gone=list)
    outlet.write("─ é → ☂ \udc80")
    assert os.read(terminal.master, 100) == b"- \xe9 > ? ?"


def test_a_stopped_terminal_does_not_block_and_is_repainted_later(terminal: Terminal) -> None:  # safety 33
    for _ in range(100):
        terminal.outlet.write("x" * 4096)
    assert terminal.told == []
    while os.read(terminal.master, 65536).endswith(b"x") and not _quiet(terminal.master):
        pass
    terminal.outlet.write("y")
    assert terminal.told == ["repaint"]
    assert os.read(terminal.master, 100) == b"\x18y"


def test_a_terminal_that_is_gone_is_told_once(terminal: Terminal) -> None:  # safety 26 33
    os.close(terminal.master)
    terminal.outlet.write("a")
    terminal.outlet.write("b")
    assert terminal.told == ["gone"]


def _quiet(descriptor: int) -> bool:
    import select

    return not select.select([descriptor], [], [], 0.05)[0]
