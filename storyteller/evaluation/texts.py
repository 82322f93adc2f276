"""What is measured: documents out of files, WikiText-2 as the field joins it, and the lists that ship for measuring."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.errors import UserError
from storyteller.paths import assets_dir

if TYPE_CHECKING:
    from collections.abc import Sequence

_WORDS: Final = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


class _Document(msgspec.Struct):
    text: str


_Rows = list[_Document | str]


def documents(content: str, name: str) -> list[str]:
    """The documents of a file's `content`; the end of its `name` says how they are kept.

    A line of `.jsonl`, and a member of the list in a `.json`, is a text or an object with a `text`; any other file
    is one document. Documents of blanks alone are left out.

    Raises:
        UserError: a line or member is neither; the message names it.
    """
    kind = PurePath(name).suffix.lower()
    try:
        if kind == ".jsonl":
            found = _lines(content, name)
        elif kind == ".json":
            whole = msgspec.json.decode(content, type=_Rows | _Document | str)
            found = [_text(row) for row in (whole if isinstance(whole, list) else [whole])]
        else:
            found = [content]
    except msgspec.DecodeError as error:
        raise UserError(f"{name}: {error}. It has to be texts, or objects with a `text`.") from error
    return [text for text in found if text.strip()]


def joined(texts: Sequence[str]) -> str:
    """Documents as one text, a blank line between them."""
    return "\n\n".join(texts)


def wikitext(content: str) -> str:
    """WikiText's raw file as Hugging Face's page on perplexity reads it: 287,644 GPT-2 tokens of the test part.

    There every line is a row of a data set that keeps its newline, or the empty text where the line is blank, and
    the rows are joined by blank lines. The file as it stands has fewer newlines, and another perplexity.
    Source: huggingface.co/docs/transformers/perplexity; the `wikitext` data set's own loading of its rows.
    """
    return joined([line if line.strip() else "" for line in StringIO(content, newline="\n")])


def words(text: str) -> list[str]:
    """The words and marks of `text`, for measures that are to mean the same whatever the tokenizer."""
    return _WORDS.findall(text)


def shipped_prompts() -> list[str]:
    """Twenty short beginnings of stories, verse, talk and code, written for this."""
    return shipped_lines("prompts.txt")


def shipped_stop_words() -> frozenset[str]:
    """English words too common to end a passage with any meaning, in small letters."""
    return frozenset(shipped_lines("stop-words.txt"))


def shipped_lines(name: str) -> list[str]:
    """The lines of a file in `assets/eval`, without blank ones."""
    content = (assets_dir() / "eval" / name).read_text(encoding="utf-8")
    return [line for line in content.splitlines() if line.strip()]


def _lines(content: str, name: str) -> list[str]:
    found = []
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            try:
                found.append(_text(msgspec.json.decode(line, type=_Document | str)))
            except msgspec.DecodeError as error:
                raise UserError(
                    f"{name}, line {number}: {error}. A line has to be a text or an object with a `text`."
                ) from error
    return found


def _text(row: _Document | str) -> str:
    return row if isinstance(row, str) else row.text
