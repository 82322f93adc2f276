"""A presets file that means harm, or is no file at all.  # safety 77"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.presets import find_preset, load_presets, presets_path, shipped_presets
from storyteller.errors import SettingsError
from storyteller.text import display_line

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def presets_file(home: Path) -> Path:
    path = presets_path()
    assert path.is_relative_to(home)
    path.parent.mkdir(parents=True)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load_presets()
    message = caught.value.message
    assert str(path) in message
    assert display_line(message) == message, "nothing in it reaches the terminal as a control sequence"
    assert len(message) < 2000
    return message


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\x00",
        b"[mine]\nabout = \xc3(",
        b"[mine",
        b"--- !!python/object/apply:os.system ['touch pwned']",
        b"[mine]\ntemperature = " + b"9" * 5000,
        b"[mine]\nx = " + b"[" * 100_000,
        b"a." * 100_000 + b"b = 1",
        b"#" * 2_000_000,
        b"[mine]\n[mine]\n",
        b"\x00",
    ],
    ids=["utf-16", "cut", "unclosed", "yaml", "digits", "nested", "dotted", "large", "twice", "nul"],
)
def test_safety_77_a_file_that_is_no_settings_file(presets_file: Path, data: bytes) -> None:  # safety 77
    presets_file.write_bytes(data)
    refusal(presets_file)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/abs", "a/b", "..", "", "é", "x" * 65, "a\x1b[31m", "[/red]", "a\n"]
)
def test_safety_77_a_name_that_is_a_path_or_markup(presets_file: Path, name: str) -> None:  # safety 77
    quoted = "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in name)
    presets_file.write_text(f'["{quoted}"]\ntemperature = 1\n', encoding="utf-8")
    assert "cannot name a preset" in refusal(presets_file)
    with pytest.raises(SettingsError) as caught:
        find_preset(name)
    assert display_line(caught.value.message) == caught.value.message


def test_safety_77_nothing_is_expanded(
    presets_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # safety 77
    monkeypatch.setenv("SECRET", "swordfish")
    presets_file.write_text(
        '[mine]\nabout = "$SECRET ${SECRET} ~ %(SECRET)s"\nnegative_prompt = "file:///etc/passwd $HOME"\n',
        encoding="utf-8",
    )
    mine = load_presets()["mine"]
    assert mine.about == "$SECRET ${SECRET} ~ %(SECRET)s"
    assert mine.settings.negative_prompt == "file:///etc/passwd $HOME"


@pytest.mark.parametrize(
    "line",
    [
        'about = "\\u001b]0;pwned\\u0007"',
        'about = "\\u202egnp.exe"',
        'temperature = "\\u001b[2J"',
        '"\\u001b[2J" = 1',
        'base = "\\u001b[2J"',
        'method = "' + "x" * 10_000 + '"',
    ],
)
def test_safety_77_escape_sequences_are_refused_and_shown_as_characters(
    presets_file: Path, line: str
) -> None:  # safety 77
    presets_file.write_text(f"[mine]\n{line}\n", encoding="utf-8")
    refusal(presets_file)


@pytest.mark.parametrize("chain", [33, 20_000])
def test_safety_77_bases_without_end(presets_file: Path, chain: int) -> None:  # safety 77
    lines = [f'[p{n}]\nbase = "p{n + 1}"\n' for n in range(chain)]
    presets_file.write_text("".join([*lines, f"[p{chain}]\n"]), encoding="utf-8")
    assert "over 32 presets" in refusal(presets_file)


def test_safety_77_what_is_no_regular_file_is_refused_without_waiting(
    presets_file: Path,
) -> None:  # safety 77
    os.mkfifo(presets_file)
    refusal(presets_file)
    presets_file.unlink()
    presets_file.mkdir()
    refusal(presets_file)
    presets_file.rmdir()
    presets_file.symlink_to("/dev/zero")
    refusal(presets_file)
    presets_file.unlink()
    presets_file.symlink_to(presets_file)
    refusal(presets_file)
    presets_file.unlink()
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.bind(str(presets_file))
        except OSError:
            pytest.skip("this path is too long for a socket")
        refusal(presets_file)


def test_safety_77_a_link_to_the_writer_s_dotfiles_is_followed(
    presets_file: Path, tmp_path: Path
) -> None:  # safety 77
    (tmp_path / "dotfiles.toml").write_text("[mine]\ntop_k = 5\n", encoding="utf-8")
    presets_file.symlink_to(tmp_path / "dotfiles.toml")
    assert load_presets()["mine"].settings.top_k == 5


@given(st.binary(max_size=300))
def test_safety_77_any_bytes_are_presets_or_a_refusal(data: bytes) -> None:  # safety 77
    path = presets_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        presets = load_presets()
    except SettingsError as error:
        presets, refused = {}, error.message
    else:
        refused = ""
    assert set(presets) >= set(shipped_presets()) or refused
    assert display_line(refused) == refused
