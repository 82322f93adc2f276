"""Bytes from the terminal, split into text for Textual's key parser and whole pastes that never pass it.

Four things the parser cannot take are dealt with here: bytes that are not UTF-8, the old X10 mouse report
whose coordinates are not UTF-8 past column 95, F3 with a modifier, which many terminals send in the form of a report
of the cursor, and a paste that never ends. Pastes also skip the parser's
work of one step a character, which holds the screen for seconds when a chapter is pasted.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from dataclasses import dataclass
from typing import Final

_PASTE_START: Final = b"\x1b[200~"
_PASTE_END: Final = b"\x1b[201~"
_X10_MOUSE: Final = re.compile(rb"\x1b\[M[\x20-\xff]{3}")
_F3: Final = re.compile(rb"\x1b\[1;([2-9]|1[0-6])R")  # the number is 1 more than the sum of the modifiers
_BEGUN: Final = re.compile(rb"\x1b\[(?:M[\x20-\xff]{0,2}|1(?:;[0-9]{0,2})?)\Z")


@dataclass(frozen=True)
class Pasted:
    """The text of one bracketed paste."""

    text: str


class KeyStream:
    """Stateful splitter: a character, a mouse report, a key or a paste may arrive in any number of pieces."""

    def __init__(self) -> None:
        self._decode = getincrementaldecoder("utf-8")(errors="replace").decode
        self._held = b""  # what may be the beginning of a marker, of a mouse report or of F3
        self._paste: list[bytes] | None = None

    @property
    def pasting(self) -> bool:
        """Whether a paste has begun and not ended."""
        return self._paste is not None

    def feed(self, data: bytes, *, full: bool = False) -> list[str | Pasted]:
        """The pieces in `data`, in order. `full`: the read filled its buffer, so a marker may be cut in two."""
        data, self._held = self._held + data, b""
        pieces: list[str | Pasted] = []
        while data:
            data = (
                self._keys(data, pieces, full)
                if self._paste is None
                else self._pasted(self._paste, data, pieces)
            )
        return pieces

    def end_paste(self) -> list[str | Pasted]:
        """Give out a paste whose end never came: called when nothing has arrived for a while."""
        if self._paste is None:
            return []
        pasted = b"".join(self._paste) + self._held
        self._paste, self._held = None, b""
        return [Pasted(pasted.decode("utf-8", "replace"))]

    def _keys(self, data: bytes, pieces: list[str | Pasted], full: bool) -> bytes:
        keys, marker, rest = data.partition(_PASTE_START)
        keys = _F3.sub(b"\x1b[13;\\1~", _X10_MOUSE.sub(b"", keys))
        if marker:
            self._paste = []
        elif begun := _BEGUN.search(keys):
            keys, self._held = keys[: begun.start()], begun[0]
        elif full:
            keys, self._held = _split_tail(keys, _PASTE_START)
        if text := self._decode(keys):
            pieces.append(text)
        return rest

    def _pasted(self, paste: list[bytes], data: bytes, pieces: list[str | Pasted]) -> bytes:
        pasted, marker, rest = data.partition(_PASTE_END)
        if marker:
            pieces.append(Pasted(b"".join([*paste, pasted]).decode("utf-8", "replace")))
            self._paste = None
        else:
            pasted, self._held = _split_tail(pasted, _PASTE_END)
            paste.append(pasted)
        return rest


def _split_tail(data: bytes, marker: bytes) -> tuple[bytes, bytes]:
    """`data` cut before a tail that could be the beginning of `marker`."""
    for length in range(min(len(marker) - 1, len(data)), 0, -1):
        if data.endswith(marker[:length]):
            return data[:-length], data[-length:]
    return data, b""
