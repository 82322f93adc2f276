"""Reads a TOML file a person may have edited, moved, or replaced with something else.

Nothing in it is expanded or executed: a value is what stands in the file, `$HOME` included.
"""

from __future__ import annotations

import os
import stat
import tomllib
from typing import TYPE_CHECKING, Final

from storyteller.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

_LIMIT: Final = 1_000_000  # bytes; a person's settings are a few kilobytes
_DOTS: Final = 1_000  # in a line: tomllib takes minutes over a key of 100,000 dotted parts


def read_toml(path: Path) -> dict[str, object]:
    """The tables of `path`; an empty dictionary when there is no such file.

    Raises:
        SettingsError: not a regular file, too large, unreadable, not UTF-8, or not TOML.
    """
    try:
        data = _read_regular(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror or error}.") from error
    try:
        text = data.decode("utf-8")
        if any(line.count(".") > _DOTS for line in text.split("\n")):
            raise SettingsError(
                f"{path} has a line of over {_DOTS} dots, which no settings file needs. Break it up."
            )
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}. Mend that line.") from error
    except (RecursionError, ValueError) as error:
        raise SettingsError(f"{path} holds something no settings file needs. Mend or remove it.") from error


def _read_regular(path: Path) -> bytes:
    # O_NONBLOCK: opening a FIFO without a writer returns at once instead of waiting for one.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SettingsError(f"{path} is not a regular file. Move it away.")
        data = file.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise SettingsError(f"{path} is over {_LIMIT // 1000} kB, which no settings file needs. Shorten it.")
    return data
