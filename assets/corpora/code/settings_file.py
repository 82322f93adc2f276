"""Read settings from a simple text of sections and keys."""

from pathlib import Path

Sections = dict[str, dict[str, str]]


def parse_settings(text: str) -> Sections:
    """Return the settings, section by section.

    Empty lines and lines that begin with "#" mean nothing. Keys before the
    first heading belong to the section "".

    >>> parse_settings('''
    ... # how the window looks
    ... [window]
    ... width = 80
    ... title = My notes = fine
    ... [colours]
    ... text = green
    ... ''')
    {'window': {'width': '80', 'title': 'My notes = fine'}, 'colours': {'text': 'green'}}
    >>> parse_settings("[window]\\nwidth")
    Traceback (most recent call last):
        ...
    ValueError: line 2: expected 'key = value'
    """
    sections: Sections = {}
    current = ""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            current = line[1:-1].strip()
            sections.setdefault(current, {})
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise ValueError(f"line {number}: expected 'key = value'")
        sections.setdefault(current, {})[key.strip()] = value.strip()
    return sections


def load_settings(path: Path) -> Sections:
    """Read settings from a file; a missing file has none."""
    if not path.exists():
        return {}
    return parse_settings(path.read_text(encoding="utf-8"))
