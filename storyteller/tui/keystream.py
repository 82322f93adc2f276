"""Bytes from the terminal, split into text for Textual's key parser and whole pastes that never pass it.

Three things the parser cannot take are dealt with here: bytes that are not UTF-8, the old X10 mouse report
whose coordinates are not UTF-8 past column 95, and a paste that never ends. Pastes also skip the parser's
work of one step a character, which holds the screen for seconds when a chapter is pasted.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from dataclasses import dataclass
from typing import Final

_PASTE_START: Final = "\x1b[200~"
_PASTE_END: Final = "\x1b[201~"
_X10_MOUSE: Final = re.compile(rb"\x1b\[M[\x20-\xff]{3}")
_X10_BEGUN: Final = re.compile(rb"\x1b\[M[\x20-\xff]{0,2}\Z")


@dataclass(frozen=True)
class Pasted:
    """The text of one bracketed paste."""

    text: str


class KeyStream:
    """Stateful splitter: a character, a mouse report or a paste may arrive in any number of pieces."""

    def __init__(self) -> None:
        self._decode = getincrementaldecoder("utf-8")(errors="replace").decode
        self._mouse = b""  # the beginning of an X10 report
        self._held = ""  # what may be the beginning of a paste marker
        self._paste: list[str] | None = None

    @property
    def pasting(self) -> bool:
        """Whether a paste has begun and not ended."""
        return self._paste is not None

    def feed(self, data: bytes, *, full: bool = False) -> list[str | Pasted]:
        """The pieces in `data`, in order. `full`: the read filled its buffer, so a marker may be cut in two."""
        text = self._held + self._decode(self._without_x10(data))
        self._held = ""
        pieces: list[str | Pasted] = []
        while text:
            text = self._rest_of_paste(text, pieces) if self._paste is not None else self._keys(text, pieces, full)
        return pieces

    def end_paste(self) -> list[str | Pasted]:
        """Give out a paste whose end never came: called when nothing has arrived for a while."""
        if self._paste is None:
            return []
        text = "".join(self._paste) + self._held
        self._paste, self._held = None, ""
        return [Pasted(text)]

    def _keys(self, text: str, pieces: list[str | Pasted], full: bool) -> str:
        keys, marker, rest = text.partition(_PASTE_START)
        if marker:
            self._paste = []
        elif full:
            keys, self._held = _split_tail(keys, _PASTE_START)
        if keys:
            pieces.append(keys)
        return rest

    def _rest_of_paste(self, text: str, pieces: list[str | Pasted]) -> str:
        assert self._paste is not None
        pasted, marker, rest = text.partition(_PASTE_END)
        if not marker:
            pasted, self._held = _split_tail(pasted, _PASTE_END)
            self._paste.append(pasted)
            return ""
        self._paste.append(pasted)
        pieces.append(Pasted("".join(self._paste)))
        self._paste = None
        return rest

    def _without_x10(self, data: bytes) -> bytes:
        if self.pasting or (not self._mouse and b"\x1b[M" not in data):
            return data
        data = _X10_MOUSE.sub(b"", self._mouse + data)
        begun = _X10_BEGUN.search(data)
        self._mouse = begun[0] if begun else b""
        return data[: begun.start()] if begun else data


def _split_tail(text: str, marker: str) -> tuple[str, str]:
    """`text` cut before a tail that could be the beginning of `marker`."""
    for length in range(min(len(marker) - 1, len(text)), 0, -1):
        if text.endswith(marker[:length]):
            return text[:-length], text[-length:]
    return text, ""
