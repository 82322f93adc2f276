r"""Tokens to text as they come: never half a character, never half a `\r\n`, never what may become a stop string."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from storyteller.text import writable_text

if TYPE_CHECKING:
    from collections.abc import Sequence


class Detokeniser:
    """The text of one take, a token at a time.

    What `feed` and `finish` return, joined, is `writable_text` of the tokens' bytes decoded as a whole, without
    what the writer had typed already, up to the stop string that is complete first. Bytes that can be no
    character are U+FFFD; the beginning of one that never ends is dropped.

    Attributes:
        stopped: a stop string was completed; it and what follows are no part of the text.
    """

    def __init__(self, *, stop: Sequence[str] = (), typed: bytes = b"") -> None:
        """Begin a take.

        Args:
            stop: texts that end it; empty ones are ignored.
            typed: bytes the writer has typed already: dropped from the start, as far as the tokens repeat them.
        """
        self._stop = tuple(text for text in map(writable_text, stop) if text)
        self._typed = typed
        self._pieces: list[bytes] = []
        self._sent = 0
        self._begin()

    @property
    def text(self) -> str:
        """All that is whole characters so far, what is still held back included, up to a stop string."""
        return self._text

    @property
    def still_typed(self) -> bytes:
        """What of `typed` the tokens have not repeated yet; empty once they went another way."""
        return self._untyped

    def feed(self, piece: bytes, hold: int = 0) -> str:
        """The next token's bytes; returns what may be shown now, holding back at least `hold` characters."""
        self._pieces.append(piece)
        self._append(self._decoder.decode(self._beyond_typed(piece)), final=False)
        return self._send(max(hold, self._may_be_stop()))

    def finish(self) -> str:
        """The take ended: what was held back, without bytes that are no whole character yet."""
        self._append("", final=True)
        return self._send(0)

    def rewind(self, tokens: int) -> int:
        """Forget the last `tokens`, which were fed and not finished.

        Returns:
            how many characters already returned are to be taken back.
        """
        pieces = self._pieces[: len(self._pieces) - tokens]
        sent = self._sent
        self._pieces = []
        self._begin()
        for piece in pieces:
            self.feed(piece)
        self._sent = min(sent, self._sent)
        return sent - self._sent

    def _begin(self) -> None:
        self.stopped = False
        self._untyped = self._typed
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._carriage = False  # a `\r` at the end, which a `\n` may follow
        self._text = ""
        self._sent = 0

    def _beyond_typed(self, piece: bytes) -> bytes:
        if not self._untyped:
            return piece
        same = 0
        for said, typed in zip(piece, self._untyped, strict=False):
            if said != typed:
                break
            same += 1
        self._untyped = self._untyped[same:] if same == len(piece) else b""
        return piece[same:]

    def _append(self, characters: str, *, final: bool) -> None:
        if self.stopped:
            return
        if self._carriage:
            characters = "\r" + characters
        self._carriage = characters.endswith("\r") and not final
        known = len(self._text)
        self._text += writable_text(characters[:-1] if self._carriage else characters)
        self._find_stop(known)

    def _find_stop(self, known: int) -> None:
        found = [
            (place + len(stop), place)
            for stop in self._stop
            if (place := self._text.find(stop, max(0, known - len(stop) + 1))) >= 0
        ]
        if found:
            self.stopped = True
            _, place = min(found)  # the first to be complete, however the text fell into tokens
            self._text = self._text[:place]

    def _may_be_stop(self) -> int:
        """How many characters at the end may begin a stop string."""
        if self.stopped:
            return 0
        longest = max(map(len, self._stop), default=0)
        for size in range(min(longest - 1, len(self._text)), 0, -1):
            ending = self._text[len(self._text) - size :]
            if any(stop.startswith(ending) for stop in self._stop):
                return size
        return 0

    def _send(self, hold: int) -> str:
        end = max(self._sent, len(self._text) - hold)
        new = self._text[self._sent : end]
        self._sent = end
        return new
