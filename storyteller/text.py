"""Text on its way to a screen: whatever it holds, it reaches the terminal as plain characters.

Every string that did not come from our own source (file names, exceptions, a model's output, genre
names, the manuscript) passes `display_text` or `display_line` before a widget or the console sees it.
"""

from __future__ import annotations

from typing import Final

_REPLACEMENT: Final = "\ufffd"
# Bidirectional controls reorder what is read (CVE-2021-42574); U+2028/9 break lines in some terminals.
_BIDI: Final = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SEPARATORS: Final = (0x2028, 0x2029)


def _visible_controls() -> dict[int, str]:
    """One character for one, so that offsets into the shown text equal offsets into the true text."""
    table = {code: chr(0x2400 + code) for code in range(0x20)}
    table[0x7F] = "\u2421"
    table.update(dict.fromkeys(range(0x80, 0xA0), _REPLACEMENT))
    table.update(dict.fromkeys(_BIDI, _REPLACEMENT))
    table.update(dict.fromkeys(_SEPARATORS, _REPLACEMENT))
    table.update(dict.fromkeys(range(0xD800, 0xE000), _REPLACEMENT))
    return table


_LINE: Final = _visible_controls()
_EDITOR_LINE: Final = {code: shown for code, shown in _LINE.items() if code != 0x09}
_BLOCK: Final = {code: shown for code, shown in _LINE.items() if code not in {0x09, 0x0A}}
# Dropped from a model's output before it may enter a manuscript: controls but tab and newline.
_UNWRITABLE: Final = dict.fromkeys(code for code in _LINE if code not in {0x09, 0x0A, 0x200E, 0x200F})


def display_line(text: str) -> str:
    """`text` as one printable line: C0 controls as their pictures (newline and tab too), the rest as U+FFFD."""
    return text.translate(_LINE)


def display_text(text: str) -> str:
    """`text` as printable lines: newline and tab stay, every other control becomes visible."""
    return text.translate(_BLOCK)


def editor_line(text: str) -> str:
    """A manuscript line for the editor: as `display_line`, but a tab stays a tab. Length never changes."""
    return text.translate(_EDITOR_LINE)


def writable_text(text: str) -> str:
    r"""A model's output without the control characters a manuscript must not gain; `\r\n` and `\r` become `\n`.

    Works on any chunk of a stream by itself except a `\r\n` cut in two, which yields one newline too many;
    the detokeniser keeps such a pair together.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_UNWRITABLE)
