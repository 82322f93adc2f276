"""Texts in the settings, as the tokens they mean. Looked up once a tokenizer."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from storyteller.engine.decoder import TextTokenizer


def exempt_tokens(tokenizer: TextTokenizer, texts: Iterable[str]) -> frozenset[int]:
    """The tokens that write `texts`, with a space before them too, and those that repeat one of them."""
    return frozenset().union(*(_writing(tokenizer, text) for text in texts))


def breaker_tokens(tokenizer: TextTokenizer, texts: Iterable[str]) -> frozenset[int]:
    """The tokens that contain one of `texts`; of a text in no single token, the last of its own."""
    return frozenset().union(*(_containing(tokenizer, text) for text in texts))


@lru_cache(maxsize=256)
def _writing(tokenizer: TextTokenizer, text: str) -> frozenset[int]:
    if not text:
        return frozenset()
    spaced = [] if text[0].isspace() else tokenizer.encode(" " + text)
    wanted = text.encode("utf-8", "surrogatepass")
    repeated = (
        token
        for token, piece in enumerate(_vocabulary(tokenizer))
        if piece and not piece.replace(wanted, b"")
    )
    return frozenset(tokenizer.encode(text)).union(spaced, repeated)


@lru_cache(maxsize=256)
def _containing(tokenizer: TextTokenizer, text: str) -> frozenset[int]:
    if not text:
        return frozenset()
    wanted = text.encode("utf-8", "surrogatepass")
    found = frozenset(token for token, piece in enumerate(_vocabulary(tokenizer)) if wanted in piece)
    return found or frozenset(tokenizer.encode(text)[-1:])


@lru_cache(maxsize=2)
def _vocabulary(tokenizer: TextTokenizer) -> tuple[bytes, ...]:
    return tuple(tokenizer.token_bytes(token) for token in range(tokenizer.vocab_size))
