"""Split the text of a small language into tokens."""

import re
from collections.abc import Iterator
from typing import NamedTuple

PATTERN = re.compile(
    r"""
      (?P<number>\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z_]\w*)
    | (?P<string>"[^"]*")
    | (?P<operator>==|!=|<=|>=|[-+*/=<>()])
    | (?P<newline>\n)
    | (?P<space>[ \t]+)
    | (?P<unknown>.)
    """,
    re.VERBOSE,
)


class Token(NamedTuple):
    """A piece of the text, with what it is and the line it stands on."""

    kind: str
    text: str
    line: int


def tokenize(source: str) -> Iterator[Token]:
    """Yield the tokens of the source, without the space between them.

    >>> [token.text for token in tokenize('total = price * 1.2')]
    ['total', '=', 'price', '*', '1.2']
    >>> [token.kind for token in tokenize('name == "Ann"')]
    ['name', 'operator', 'string']
    >>> list(tokenize("a\\n?"))
    Traceback (most recent call last):
        ...
    SyntaxError: line 2: unexpected '?'
    """
    line = 1
    for match in PATTERN.finditer(source):
        kind, text = str(match.lastgroup), match.group()
        if kind == "newline":
            line += 1
        elif kind == "unknown":
            raise SyntaxError(f"line {line}: unexpected {text!r}")
        elif kind != "space":
            yield Token(kind, text, line)
