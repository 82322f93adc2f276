"""Where characters, words, sentences and lines begin and end, for people who write in any script.

Pure functions over a string and an index. Each looks only as far as it must, so that they cost the same
at the end of a ten-megabyte line as at its start.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Scripts written without spaces, where one character stands for a word.
_CJK: Final = (
    "\u3005-\u3007\u3031-\u3035\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
# Marks that Python's \w leaves out although they are part of a letter.
_MARKS: Final = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f"
    "\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0900-\u0903\u093a-\u094f\u0951-\u0957"
    "\u0962\u0963\u0980-\u0dff\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ebc\u0ec8-\u0ecd\u0f71-\u0f84"
    "\u102b-\u103e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u200c\u200d\ufe00-\ufe0f\ufe20-\ufe2f"
)
_LETTER: Final = rf"(?:[^\W_{_CJK}]|[{_MARKS}])"
_CLOSERS: Final = "\"'’”»›)\\]}）」』】〉》〕*_"
_LETTERS: Final = rf"(?:[^\W_{_CJK}]+|[{_MARKS}]+)"
_WORD: Final = re.compile(rf"[^\W_{_CJK}]{_LETTERS}*(?:(?:['’\-]|(?<=\d)[.,](?=\d)){_LETTERS}+)*|[{_CJK}]")
_CJK_CHARACTER: Final = re.compile(f"[{_CJK}]")

_JOINER: Final = "\u200d"
_LONGEST_CLUSTER: Final = 256  # code points; a longer pile of marks is cut, or a hostile file would stall


# Characters as people see them


def next_cluster(text: str, index: int) -> int:
    """The index just past the character that begins at `index`: marks, joined emoji and flags are one.

    A simplified UAX #29; a zero-width joiner binds whatever follows it, as the terminal's width tables do.
    """
    length = len(text)
    end = index + 1
    if end >= length:
        return length
    current = text[index]
    following = text[end]
    if current < "\u0300" and following < "\u0300":
        return end + 1 if current == "\r" and following == "\n" else end
    if current in "\r\n":
        return end
    flags = 1 if _is_regional(current) else 0
    limit = min(length, index + _LONGEST_CLUSTER)
    while end < limit:
        following = text[end]
        if following == _JOINER or _extends(following):
            pass
        elif current == _JOINER and following not in "\r\n":
            flags = 0
        elif flags == 1 and current == text[index] and end == index + 1 and _is_regional(following):
            flags = 2
        elif not _hangul_joins(current, following):
            break
        current = following
        end += 1
    return end


def previous_cluster(text: str, index: int) -> int:
    """The index at which the character before `index` begins; the inverse of `next_cluster`."""
    if index <= 1:
        return 0
    start = index - 1
    if text[start] < "\u0300" and text[start - 1] < "\u0300":
        return start - 1 if text[start] == "\n" and text[start - 1] == "\r" else start
    floor = max(0, index - 4 * _LONGEST_CLUSTER)
    while start > floor and not _surely_apart(text[start - 1], text[start]):
        start -= 1
    while (end := next_cluster(text, start)) < index:
        start = end
    return start


def _surely_apart(before: str, after: str) -> bool:
    if before in "\r\n" or after in "\r\n":
        return not (before == "\r" and after == "\n")
    if _JOINER in {before, after} or _extends(after):
        return False
    return not (_is_regional(before) and _is_regional(after)) and not _hangul_joins(before, after)


def _extends(character: str) -> bool:
    if character < "\u0300" or "\u30a0" <= character <= "\u9fff":
        return False
    if "\U0001f3fb" <= character <= "\U0001f3ff" or "\U000e0020" <= character <= "\U000e007f":
        return True
    return character == "\u200c" or unicodedata.category(character) in {"Mn", "Mc", "Me"}


def _is_regional(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _hangul_joins(before: str, after: str) -> bool:
    """Conjoining jamo make one syllable: leading, vowel, trailing (UAX #29, GB6 to GB8)."""
    if not "\u1100" <= after <= "\ud7a3":
        return False
    if "\u1100" <= before <= "\u115f":
        return after <= "\u11a7" or after >= "\uac00"
    if "\u1160" <= before <= "\u11a7":
        return "\u1160" <= after <= "\u11ff"
    if "\u11a8" <= before <= "\u11ff":
        return "\u11a8" <= after <= "\u11ff"
    if "\uac00" <= before <= "\ud7a3":
        open_syllable = (ord(before) - 0xAC00) % 28 == 0
        return ("\u1160" if open_syllable else "\u11a8") <= after <= "\u11ff"
    return False


# Words


def is_cjk(character: str) -> bool:
    """Whether `character` is of a script written without spaces: Han, kana."""
    return character >= "\u3005" and _CJK_CHARACTER.match(character) is not None


def is_letter(character: str) -> bool:
    """Whether `character` can be part of a longer word: a letter, digit or mark, not Han or kana."""
    if character.isascii():
        return character.isalnum()
    if is_cjk(character):
        return False
    return character.isalnum() or unicodedata.category(character) in {"Mn", "Mc", "Me"}


def count_words(text: str) -> int:
    """How many words: letters and digits joined by apostrophes and hyphens are one, so is each Han or kana."""
    return len(_WORD.findall(text))


def count_change(left: str, removed: str, inserted: str, right: str) -> int:
    """By how much the word count changes when `removed` between `left` and `right` becomes `inserted`.

    `left` and `right` are what stands around it; a hundred characters of each are enough.
    """
    return count_words(left + inserted + right) - count_words(left + removed + right)


def word_right(text: str, index: int) -> int:
    """Where a caret at `index` lands one word to the right: past what it stands in and the spaces after it."""
    length = len(text)
    if index >= length:
        return length
    index = word_end(text, index)
    while index < length and text[index].isspace():
        index += 1
    return index


def word_left(text: str, index: int) -> int:
    """Where a caret at `index` lands one word to the left: at the start of the word before it."""
    while index > 0 and text[index - 1].isspace():
        index -= 1
    if index == 0:
        return 0
    start = previous_cluster(text, index)
    if is_letter(text[start]):
        while start > 0 and _binds(text, start - 1):
            start -= 1
    elif not is_cjk(text[start]):
        while start > 0 and _is_mark_of_speech(text[start - 1]):
            start -= 1
    return start


def word_at(text: str, index: int) -> tuple[int, int]:
    """The bounds of the word (or of the run of spaces or punctuation) at `index`, for a double click."""
    if not text:
        return 0, 0
    index = min(index, len(text) - 1)
    if text[index].isspace():
        start, end = index, index
        while start > 0 and text[start - 1].isspace():
            start -= 1
        while end < len(text) and text[end].isspace():
            end += 1
        return start, end
    end = word_end(text, index)
    start = word_left(text, end)
    return min(start, index), end


def letters_before(text: str) -> int:
    """How many letters of one word stand at the end of `text`."""
    count = 0
    while count < len(text) and is_letter(text[-1 - count]):
        count += 1
    return count


def letters_after(text: str) -> int:
    """How many letters of one word stand at the start of `text`."""
    count = 0
    while count < len(text) and is_letter(text[count]):
        count += 1
    return count


def word_end(text: str, index: int) -> int:
    """The end of the word or of the run of punctuation at `index`; `index` itself on a space or at the end."""
    length = len(text)
    if index >= length or text[index].isspace():
        return index
    if is_letter(text[index]):
        while index < length and (is_letter(text[index]) or _is_inner(text, index)):
            index += 1
        return index
    if is_cjk(text[index]):
        return next_cluster(text, index)
    while index < length and _is_mark_of_speech(text[index]):
        index += 1
    return _whole(text, index)  # a heart may be followed by the mark that makes it red


def _binds(text: str, index: int) -> bool:
    return is_letter(text[index]) or _is_inner(text, index)


def _is_inner(text: str, index: int) -> bool:
    """An apostrophe between two letters of a word."""
    return (
        text[index] in "'’"
        and 0 < index < len(text) - 1
        and is_letter(text[index - 1])
        and is_letter(text[index + 1])
    )


def _is_mark_of_speech(character: str) -> bool:
    return not (character.isspace() or is_letter(character) or is_cjk(character))


# Pieces of an offer

_WORD_PIECE: Final = re.compile(
    rf"\s*(?:[{_CJK}]|[^\w\s]*{_LETTER}(?:{_LETTER}|['’_\-](?={_LETTER}))*|[^\w\s]+|_+)[^\w\s]*", re.DOTALL
)
_LINE_PIECE: Final = re.compile(r"\n*[^\n]*")
_ENDER: Final = re.compile(rf"[.!?…]+[{_CLOSERS}]*(?=\s|$)|[。！？｡]+[{_CLOSERS}]*|(?<=[^\s])[ \t]*(?=\n)")
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(\"“‘]|(?<!\w)')(?:[A-Za-z]|Mr|Mrs|Ms|Dr|St|Sr|Jr|Mt|Lt|Col|Gen|Capt|Sgt|Rev|Hon|Prof|Messrs|Mme|Mlle|No|vs|"
    r"etc|e\.g|i\.e|cf|approx|a\.m|p\.m)\.$"
)


def next_word(text: str, index: int = 0) -> int:
    """The end of the next word: the spaces before it, the word, the punctuation that clings to it.

    `""` has none: the end is `index`. Trailing spaces alone are a word, so that a writer can always get on.
    """
    if index >= len(text):
        return index
    match = _WORD_PIECE.match(text, index)
    return _whole(text, match.end()) if match and match.end() > index else len(text)


def next_sentence(text: str, index: int = 0) -> int:
    r"""The end of the next sentence, with the spaces before it and the quotes that close it.

    A paragraph's end is one too; abbreviations, initials and dots before a lower-case letter are not.
    With no end in sight it is the end of the text. Line ends are `\n`, as everywhere in an offer.
    """
    first = index
    while first < len(text) and text[first].isspace():
        first += 1
    for match in _ENDER.finditer(text, first):
        if _ends_sentence(text, match):
            return _whole(text, match.end())
    return len(text)


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    ender = match.group()
    if not ender.strip() or ender[0] in "。！？｡":
        return True
    if ender == "." and _ABBREVIATION.search(text, max(0, match.start() - 12), match.end()):
        return False
    rest = text[match.end() : match.end() + 40]
    following = rest.lstrip(" \t")
    return not following or not following[0].islower() or rest[0] == "\n"


def next_line(text: str, index: int = 0) -> int:
    """The end of the next line, with the newlines before it and without the one after it."""
    match = _LINE_PIECE.match(text, index)
    return _whole(text, match.end()) if match else len(text)


def _whole(text: str, index: int) -> int:
    """`index`, moved right out of the middle of a character."""
    if index <= 0 or index >= len(text):
        return index
    start = previous_cluster(text, index)
    end = next_cluster(text, start)
    return max(index, end)
