"""What the model is shown: the parts of a request's context laid out, tokenised and cut to the window.

The order that survived in the field is header, memory, lore, premise, text, with the author's note three
paragraphs before the end of the text. Text is cut from the left in whole blocks, so that the prompt keeps its
beginning, and the cache its worth, while the writer types.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.engine.prompt.tokens import Tokens
    from storyteller.engine.protocol import Context

_BLOCK: Final = 256
_NOTE_DISTANCE: Final = 3  # paragraphs
_MOST_HEALED: Final = 4  # tokens of an unfinished word that are chosen anew
_WORD_SEARCH: Final = 32  # tokens in which a cut looks for the start of a word
_RECENT: Final = 1 << 18  # characters: text before the last two to three of these is not even tokenised
_BLANK_LINE: Final = re.compile(r"\n[ \t]*\n\s*")
_LINE: Final = re.compile(r"\n\s*")


class Prompt(msgspec.Struct, frozen=True):
    """A context as the model is shown it.

    The takes begin after `ids`: their first tokens must say `typed` again, which the writer sees already.
    """

    ids: tuple[int, ...]
    tail: tuple[int, ...] = ()  # the tokens `typed` has by itself; empty where it is half of one
    typed: bytes = b""
    fixed: int = 0  # ids at the beginning that stay when the window slides
    truncated: bool = False


def block_of(window: int) -> int:
    """How many tokens are cut at once, and kept free for the answer: 256, or a quarter of a small window."""
    return max(1, min(_BLOCK, window // 4))


def assemble(
    context: Context, tokens: Tokens, *, window: int, max_tokens: int, heal: bool = True, growth: int = 0
) -> Prompt:
    """Lay out `context` so that at least min(`max_tokens`, a block) positions of `window` stay free.

    With `heal` an unfinished word at the end is chosen anew, token by token, from what continues it. A space at
    the end is always half of the next token. With `growth` the text is cut as it will be once it is so many
    tokens longer: `ids` are how that later prompt begins, as far as the text goes today.

    Raises:
        UserError: what stands around the text leaves no room for it.
    """
    whole = _plain(context.text)
    text = _recent(whole)
    before, after = _around_note(text) if context.note.strip() else ("", text)
    before_ids = tokens.encode(before)
    after_ids, tail, typed = _open_end(after, tokens, heal=heal)
    note_ids = tokens.encode(_note_line(context.note))
    head_ids = [token for part in _head_parts(context) for token in tokens.encode(part)]

    text_size = len(before_ids) + len(after_ids) + len(tail)
    room = window - _reserve(window, max_tokens) - len(head_ids) - len(note_ids) - 1  # 1: start of document
    _check_room(room, min(text_size, block_of(window)), context)
    if text_size + growth <= room and len(text) == len(whole):
        ids = (tokens.eos, *head_ids, *before_ids, *note_ids, *after_ids)
        return Prompt(ids, tuple(tail), typed, fixed=1 + len(head_ids) if head_ids else 0)

    cut = _cut(before_ids + after_ids, text_size + growth - room, block_of(window), tokens)
    in_before = min(cut, len(before_ids))
    ids = (*head_ids, *before_ids[in_before:], *note_ids, *after_ids[cut - in_before :])
    return Prompt(ids or (tokens.eos,), tuple(tail), typed, fixed=len(head_ids), truncated=True)


def prompt_of_ids(ids: Sequence[int], tokens: Tokens, *, window: int, max_tokens: int) -> Prompt:
    """Ids given as they are: nothing laid out or healed, only cut to the window.

    Raises:
        UserError: an id the model does not have.
    """
    for token in ids:
        if not 0 <= token < tokens.vocab_size:
            raise UserError(
                f"There is no token {token}: this model has ids from 0 to {tokens.vocab_size - 1}."
            )
    room = window - _reserve(window, max_tokens)
    if not ids:
        return Prompt((tokens.eos,))
    if len(ids) <= room:
        return Prompt(tuple(ids))
    block = block_of(window)
    excess = len(ids) - room
    return Prompt(tuple(ids[-(-excess // block) * block :]), truncated=True)


def shown_text(prompt: Prompt, tokens: Tokens) -> str:
    """What the model reads before a take says anything new."""
    return (tokens.decode_bytes(prompt.ids) + prompt.typed).decode("utf-8", "replace")


def _plain(text: str) -> str:
    r"""`text` with `\n` for every line end: the only one a model has read much of."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _recent(text: str) -> str:
    """The end of `text`, more than any window holds; where it begins changes seldom while the writer types."""
    blocks = len(text) // _RECENT
    return text if blocks < 3 else text[(blocks - 2) * _RECENT :]


def _reserve(window: int, max_tokens: int) -> int:
    return max(1, min(max_tokens, block_of(window)))


def _head_parts(context: Context) -> list[str]:
    parts = (context.header, context.memory, context.lore, context.premise)
    return [_plain(part).rstrip() + "\n" for part in parts if part.strip()]


def _note_line(note: str) -> str:
    note = _plain(note).strip()
    if not note:
        return ""
    return f"{note}\n" if note.startswith("[") else f"[Author's note: {note}]\n"


def _around_note(text: str) -> tuple[str, str]:
    """`text` cut three paragraphs before its end. Paragraphs are parted by blank lines, or else by lines."""
    gap = _BLANK_LINE if _BLANK_LINE.search(text) else _LINE
    starts = [found.end() for found in gap.finditer(text) if found.end() < len(text)]
    place = starts[-_NOTE_DISTANCE] if len(starts) >= _NOTE_DISTANCE else 0
    return text[:place], text[place:]


def _open_end(text: str, tokens: Tokens, *, heal: bool) -> tuple[list[int], list[int], bytes]:
    """The ids of `text`, those of an unfinished word at its end, and the bytes that are to be said again.

    Blanks at the end are tokenised as they are when a word follows, which is not how they are at an end: the
    last space belongs to that word.
    """
    if not text:
        return [], [], b""
    if text[-1].isspace():
        spaced = text.endswith(" ")
        word = " A" if spaced else "A"
        ids = tokens.encode(text + "A")
        return ids[: -len(tokens.encode(word))], [], b" " if spaced else b""
    ids = tokens.encode(text)
    size = _unfinished(text, ids, tokens) if heal else 0
    tail = ids[len(ids) - size :]
    return ids[: len(ids) - size], tail, tokens.decode_bytes(tail)


def _unfinished(text: str, ids: list[int], tokens: Tokens) -> int:
    """How many of the last `ids` may be an unlikely way to begin what the writer means."""
    if (
        unicodedata.category(text[-1]) == "Lo"
    ):  # scripts without cases: a character ends no differently in a word
        return 0
    word = tokens.encode(tokens.last_word(text))
    whole = 0 < len(word) <= _MOST_HEALED and ids[-len(word) :] == word
    return len(word) if whole else min(1, len(ids))


def _check_room(room: int, needed: int, context: Context) -> None:
    if room >= max(1, needed):
        return
    named = {
        "the header": context.header,
        "memory": context.memory,
        "lore": context.lore,
        "the premise": context.premise,
        "the author's note": context.note,
    }
    present = [name for name, part in named.items() if part.strip()]
    verb = "leaves" if present in (["the header"], ["memory"], ["lore"], ["the premise"]) else "leave"
    raise UserError(
        f"{_listed(present) or 'The settings'} {verb} the model no room for the text: shorten by about "
        f"{max(1, needed) - room} tokens ({(max(1, needed) - room) * 3 // 4 + 1} words)."
    )


def _listed(names: list[str]) -> str:
    joined = " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
    return joined[:1].upper() + joined[1:]


def _cut(ids: list[int], excess: int, block: int, tokens: Tokens) -> int:
    """How many of `ids` to drop: at least `excess`, whole blocks, then on to where a word starts."""
    cut = -(-max(0, excess) // block) * block
    beginnings = [tokens.token_bytes(token)[:1] for token in ids[cut : cut + _WORD_SEARCH]]
    for place, first in enumerate(beginnings):
        if first in {b" ", b"\n"}:
            return cut + place
    for place, first in enumerate(beginnings):
        if first and not 0x80 <= first[0] < 0xC0:  # not inside a character
            return cut + place
    return cut
