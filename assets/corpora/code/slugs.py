"""Turn titles into names that are safe in addresses and file names."""

import re
import unicodedata
from collections.abc import Container
from itertools import count


def slugify(title: str, longest: int = 60) -> str:
    """Return the title in small plain letters, with hyphens between words.

    >>> slugify("  Crème brûlée: a Love Story!  ")
    'creme-brulee-a-love-story'
    >>> slugify("one two three", longest=9)
    'one-two'
    >>> slugify("???")
    'untitled'
    """
    # Split accents from their letters, then drop whatever is not ASCII.
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii")
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    if len(slug) > longest:
        # Cut between words if there is a hyphen to cut at.
        slug = slug[: longest + 1].rpartition("-")[0] or slug[:longest]
    return slug or "untitled"


def unique_slug(title: str, taken: Container[str]) -> str:
    """Return a slug that is not taken yet, with a number where one is needed.

    >>> unique_slug("My day", {"my-day", "my-day-2"})
    'my-day-3'
    >>> unique_slug("My night", {"my-day"})
    'my-night'
    """
    slug = slugify(title)
    if slug not in taken:
        return slug
    return next(name for n in count(2) if (name := f"{slug}-{n}") not in taken)
