"""The engine's process on bare pipes: its manners, its queue, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from storyteller.engine.process.log import ROTATE_AT
from storyteller.engine.protocol import (
    MAX_LINE,
    VERSION,
    Began,
    Cancel,
    Context,
    Done,
    Failed,
    Generate,
    Hello,
    Load,
    Loading,
    Notice,
    Prepare,
    Probe,
    Probed,
    Ready,
    Score,
    Scored,
    Shutdown,
    TakeDone,
    Token,
    encode,
)
from storyteller.paths import engine_log_path, state_dir
from tests.stubs.engine_process import EngineProcess, engine_process


def order(request_id: str, note: str = "", takes: int = 1) -> Generate:
    return Generate(id=request_id, context=Context(note=note), takes=takes)


def loaded(engine: EngineProcess, model: str = "fake") -> Ready:
    engine.send(Load(id="load", model=model))
    return engine.until(Ready)[0]


def test_hello_comes_before_the_core_is_made() -> None:
    program = "import signal; from storyteller.engine.server import serve; serve(signal.pause)"
    with engine_process((sys.executable, "-c", program)) as engine:
        assert engine.next() == Hello(version=VERSION, pid=engine.process.pid)


def test_load_generate_score_probe() -> None:
    with engine_process() as engine:
        engine.send(Load(id="load"))
        assert engine.next() == Hello(pid=engine.process.pid)
        assert engine.next() == Loading(id="load", stage="starting", fraction=0.0)
        engine.until(Ready, "load")
        engine.send(order("g", takes=2), Score(id="s", text="a b"), Probe(id="p", top=3))
        done, events = engine.until(Done, "g")
        assert isinstance(events[0], Began)
        assert [event.take for event in events if isinstance(event, Token)] == [0, 1] * 5
        assert [event.take for event in events if isinstance(event, TakeDone)] == [0, 1]
        assert done.reason == "finished"
        assert len(engine.until(Scored, "s")[0].tokens) == 2
        assert len(engine.until(Probed, "p")[0].alternatives) == 3


def test_whoever_prints_prints_to_the_log() -> None:
    with engine_process() as engine:
        loaded(engine)
        engine.send(order("g", "print"))
        _, events = engine.until(Done, "g")
        assert len(events) == 7  # nothing between the lines
        log = engine_log_path().read_text()
        assert "native code too" in log
        assert "and on stderr" in log


def test_the_log_is_private_and_an_old_one_is_put_aside() -> None:
    state_dir().mkdir(parents=True)
    engine_log_path().write_bytes(b"x" * (ROTATE_AT + 1))
    with engine_process() as engine:
        loaded(engine)
        assert stat.S_IMODE(engine_log_path().stat().st_mode) == 0o600
        assert stat.S_IMODE(state_dir().stat().st_mode) == 0o700
        assert engine_log_path().stat().st_size < 1000
        assert Path(f"{engine_log_path()}.1").stat().st_size > ROTATE_AT


def test_a_state_directory_that_cannot_be_written_costs_only_the_log(home: Path) -> None:
    home.write_text("a file where a directory should be")
    with engine_process() as engine:
        loaded(engine)
        engine.send(order("g", "print"))
        engine.until(Done, "g")


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        (b"nonsense", None),
        (b'{"type":"generate","id":"g7","takes":"many"}', "g7"),
        (b'{"type":"sing","id":"g8"}', "g8"),
        (b'{"type":"generate","id":5}', None),
        (b'{"type":"score","id":"x","text":"\xff\xfe"}', "x"),
        (b"[" * 200_000, None),
        (b"", None),
    ],
    ids=["no json", "bad value", "bad type", "bad id", "bad utf-8", "too deep", "empty"],
)
def test_a_bad_line_is_answered_and_the_next_one_served(line: bytes, request_id: str | None) -> None:
    with engine_process() as engine:
        engine.next()
        engine.send_bytes(line + b"\n")
        refusal = engine.next()
        assert isinstance(refusal, Failed)
        assert (refusal.id, refusal.exit_code) == (request_id, 2)
        loaded(engine)


def test_a_line_that_is_too_long_is_refused_and_the_next_one_served() -> None:
    with engine_process() as engine:
        engine.next()
        engine.send_bytes(b'{"type":"score","id":"s","text":"' + b"x" * MAX_LINE + b'"}\n')
        refusal = engine.next()
        assert isinstance(refusal, Failed)
        assert str(MAX_LINE) in refusal.message
        loaded(engine)


def test_an_answer_too_long_for_a_line_becomes_a_failure() -> None:
    with engine_process() as engine:
        loaded(engine)
        engine.send(Score(id="s", text="ab " * 400_000))
        refusal, _ = engine.until(Failed, "s")
        assert refusal.title == "The answer is too long"
        engine.send(Score(id="t", text="ab"))
        engine.until(Scored, "t")


def test_requests_made_while_loading_wait_and_are_told_so(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with engine_process() as engine:
        engine.send(Load(id="load", model=f"hold:{gate}"), order("g"), Score(id="s", text="a"))
        notice, before = engine.until(Notice)
        assert notice.id == "g"
        assert not any(isinstance(event, Ready) for event in before)
        assert engine.until(Notice)[0].id == "s"
        gate.touch()
        _, events = engine.until(Done, "g")
        kinds = [type(event) for event in events]
        assert kinds.index(Ready) < kinds.index(Began)
        engine.until(Scored, "s")
        engine.send(order("h"))
        _, events = engine.until(Done, "h")
        assert not any(isinstance(event, Notice) for event in events)


def test_a_prepare_gives_way_to_anything_newer(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with engine_process() as engine:
        loaded(engine)
        engine.send(Prepare(id="running", context=Context(note="long")), Score(id="s", text="a"))
        ends = engine.last_events("running", "s")
        assert ends["running"] == Done(id="running", reason="cancelled")
        assert isinstance(ends["s"], Scored)
        engine.send(order("g", f"hold:{gate}"))
        engine.until(Began, "g")
        engine.send(Prepare(id="queued"), Prepare(id="newer"), Probe(id="p"))
        ends = engine.last_events("queued", "newer")
        assert ends == {name: Done(id=name, reason="cancelled") for name in ("queued", "newer")}
        gate.touch()
        engine.until(Probed, "p")
        engine.send(Prepare(id="alone"))
        assert engine.until(Done, "alone")[0].reason == "finished"


def test_cancelling_a_running_a_waiting_and_an_unknown_request(tmp_path: Path) -> None:
    with engine_process() as engine:
        loaded(engine)
        engine.send(order("running", "tokens:100000 every:0.001"), order("waiting"), order("later"))
        engine.until(Token, "running")
        engine.send(Cancel(id="unknown"), Cancel(id="waiting"))
        assert engine.until(Done, "waiting")[0].reason == "cancelled"
        engine.send(Cancel(id="running"))
        done, events = engine.until(Done, "running")
        assert done.reason == "cancelled"
        ended = [event for event in events if isinstance(event, TakeDone)]
        assert [event.finish for event in ended] == ["cancelled"]
        _, events = engine.until(Done, "later")
        assert not any(getattr(event, "id", "") == "waiting" for event in events)


def test_cancelling_one_take_leaves_the_others() -> None:
    with engine_process() as engine:
        loaded(engine)
        engine.send(order("g", "tokens:300 every:0.001", takes=3))
        engine.until(Token, "g")
        engine.send(Cancel(id="g", take=1))
        ended, _ = engine.until(TakeDone, "g")
        assert (ended.take, ended.finish) == (1, "cancelled")
        _, events = engine.until(Done, "g")
        assert {event.take for event in events if isinstance(event, Token)} == {0, 2}
        assert [event.finish for event in events if isinstance(event, TakeDone)] == ["length", "length"]


def test_a_take_cancelled_before_its_request_runs_never_starts(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with engine_process() as engine:
        engine.send(Load(id="load", model=f"hold:{gate}"), order("g", takes=2), Cancel(id="g", take=0))
        engine.until(Notice, "g")
        engine.send_bytes(b"\n")  # answered once the cancel before it has been read
        engine.until(Failed)
        gate.touch()
        _, events = engine.until(Done, "g")
        assert {event.take for event in events if isinstance(event, Token)} == {1}


@pytest.mark.parametrize(
    ("note", "title"), [("refuse", "That cannot be done"), ("fail", "The engine stopped")]
)
def test_expected_errors_become_failures_and_the_engine_goes_on(note: str, title: str) -> None:
    with engine_process() as engine:
        loaded(engine)
        engine.send(order("g", note), order("h"))
        assert engine.until(Failed, "g")[0].title == title
        engine.until(Done, "h")


def test_an_end_without_done_is_a_failure_too() -> None:
    with engine_process() as engine:
        loaded(engine)
        engine.send(order("g", "endless"), order("h"))
        assert engine.until(Failed, "g")[0].title == "The engine stumbled"
        engine.until(Done, "h")


def test_without_a_model_requests_fail_and_a_failed_load_is_told() -> None:
    with engine_process() as engine:
        engine.send(order("g"), Load(id="load", model="missing"), order("h"))
        assert engine.until(Failed, "g")[0].title == "No model is open"
        refusal, _ = engine.until(Failed, "load")
        assert (refusal.exit_code, refusal.message.startswith("/nowhere")) == (2, True)
        engine.until(Failed, "h")
        loaded(engine)


def test_a_core_that_cannot_be_made_is_told_to_whoever_asks() -> None:
    program = "from storyteller.engine.server import serve\ndef make(): import no_such_library\nserve(make)"
    with engine_process((sys.executable, "-c", program)) as engine:
        engine.send(Load(id="load"))
        refusal, _ = engine.until(Failed, "load")
        assert "libraries" in refusal.message
        assert str(engine_log_path()) in refusal.message
        assert "no_such_library" in engine_log_path().read_text()


# How it ends


def begun_and_deaf(engine: EngineProcess, tmp_path: Path) -> None:
    """A decode that never looks up."""
    loaded(engine)
    engine.send(order("g", f"deaf hold:{tmp_path / 'never'}"))
    engine.until(Token, "g")


def test_the_end_of_stdin_ends_it_at_once_in_mid_decode(tmp_path: Path) -> None:
    with engine_process() as engine:
        begun_and_deaf(engine, tmp_path)
        engine.input.close()
        assert engine.process.wait(2) == 0


def test_shutdown_ends_it_at_once_in_mid_decode(tmp_path: Path) -> None:
    with engine_process() as engine:
        begun_and_deaf(engine, tmp_path)
        engine.send(Shutdown())
        assert engine.process.wait(2) == 0


def test_sigterm_ends_it_in_mid_decode(tmp_path: Path) -> None:
    with engine_process() as engine:
        begun_and_deaf(engine, tmp_path)
        engine.process.terminate()
        assert engine.process.wait(2) == -signal.SIGTERM


def test_a_reader_that_goes_away_ends_it() -> None:
    with engine_process() as engine:
        loaded(engine)
        engine.send(order("g", "tokens:1000000"))
        engine.output.close()
        assert engine.process.wait(5) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_the_death_of_its_parent_ends_it_though_stdin_stays_open(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-m', 'tests.stubs.fake_engine_main'])\n"
        "child.wait()"
    )
    with engine_process((sys.executable, "-c", program)) as engine:
        hello = engine.next()
        assert isinstance(hello, Hello)
        assert hello.pid != engine.process.pid
        begun_and_deaf(engine, tmp_path)
        engine.process.kill()
        rest = (
            engine.output.read()
        )  # returns when the last process that can write there is gone; we hold its stdin
        assert b"done" not in rest


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_kernel_takes_it_first_when_memory_runs_out() -> None:
    with engine_process() as engine:
        engine.next()
        score = int(Path(f"/proc/{engine.process.pid}/oom_score_adj").read_text())
        assert score > int(Path("/proc/self/oom_score_adj").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_its_pipes_are_not_inherited_and_the_standard_ones_lead_elsewhere() -> None:
    with engine_process() as engine:
        engine.next()
        links = {fd.name: str(fd.readlink()) for fd in Path(f"/proc/{engine.process.pid}/fd").iterdir()}
        assert links["0"] == os.devnull
        assert links["1"] == links["2"] == str(engine_log_path())
        pipes = [int(fd) for fd, link in links.items() if link.startswith("pipe:")]
        flags = [Path(f"/proc/{engine.process.pid}/fdinfo/{fd}").read_text() for fd in pipes]
        assert len(pipes) == 2
        assert all(int(text.split("flags:")[1].split()[0], 8) & os.O_CLOEXEC for text in flags)


def test_the_libraries_are_told_to_stay_offline() -> None:
    program = (
        "import os\n"
        "from storyteller.engine.server import serve\n"
        "from tests.stubs.fake_core import FakeCore\n"
        "serve(lambda: os.write(2, os.environ['HF_HUB_OFFLINE'].encode() + os.environ['DO_NOT_TRACK'].encode()) and FakeCore())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        loaded(EngineProcess(process))
        process.kill()
    assert "11" in engine_log_path().read_text()


def test_one_event_is_one_line_of_json() -> None:
    with engine_process() as engine:
        engine.send(Load(id="load"), order("g"), Shutdown())
        for line in engine.output.read().splitlines():
            assert json.loads(line)["type"]


def test_encode_is_what_the_process_reads() -> None:
    with engine_process() as engine:
        engine.send_bytes(encode(Load(id="\u2028 \U0001f409")))
        assert engine.until(Ready)[0].id == "\u2028 \U0001f409"
