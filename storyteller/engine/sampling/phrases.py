"""Banned phrases, watched for in the text rather than in tokens, since a phrase can be spelt with many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence


class Found(Struct, frozen=True):
    """A banned phrase, and the index of the take's token that began it."""

    phrase: str
    start: int


class PhraseGuard:
    """Watches a take for banned phrases, in any case of letters and anywhere, inside words too.

    A phrase that began in the prompt is found as well; its start is then the take's first token.
    """

    def __init__(self, phrases: Sequence[str], prompt: bytes = b"") -> None:
        self._phrases = [(phrase, _fold(phrase)) for phrase in phrases]
        self._longest = max((len(folded) for _, folded in self._phrases), default=0)
        self._prompt = (
            prompt[-4 * self._longest :] if self._longest else b""
        )  # a character has at most 4 bytes
        self._pieces: list[bytes] = []

    def append(self, piece: bytes) -> Found | None:
        """The take's next token; says so when it completes a phrase."""
        self._pieces.append(piece)
        if not self._phrases:
            return None
        offset, tail = self._tail(len(piece))
        text = _text(tail)
        folded_text = _fold(text)
        settled = len(tail) - len(piece)
        found: list[tuple[int, str]] = []
        for phrase, folded in self._phrases:
            at = folded_text.find(folded)
            while at >= 0 and _size(text[: at + len(folded)]) <= settled:  # the prompt's own, or let through
                at = folded_text.find(folded, at + 1)
            if at >= 0:
                found.append((at, phrase))
        if not found:
            return None
        at, phrase = min(found)
        return Found(phrase, self._token_at(offset + _size(text[:at])))

    def rewind(self, tokens: int) -> None:
        """Forget the last `tokens`."""
        del self._pieces[len(self._pieces) - tokens :]

    @property
    def held_back(self) -> int:
        """How many characters at the end may become a phrase yet, and had better not be shown."""
        if not self._phrases:
            return 0
        text = _fold(_text(self._tail(0)[1]))
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            ending = text[-size:]
            if any(folded.startswith(ending) and len(folded) > size for _, folded in self._phrases):
                return size
        return 0

    def _tail(self, extra: int) -> tuple[int, bytes]:
        """The last bytes, enough for the longest phrase and `extra` more, and their offset in prompt and take."""
        wanted = 4 * self._longest + extra
        pieces: list[bytes] = []
        size = 0
        for piece in reversed(self._pieces):
            if size >= wanted:
                break
            pieces.append(piece)
            size += len(piece)
        else:
            pieces.append(self._prompt)
            size += len(self._prompt)
        total = len(self._prompt) + sum(map(len, self._pieces))
        return total - size, b"".join(reversed(pieces))

    def _token_at(self, offset: int) -> int:
        """The index of the take's token that holds the byte at `offset` in prompt and take."""
        end = len(self._prompt)
        for index, piece in enumerate(self._pieces):
            end += len(piece)
            if offset < end:
                return index
        return len(self._pieces) - 1


def _text(tail: bytes) -> str:
    """Characters and stray bytes, from which `_size` finds the bytes again."""
    return tail.decode("utf-8", "surrogateescape")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _fold(text: str) -> str:
    """Lower case, a character for a character, so that offsets stay."""
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)
