"""A `TextTokenizer` over pieces given by a test; texts are cut greedily, the longest piece first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LETTERS = tuple("\nabcdefghijklmnopqrstuvwxyz :\"*.,'!?")


class PieceTokenizer:
    """Id 0 ends a document and has no text; id n is `pieces[n - 1]`."""

    eos = 0

    def __init__(self, pieces: Sequence[str | bytes] = LETTERS) -> None:
        self._pieces = [b"", *(p.encode() if isinstance(p, str) else p for p in pieces)]
        self._ids = {piece: token for token, piece in enumerate(self._pieces) if piece}
        self._longest = max(map(len, self._pieces))

    @property
    def vocab_size(self) -> int:
        return len(self._pieces)

    def encode(self, text: str) -> list[int]:
        data, ids = text.encode("utf-8", "surrogatepass"), []
        while data:
            size = next((n for n in range(self._longest, 0, -1) if data[:n] in self._ids), 0)
            if size:
                ids.append(self._ids[data[:size]])
            data = data[max(size, 1) :]  # what no piece spells is left out
        return ids

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return b"".join(self._pieces[token] for token in ids)

    def token_bytes(self, token: int) -> bytes:
        return self._pieces[token]
