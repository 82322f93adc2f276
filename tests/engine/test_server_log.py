"""The engine's log: private, bounded, and without the writer's words whatever an exception says."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.process import log
from storyteller.engine.process.service import private_texts
from storyteller.engine.protocol import Context, Generate, Load, Prepare, Probe, Score
from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.paths import engine_log_path, state_dir


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


@pytest.fixture
def open_mask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_mask")
def test_it_is_its_owners_alone_whatever_the_mask() -> None:
    os.close(log.open_log())
    assert stat.S_IMODE(engine_log_path().stat().st_mode) == 0o600
    assert stat.S_IMODE(state_dir().stat().st_mode) == 0o700
    engine_log_path().chmod(0o644)
    os.close(log.open_log())
    assert stat.S_IMODE(engine_log_path().stat().st_mode) == 0o600


def test_what_was_there_stays_until_it_is_too_much() -> None:
    for line in ("one", "two"):
        descriptor = log.open_log()
        log.note(line, descriptor)
        os.close(descriptor)
    assert [line.split("] ")[1] for line in engine_log_path().read_text().splitlines()] == ["one", "two"]
    with engine_log_path().open("ab") as file:
        file.write(b"x" * log.ROTATE_AT)
    os.close(log.open_log())
    assert engine_log_path().stat().st_size == 0
    assert Path(f"{engine_log_path()}.1").stat().st_size > log.ROTATE_AT


@pytest.mark.parametrize("kind", ["fifo", "symlink", "directory"])
def test_a_log_that_is_no_file_is_left_alone(kind: str, tmp_path: Path) -> None:
    state_dir().mkdir(parents=True)
    target = tmp_path / "target"
    match kind:
        case "fifo":
            os.mkfifo(engine_log_path())
        case "symlink":
            target.write_text("not ours")
            engine_log_path().symlink_to(target)
        case "directory":
            engine_log_path().mkdir()
    descriptor = log.open_log()
    log.note("x", descriptor)
    assert os.fstat(descriptor).st_rdev == Path(os.devnull).stat().st_rdev
    os.close(descriptor)
    assert kind != "symlink" or target.read_text() == "not ours"


def test_notes_cannot_fail() -> None:
    log.note("lone \ud800 surrogate", os.open(os.devnull, os.O_WRONLY))
    log.note("full", os.open("/dev/full", os.O_WRONLY))


@given(st.text(min_size=12), st.text(), st.text())
def test_a_message_that_quotes_the_manuscript_is_left_out(text: str, before: str, after: str) -> None:
    if text.strip():
        told = log.describe(raised(RuntimeError(f"{before}{text}{after}")), [text])
        assert "left out" in told
        assert "RuntimeError" in told


def test_types_that_quote_their_input_say_nothing_and_others_do() -> None:
    secret = "the butler did it"
    told = log.describe(
        raised(RuntimeError("mat1 and mat2 cannot be multiplied (3x4 and 5x6)"), KeyError(secret)), ["x y z"]
    )
    assert secret not in told
    assert "mat1 and mat2 cannot be multiplied (3x4 and 5x6)" in told
    assert told.index("KeyError") < told.index("RuntimeError")
    assert "test_server_log.py" in told
    assert secret not in log.describe(raised(UnicodeEncodeError("utf-8", secret, 0, 1, "surrogates")))


def test_an_exception_that_is_its_own_cause_is_described() -> None:
    one, two = ValueError(), TypeError()
    one.__cause__, two.__cause__ = two, one
    assert "TypeError" in log.describe(one)


def test_every_text_of_a_request_is_private() -> None:
    context = Context(text="t", header="h", memory="m", lore="l", premise="p", note="n")
    settings = SamplerSettings(banned_phrases=("b",), negative_prompt="g")
    own = private_texts(Generate(id="", context=context, settings=settings, stop=StopRules(stop=("s",))))
    assert sorted(own) == sorted("thmlpnbgs")
    assert sorted(private_texts(Probe(id="", context=context))) == sorted("thmlpn")
    assert sorted(private_texts(Prepare(id="", context=context))) == sorted("thmlpn")
    assert private_texts(Score(id="", text="s")) == ("s",)
    assert private_texts(Load(id="")) == private_texts(None) == ()
