"""Files a writer may edit, filled with what no writer would: the program starts all the same."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storyteller.config import Settings, config_path, load_settings, save_setting
from storyteller.errors import SettingsError
from storyteller.genres import genres_path, load_genres
from tests.stubs.command import in_process, storyteller

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTILE: dict[str, bytes] = {
    "not utf-8": b"\xff\xfe\x00t\x00a",
    "a nul": b"takes = 2\x00\n",
    "no toml": b"!!python/object/apply:os.system ['touch /tmp/owned']\n",
    "unclosed": b'theme = """',
    "too deep": b"a = " + b"[" * 100_000,
    "too deep tables": b"[" + b".".join([b"a"] * 50_000) + b"]\n",
    "too large": b"# " + b"x" * 2_000_000,
    "twice": b"takes = 1\ntakes = 2\n",
    "huge number": b"takes = " + b"9" * 10_000,
    "bad date": b"takes = 2024-99-99\n",
    "escape": b'theme = "\\u001b]0;owned\\u0007"\n',
    "surrogate": b'theme = "\\ud800"\n',
    "markup": b'theme = "[/red][@click=app.quit]x"\n"[bold]" = 1\n',
    "path": b'theme = "../../../etc/passwd"\ngenre = "/etc"\npreset = "..\\\\.."\n',
    "empty key": b'"" = 1\n',
}


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_settings_give_warnings_and_defaults_safety_77(data: bytes) -> None:  # safety 77
    put(config_path(), data)
    found, warnings = load_settings()
    assert found == Settings()
    assert warnings
    assert all("config.toml" in warning for warning in warnings)


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_genres_are_one_message_safety_77(data: bytes) -> None:  # safety 77
    put(genres_path(), data)
    with pytest.raises(SettingsError, match=r"genres\.toml"):
        load_genres()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=300)
    | st.text(alphabet="takesgenr=[]\"'\\#{},.:0123456789\n ", max_size=200).map(str.encode)
)
def test_no_bytes_in_the_settings_stop_the_program_safety_77_80(data: bytes) -> None:  # safety 77, 80
    put(config_path(), data)
    found, warnings = load_settings()
    assert isinstance(found, Settings)
    assert all(isinstance(warning, str) for warning in warnings)


@pytest.mark.parametrize("kind", ["fifo", "directory", "device", "loop"])
def test_a_settings_file_that_is_no_file_safety_77(kind: str) -> None:  # safety 77
    path = config_path()
    path.parent.mkdir(parents=True)
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path)
    found, warnings = load_settings()
    assert found == Settings()
    assert len(warnings) == 1
    with pytest.raises(SettingsError):
        save_setting("takes", 2)


def test_a_missing_target_of_a_link_is_no_settings_yet() -> None:
    config_path().parent.mkdir(parents=True)
    config_path().symlink_to(config_path().with_name("later.toml"))
    assert load_settings() == (Settings(), [])


def test_environment_variables_are_not_expanded_safety_77(
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # safety 77
    monkeypatch.setenv("SECRET", "value")
    put(config_path(), b'model = "$SECRET/${SECRET}/%SECRET%"\n')
    assert load_settings()[0].model == "$SECRET/${SECRET}/%SECRET%"


def test_hostile_settings_reach_the_terminal_as_plain_characters_safety_77_78(
    tmp_path: Path,
) -> None:  # safety 77, 78
    put(config_path(), HOSTILE["escape"] + b'"\\u001b[2J" = 1\nmodel = "\\u001b]52;c;x\\u0007"\n')
    done = storyteller("continue", stdin=b"x")
    assert done.returncode == 2
    assert not {0x1B, 0x07} & set(done.stderr)
    assert b"there is no setting" in done.stderr


# safety 23: HOME unset or unwritable


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home owned by root, seen by a user who may read it and no more; root itself may do anything."""
    with tempfile.TemporaryDirectory(prefix="storyteller-test-") as folder:
        home = Path(folder)
        (home / "config").mkdir()
        (home / "config" / "config.toml").write_text("takes = 2\n")
        monkeypatch.setenv("STORYTELLER_HOME", str(home))
        home.chmod(0o755)
        (home / "config").chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        yield home
        if user == 0:
            os.seteuid(0)
        (home / "config").chmod(0o755)


def test_a_read_only_settings_directory_is_a_message_and_no_more_safety_23(
    somebody: Path,
) -> None:  # safety 23
    assert load_settings() == (Settings(takes=2), [])
    with pytest.raises(SettingsError, match="cannot be written"):
        save_setting("takes", 3)
    assert [path.name for path in (somebody / "config").iterdir()] == ["config.toml"]


def test_settings_that_cannot_be_read_are_a_warning_safety_23(somebody: Path) -> None:  # safety 23
    if os.getuid() == 0:
        os.seteuid(0)
        (somebody / "config" / "config.toml").chmod(0o600)
        os.seteuid(65534)
    else:
        (somebody / "config" / "config.toml").chmod(0)
    found, warnings = load_settings()
    assert found == Settings()
    assert "cannot be read" in warnings[0]


def test_a_settings_directory_that_cannot_be_made_is_a_message_safety_23(home: Path) -> None:  # safety 23
    home.parent.mkdir(parents=True, exist_ok=True)
    home.write_text("a file where the directory should be")
    assert load_settings()[0] == Settings()
    with pytest.raises(SettingsError, match="cannot be"):
        save_setting("takes", 2)


@pytest.mark.parametrize(
    ("name", "value"), [("HOME", None), ("HOME", ""), ("HOME", "/proc/nowhere"), ("XDG_CONFIG_HOME", "/proc")]
)
def test_doctor_without_a_usable_home_safety_23(  # safety 23
    name: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("STORYTELLER_HOME", "HF_HOME"):
        monkeypatch.delenv(variable)
    if value is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, value)
    done = in_process("doctor")
    assert done.code == 0, done.err
    assert done.err == ""
    assert ("cannot be written" in done.out) == bool(value)


def test_doctor_names_the_directory_that_cannot_be_written_safety_23(  # safety 23
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STORYTELLER_HOME", "/proc/self/nowhere")
    done = in_process("doctor", "--json")
    assert done.code == 0
    assert "/proc/self/nowhere/data cannot be written" in done.out
