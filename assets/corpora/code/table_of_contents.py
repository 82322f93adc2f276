"""Make a table of contents from the headings of a Markdown text."""

import re
from collections.abc import Iterator
from typing import NamedTuple

HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*")


class Heading(NamedTuple):
    """A heading and how deep it is, from one to six."""

    level: int
    title: str


def headings(text: str) -> Iterator[Heading]:
    """Yield the headings, but not the comments inside blocks of code.

    >>> text = "# Tea\\n```\\n# not a heading\\n```\\n## Green tea ##\\n#nor this"
    >>> [tuple(heading) for heading in headings(text)]
    [(1, 'Tea'), (2, 'Green tea')]
    """
    in_code = False
    for line in text.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        elif not in_code and (match := HEADING.fullmatch(line)):
            yield Heading(len(match[1]), match[2])


def contents(text: str) -> str:
    """Return a list of links to the headings.

    >>> print(contents("# Tea\\n## Green tea\\n# Coffee, black"))
    - [Tea](#tea)
      - [Green tea](#green-tea)
    - [Coffee, black](#coffee-black)
    """
    return "\n".join(
        f"{'  ' * (level - 1)}- [{title}](#{anchor(title)})" for level, title in headings(text)
    )


def anchor(title: str) -> str:
    """Return the name by which a heading can be linked to."""
    kept = re.sub(r"[^\w\s-]", "", title.lower())
    return kept.strip().replace(" ", "-")
