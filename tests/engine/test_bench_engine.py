"""The engine's bench: it measures what it says, and its verdict follows from the rows."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from storyteller.bench import peers
from storyteller.bench.bounds import judged
from storyteller.bench.child import answers_of
from storyteller.bench.engine import Plan, bench_engine, main
from storyteller.bench.figures import Bandwidth, Converted, Job, Opened, Row, medians
from storyteller.bench.machine import MemoryWatch, resident_gb
from storyteller.bench.prompts import edited, prompt_ids, seed_of, tokens_per_s
from storyteller.bench.tables import print_report
from storyteller.errors import EngineError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from storyteller.bench.figures import Answer, Bound

OURS = Row(
    who="storyteller",
    device="cpu",
    dtype="float32",
    context=900,
    takes=1,
    tokens_per_s=20.0,
    first_token_s=2.0,
    after_edit_s=0.1,
    bound_tokens_per_s=26.0,
)
PEER = Row(
    who="transformers",
    device="cpu",
    dtype="float32",
    context=900,
    takes=1,
    tokens_per_s=10.0,
    first_token_s=3.0,
)


def with_(row: Row, **fields: Any) -> Row:
    return msgspec.structs.replace(row, **fields)


def missed(*rows: Row) -> list[str]:
    return [bound.what for bound in judged(rows) if not bound.met]


def the_bound(rows: Sequence[Row], words: str) -> Bound:
    [found] = [bound for bound in judged(rows) if words in bound.what]
    return found


# The verdict


def test_a_slower_peer_and_a_cheap_edit_meet_the_bounds() -> None:
    assert not missed(OURS, PEER)
    assert missed(OURS, with_(PEER, tokens_per_s=20.5))
    assert missed(with_(OURS, after_edit_s=0.21))
    assert not missed(with_(OURS, after_edit_s=0.21, context=256))
    assert not missed(OURS, with_(PEER, tokens_per_s=99.0, dtype="bfloat16"))


def test_an_edit_may_cost_three_decode_steps() -> None:
    assert the_bound([OURS], "after an edit").value == pytest.approx(2.0)
    assert not missed(with_(OURS, after_edit_s=0.15))
    assert missed(with_(OURS, after_edit_s=0.151))


@pytest.mark.parametrize(
    ("dtype", "peer", "theirs", "least"),
    [
        ("int4", "llama.cpp", "Q4_0", 1.2),
        ("int8", "llama.cpp", "Q8_0", 1.1),
        ("int4", "transformers", "bfloat16", 5.0),
        ("bfloat16", "transformers", "bfloat16", 1.0),
    ],
)
def test_each_dtype_has_its_rival(dtype: str, peer: str, theirs: str, least: float) -> None:
    mine = with_(OURS, dtype=dtype, tokens_per_s=100.0, after_edit_s=None)
    rival = with_(PEER, who=peer, dtype=theirs, tokens_per_s=100.0 / least - 0.01)
    assert not missed(mine, rival)
    assert missed(mine, with_(rival, tokens_per_s=100.0 / least + 0.01)) == [
        f"cpu {dtype} at 900 / {peer} {theirs}: tokens/s"
    ]
    assert not missed(mine, with_(rival, tokens_per_s=1000.0, context=256))  # another length
    assert not missed(mine, with_(rival, tokens_per_s=1000.0, dtype="float32"))  # no pair


def test_int8_beside_transformers_is_told_and_not_judged() -> None:
    rival = with_(PEER, dtype="bfloat16", tokens_per_s=1000.0)
    told = the_bound([with_(OURS, dtype="int8"), rival], "tokens/s")
    assert (told.value, told.limit, told.met) == (0.02, None, True)


def test_a_prompt_is_read_no_later_than_transformers_does_in_bfloat16() -> None:
    rival = with_(PEER, dtype="bfloat16", tokens_per_s=1.0, first_token_s=1.9)
    for dtype in ("int4", "int8", "bfloat16"):
        assert len(missed(with_(OURS, dtype=dtype), rival)) == 1
        assert not missed(with_(OURS, dtype=dtype, first_token_s=1.9), rival)
    assert not missed(OURS, with_(PEER, first_token_s=1.9))  # float32 is exact: told, not judged


def test_four_takes_bring_two_and_a_half_times_the_tokens_of_one() -> None:
    four = with_(OURS, takes=4, tokens_per_s=50.0, after_edit_s=None, bound_tokens_per_s=0.0)
    assert not missed(OURS, four)
    assert missed(OURS, with_(four, tokens_per_s=49.0)) == [
        "cpu float32 at 900: four takes' tokens/s, times one's"
    ]
    assert not missed(OURS, with_(four, tokens_per_s=1.0, context=256))


def test_quantised_weights_open_within_two_seconds() -> None:
    quantised = with_(OURS, dtype="int4", open_s=2.1)
    assert missed(quantised) == ["cpu int4 at 900: seconds from a path to the first token"]
    assert not missed(with_(quantised, open_s=2.0))
    assert not missed(with_(OURS, open_s=9.0))


def test_a_gpu_has_bounds_of_its_own() -> None:
    mine = with_(OURS, device="cuda", dtype="bfloat16", tokens_per_s=1500.0, bound_tokens_per_s=2700.0)
    rival = with_(PEER, device="cuda", dtype="bfloat16", tokens_per_s=150.0, first_token_s=0.001)
    assert not missed(mine, rival)
    assert len(missed(mine, with_(rival, tokens_per_s=151.0))) == 1
    assert missed(with_(mine, tokens_per_s=1349.0), with_(rival, tokens_per_s=100.0)) == [
        "cuda bfloat16 at 900: share of the bandwidth limit"
    ]


def test_ratios_are_of_one_round_each_and_then_the_median() -> None:
    """A machine that was slow in one round was slow for both: only what differs inside a round counts."""
    rounds = [(20.0, 10.0), (2.0, 1.0), (30.0, 10.0)]
    rows = [
        with_(row, round=number, tokens_per_s=speed)
        for number, pair in enumerate(rounds)
        for row, speed in zip((OURS, PEER), pair, strict=True)
    ]
    assert the_bound(rows, "transformers float32: tokens/s").value == 2.0
    mine, other = medians(rows)
    assert (mine.tokens_per_s, other.tokens_per_s) == (20.0, 10.0)
    assert (mine.after_edit_s, other.after_edit_s) == (0.1, None)
    assert mine.round == -1


# What is asked


def test_prompts_are_the_same_for_every_engine() -> None:
    assert prompt_ids(5, 100) == prompt_ids(5, 100)
    assert prompt_ids(5, 100) != prompt_ids(5, 100, seed=1)
    assert all(0 < token < 99 for token in prompt_ids(500, 100))


def test_no_measurement_is_served_from_what_another_read() -> None:
    seeds = {seed_of(context, takes) for context in (64, 256, 900) for takes in (1, 2, 4)}
    assert len(seeds) == 9
    assert len({prompt_ids(64, 50_257, seed)[0] for seed in seeds}) == 9


def test_an_edit_changes_one_token_five_before_the_end_to_another_each_time() -> None:
    ids = prompt_ids(40, 100)
    edits = [edited(ids, number, 100) for number in range(5)]
    for edit in edits:
        assert [place for place in range(40) if edit[place] != ids[place]] == [35]
    assert len({edit[35] for edit in edits}) == 5
    assert edited([7], 0, 100) != [7]


def test_speed_is_that_of_the_median_step_of_all_takes() -> None:
    stamps = [0.0, 5.0, 5.5, 6.0, 6.5, 9.5]  # the first steps, and one that was held up, count for nothing
    assert tokens_per_s(stamps) == 2.0
    assert tokens_per_s([stamp for stamp in stamps for _ in range(4)], takes=4) == 8.0


# A run


class Stage:
    """Measures nothing: answers every job as it is told, and remembers them."""

    def __init__(self, *, window: int = 1024) -> None:
        self.jobs: list[Job] = []
        self._window = window

    def __call__(self, job: Job) -> list[Answer]:
        self.jobs.append(job)
        dtype = "bfloat16" if job.dtype == "auto" else job.dtype
        device = "cpu" if job.device == "auto" else job.device
        match job.task:
            case "open":
                return [
                    Opened(
                        device=device,
                        device_name="made up",
                        dtype=dtype,
                        window=self._window,
                        threads=2,
                        cold_load_s=9.0,
                    )
                ]
            case "bandwidth":
                return [Bandwidth(device=device, bytes_per_s=40e9)]
            case "convert":
                return [Converted(path="nowhere")]
            case _:
                return [
                    with_(
                        OURS,
                        who=job.who,
                        device=device,
                        dtype=dtype,
                        context=context,
                        takes=takes,
                        bytes_per_token=1e9 if job.who == "storyteller" else 0.0,
                        tokens_per_s=float(len(self.jobs)),
                        bound_tokens_per_s=0.0,
                    )
                    for context in job.contexts
                    for takes in job.takes
                ]

    def order(self) -> list[str]:
        return [f"{job.who} {job.dtype}" for job in self.jobs if job.task == "decode"]


def test_ours_and_its_peers_are_measured_by_turns(tmp_path: Path) -> None:
    stage = Stage()
    plan = Plan(
        model=tmp_path,
        dtypes=["int4", "auto"],
        peers=["llama.cpp", "transformers"],
        contexts=[64],
        rounds=2,
        threads=3,
    )
    report = bench_engine(plan, measure=stage)
    turn = ["storyteller int4", "llama.cpp Q4_0", "transformers bfloat16", "storyteller bfloat16"]
    assert stage.order() == [*turn, *turn[::-1]]
    assert [job.dtype for job in stage.jobs if job.task == "convert"] == ["Q4_0"]
    assert {job.threads for job in stage.jobs} == {3}
    assert len({job.scratch for job in stage.jobs}) == 1
    assert [(row.who, row.dtype, row.takes) for row in report.rows][:4] == [
        ("storyteller", "int4", 1),
        ("storyteller", "int4", 2),
        ("storyteller", "int4", 4),
        ("llama.cpp", "Q4_0", 1),
    ]
    assert len(report.rounds) == 2 * len(report.rows)
    mine, rival = report.rows[0], report.rows[3]
    assert (mine.bound_tokens_per_s, mine.cold_load_s) == (40.0, 9.0)
    assert (rival.bound_tokens_per_s, rival.cold_load_s) == (0.0, 0.0)
    assert report.bandwidth == {"cpu": 40.0}
    assert report.machine["threads"] == "2"


def test_a_length_beyond_the_window_is_left_out_and_no_device_but_the_cpu_meets_llama_cpp(
    tmp_path: Path,
) -> None:
    stage = Stage(window=512)
    plan = Plan(
        model=tmp_path, devices=["cpu", "cuda"], dtypes=["int8"], peers=["llama.cpp"], rounds=1, tokens=48
    )
    report = bench_engine(plan, measure=stage)
    assert stage.order() == ["storyteller int8", "llama.cpp Q8_0", "storyteller int8"]
    assert {row.context for row in report.rows} == {256}


def test_the_report_is_printed_and_decides_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [OURS, with_(PEER, tokens_per_s=25.0)]
    stage = Stage()

    def measure(job: Job, *, home: Path) -> list[Answer]:
        return [row for row in rows if row.who == job.who] if job.task == "decode" else stage(job)

    monkeypatch.setattr("storyteller.bench.engine.answers_of", measure)
    plan = Plan(model=tmp_path, dtypes=["float32"], peers=["transformers"], rounds=1)
    assert main(plan, as_json=True) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["rows"][0]["tokens_per_s"] == 20.0
    assert {"what", "value", "limit", "at_least"} == printed["bounds"][0].keys()
    assert {"processor", "torch", "threads"} <= printed["machine"].keys()
    rows[1] = PEER
    assert main(plan) == 0


def test_the_table_holds_every_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    report = bench_engine(Plan(model=tmp_path, rounds=1), measure=Stage())
    rows = (with_(OURS, cold_load_s=7.5), PEER)
    print_report(
        msgspec.structs.replace(report, rows=rows, bounds=judged([OURS, with_(PEER, tokens_per_s=99)]))
    )
    printed = capsys.readouterr().out
    assert "storyteller float32" in printed
    assert "transformers float32" in printed
    assert "77%" in printed
    assert "0.100" in printed
    assert "7.5" in printed
    assert "…" not in printed
    assert "FAIL" in printed
    assert "pass" in printed


def test_a_peer_that_is_not_installed_says_how_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"llama_cpp and gguf: pip install llama-cpp-python gguf\."):
        peers.require("llama.cpp")


# What processes find out


def test_memory_of_its_own_is_seen_and_files_that_are_mapped_are_not() -> None:
    with MemoryWatch(os.getpid()) as watch:
        pass
    if watch.peak_gb:  # the system tells
        assert 0.0 < watch.peak_gb < resident_gb()


@pytest.mark.slow
def test_ours_and_a_peer_are_measured_in_processes_of_their_own(starter_model: Path) -> None:
    report = bench_engine(
        Plan(
            model=starter_model,
            dtypes=["float32"],
            contexts=[64, 5000],
            takes=[1, 2],
            tokens=8,
            rounds=1,
            peers=["transformers"],
        )
    )
    assert [(row.who, row.context, row.takes) for row in report.rows] == [
        ("storyteller", 64, 1),
        ("storyteller", 64, 2),
        ("transformers", 64, 1),
    ]
    for row in report.rows:
        assert row.tokens_per_s > 0
        assert row.first_token_s > 0
        assert 0 < row.load_s < row.open_s
        assert 0 < row.memory_gb < 10
        assert 0.1 < row.resident_gb < 10
        alone = row.who == "storyteller" and row.takes == 1
        assert alone == (row.after_edit_s is not None)
        assert alone == (row.bound_tokens_per_s > 0)
        assert (row.who == "storyteller") == (row.cold_load_s > 0)


@pytest.mark.slow
@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("llama_cpp", "gguf")), reason="llama.cpp is not installed"
)
def test_llama_cpp_reads_what_was_converted_for_it(starter_model: Path, tmp_path: Path) -> None:
    job = Job(
        task="convert",
        who="llama.cpp",
        model=str(starter_model),
        dtype="Q8_0",
        scratch=str(tmp_path),
        contexts=(64,),
        tokens=8,
    )
    [converted] = answers_of(job, home=tmp_path)
    assert isinstance(converted, Converted)
    [row] = answers_of(msgspec.structs.replace(job, task="decode"), home=tmp_path)
    assert isinstance(row, Row)
    assert (row.who, row.dtype, row.context) == ("llama.cpp", "Q8_0", 64)
    assert row.tokens_per_s > 0
    assert row.after_edit_s is not None


@pytest.mark.slow
def test_a_measuring_process_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Measuring storyteller in auto failed"):
        main(Plan(model=tmp_path))
