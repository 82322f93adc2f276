"""Byte-level tokens: text to ids and back, with nothing in a text able to stand for a special token."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from functools import cached_property, lru_cache
from itertools import chain, takewhile
from typing import TYPE_CHECKING, Any, Final

from tokenizers import Tokenizer, models, pre_tokenizers

from storyteller.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_LIMIT: Final = 100_000_000  # bytes of tokenizer.json
_ENDINGS: Final = ("<|endoftext|>", "</s>", "<eos>", "[EOS]")
# Between a letter and a blank the pre-tokenizer always cuts, and nothing before that cut matters after it.
_SAFE_CUT: Final = re.compile(r"[A-Za-z0-9.,;:!?'\"](?=[ \n])")
_SEGMENT: Final = 1024  # characters between cuts, about
_LONGEST: Final = 8 * _SEGMENT  # a longer segment is not remembered: it is no prose
_REMEMBERED: Final = 4096  # segments: 4 MB of text, several novels


class Tokens:
    """A model's tokenizer. Fits `decoder.TextTokenizer`.

    Attributes:
        eos: the id that ends a document, and begins one.
        vocab_size: ids are 0 to `vocab_size - 1`; some may be unused by the tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer, *, vocab_size: int, eos: int | None = None) -> None:
        tokenizer.encode_special_tokens = True
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._pieces = _pieces(tokenizer, vocab_size)
        self._segmented = _cuts_at_blanks(tokenizer)
        self.vocab_size = vocab_size
        self.eos = _end_of_document(tokenizer, vocab_size) if eos is None else eos
        self._encode_segment = lru_cache(_REMEMBERED)(self._encode_whole)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; special tokens spelt out in it are the plain text they are.

        Long texts are encoded in segments that are remembered, so that a novel costs its last paragraph.
        """
        if not self._segmented or len(text) < 2 * _SEGMENT:
            return list(self._encode_whole(text))
        return list(
            chain.from_iterable(
                self._encode_segment(segment) if len(segment) <= _LONGEST else self._encode_whole(segment)
                for segment in _segments(text)
            )
        )

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of `ids`, which need not be whole UTF-8 characters."""
        return b"".join(map(self.token_bytes, ids))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, with U+FFFD where bytes are no character."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one id; a special token has none.

        Raises:
            IndexError: no such id.
        """
        return self._pieces[token] or b""

    @cached_property
    def unused(self) -> tuple[int, ...]:
        """Ids that stand for nothing: the padding of a vocabulary to a round number."""
        return tuple(token for token, piece in enumerate(self._pieces) if piece is None)

    def last_word(self, text: str) -> str:
        """The end of `text` that the tokenizer would never split from what is typed next: its last pre-token.

        Empty where `text` is, or ends in a blank.
        """
        tail = text[-_SEGMENT:]
        if not tail or tail[-1].isspace() or self._tokenizer.pre_tokenizer is None:
            return ""
        _, (start, _) = self._tokenizer.pre_tokenizer.pre_tokenize_str(_scalar(tail))[-1]
        return tail[start:]

    def continuing(self, prefix: bytes) -> list[int]:
        """Every id that says all of `prefix`, and perhaps more. Empty for an empty prefix."""
        if not prefix:
            return []
        sorted_pieces, ids = self._by_bytes
        start = end = bisect_left(sorted_pieces, prefix)
        while end < len(ids) and sorted_pieces[end].startswith(prefix):
            end += 1
        return ids[start:end]

    @cached_property
    def _by_bytes(self) -> tuple[list[bytes], list[int]]:
        pairs = sorted((piece, token) for token, piece in enumerate(self._pieces) if piece)
        return [piece for piece, _ in pairs], [token for _, token in pairs]

    def _encode_whole(self, text: str) -> tuple[int, ...]:
        try:
            ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        except TypeError:  # how tokenizers says that there is a lone surrogate
            ids = self._tokenizer.encode(_scalar(text), add_special_tokens=False).ids
        return tuple(ids)


def same_beginning(left: Sequence[int], right: Sequence[int]) -> int:
    """How many ids `left` and `right` begin with alike."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


def load_tokens(folder: Path, *, vocab_size: int, eos: int | None) -> Tokens:
    """The tokenizer of the model in `folder`: tokenizer.json, or vocab.json and merges.txt.

    Raises:
        ModelError: it is missing, damaged, not byte-level, or too large for the model's vocabulary.
    """
    path = folder / "tokenizer.json"
    if path.exists():
        tokenizer = _from_json(path)
    else:
        path = folder / "vocab.json"
        tokenizer = _from_vocabulary(path, folder / "merges.txt")
    largest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if largest < 0:
        raise ModelError(f"{path} holds no tokens.")
    if largest >= vocab_size:
        raise ModelError(
            f"{path} has a token with id {largest}, and the model a vocabulary of {vocab_size}. "
            "The tokenizer belongs to another model."
        )
    try:
        return Tokens(tokenizer, vocab_size=vocab_size, eos=eos)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}") from error


def _from_json(path: Path) -> Tokenizer:
    try:
        if path.stat().st_size > _LIMIT:
            raise ModelError(f"{path} is over {_LIMIT // 1_000_000} MB, which no tokenizer needs.")
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"{path} is no tokenizer: {error}. Fetch the model again.") from error


def _from_vocabulary(vocabulary: Path, merges: Path) -> Tokenizer:
    for path in (vocabulary, merges):
        if not path.is_file():
            raise ModelError(
                f"{path.parent} has no tokenizer: tokenizer.json, or vocab.json and merges.txt, is needed."
            )
    try:
        tokenizer = Tokenizer(models.BPE.from_file(str(vocabulary), str(merges)))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(
            f"{vocabulary} and {merges.name} are no tokenizer: {error}. Fetch the model again."
        ) from error
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    known = tokenizer.get_vocab()
    tokenizer.add_special_tokens([name for name in _ENDINGS if name in known])
    return tokenizer


def _pieces(tokenizer: Tokenizer, vocab_size: int) -> list[bytes | None]:
    """The bytes of every id; none for a special token, None for an id that stands for nothing."""
    alphabet = _byte_alphabet()
    added = tokenizer.get_added_tokens_decoder()
    pieces: list[bytes | None] = [None] * vocab_size
    for name, token in tokenizer.get_vocab(with_added_tokens=False).items():
        try:
            pieces[token] = bytes(map(alphabet.__getitem__, name))
        except KeyError:
            if token not in added:
                raise ModelError(
                    f"token {name!r} is not byte-level; storyteller opens GPT-2's kind of tokenizer only."
                ) from None
    for token, form in added.items():
        pieces[token] = b"" if form.special else form.content.encode("utf-8", "replace")
    return pieces


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte (`bytes_to_unicode` of the paper's code), read backwards."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    shown = {chr(byte): byte for byte in printable}
    return shown | {chr(256 + place): byte for place, byte in enumerate(others)}


def _end_of_document(tokenizer: Tokenizer, vocab_size: int) -> int:
    known = tokenizer.get_vocab(with_added_tokens=True)
    specials = (token for token, form in tokenizer.get_added_tokens_decoder().items() if form.special)
    for token in chain((known[name] for name in _ENDINGS if name in known), specials):
        if token < vocab_size:
            return token
    raise ModelError("there is no end-of-document token, and config.json names none that exists.")


def _cuts_at_blanks(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer is exactly GPT-2's, so that what stands before a blank cannot change what follows."""
    splitter = tokenizer.pre_tokenizer
    before: dict[str, Any] = {} if splitter is None else json.loads(splitter.__getstate__())
    return (
        tokenizer.normalizer is None
        and before.get("type") == "ByteLevel"
        and before.get("add_prefix_space") is False
        and before.get("use_regex", True) is True
        and all(form.special for form in tokenizer.get_added_tokens_decoder().values())
    )


def _segments(text: str) -> Iterator[str]:
    """`text` in pieces of about `_SEGMENT` characters whose ids, joined, are the ids of the whole.

    Cuts depend on what stands since the last cut alone: an edit changes its own segment and, within it, moves
    the cuts after it until they fall into step again at a line that is long enough.
    """
    start = 0
    for place in _cut_places(text):
        yield text[start:place]
        start = place
    yield text[start:]


def _cut_places(text: str) -> Iterable[int]:
    place = 0
    while (found := _SAFE_CUT.search(text, place + _SEGMENT)) is not None:
        place = found.end()
        yield place


def _scalar(text: str) -> str:
    """`text` with U+FFFD for every lone surrogate, which UTF-8 has no bytes for. Length never changes."""
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)
