"""The training bench: ours and the Trainer on the same task by turns, and a verdict that follows from the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from storyteller.bench import train
from storyteller.bench.shapes import SHAPES
from storyteller.bench.train import Plan, bench_training, main, operations_per_token, print_report
from storyteller.bench.train_child import answer_of, do
from storyteller.bench.train_figures import Product, Task, TrainRow, judged, medians
from storyteller.cli.app import run
from storyteller.engine.network.model_config import load_config
from storyteller.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable


class Measured:
    """Answers a bench's tasks with given speeds, and remembers them."""

    def __init__(self, **speeds: float) -> None:
        self.speeds = {"storyteller": 26.0, "Trainer": 10.0, "Trainer_bf16": 20.0} | speeds
        self.tasks: list[Task] = []

    def __call__(self, task: Task) -> TrainRow | Product:
        self.tasks.append(task)
        if task.who == "product":
            return Product(operations_per_s=1e9, device_name="processor", threads=2)
        speed = self.speeds[task.who.replace(" ", "_")]
        return TrainRow(who=task.who, tokens_per_s=speed, memory_gb=100 / speed)


def row(who: str, speed: float, memory: float, number: int = 0) -> TrainRow:
    return TrainRow(
        who=who, tokens_per_s=speed, memory_gb=memory, limit_tokens_per_s=40.0, round=number, loss=1.0
    )


@pytest.fixture
def task(tiny_model: Path, tmp_path: Path) -> Task:
    """Two steps of the tiny model that are timed."""
    return Task(
        who="storyteller",
        model=str(tiny_model),
        device="cpu",
        dtype="float32",
        seq=16,
        batch=2,
        micro_batch=1,
        steps=2,
        rank=2,
        dropout=0.05,
        quantise=None,
        recompute=False,
        threads=1,
        scratch=str(tmp_path),
    )


def test_all_are_measured_on_the_same_task_in_turn(tiny_model: Path) -> None:
    measured = Measured()
    report = bench_training(
        Plan(tiny_model, dtype="bfloat16", seq=32, batch=4, micro_batch=2, rounds=2), measure=measured
    )
    assert [task.who for task in measured.tasks] == [
        *("product", "storyteller", "Trainer", "Trainer bf16"),
        *("product", "Trainer bf16", "Trainer", "storyteller"),
    ]
    assert len({msgspec.structs.replace(task, who="") for task in measured.tasks}) == 1
    assert [row.who for row in report.rows] == ["storyteller", "Trainer", "Trainer bf16"]
    assert report.rows[0].limit_tokens_per_s == pytest.approx(1e9 / report.operations_per_token)
    assert [bound.value for bound in report.bounds[:2]] == [
        pytest.approx(1.3),
        pytest.approx(20 / 26),
    ]  # the faster Trainer
    assert not any(bound.limit for bound in report.bounds)  # no tiny model is judged


@pytest.mark.parametrize(("ours", "met"), [((13.0, 0.8), True), ((12.9, 0.8), False), ((13.0, 0.81), False)])
def test_ours_must_be_faster_and_leaner_than_the_faster_trainer(ours: tuple[float, float], met: bool) -> None:
    rows = [row("storyteller", *ours), row("Trainer", 9.0, 0.5), row("Trainer bf16", 10.0, 1.0)]
    assert all(bound.met for bound in judged(rows, due=True)) is met
    assert all(bound.met for bound in judged(rows, due=False))


def test_a_ratio_is_taken_inside_each_round() -> None:
    rows = [
        made
        for number, speed in enumerate((10.0, 20.0, 40.0))
        for made in (row("storyteller", 2 * speed, 1.0, number), row("Trainer", speed, 2.0, number))
    ]
    faster, leaner, share = judged(rows, due=True)
    assert (faster.value, leaner.value, share.value) == (2.0, 0.5, 1.0)
    assert [made.tokens_per_s for made in medians(rows)] == [40.0, 20.0]


@pytest.mark.parametrize(
    ("change", "due"),
    [
        ({}, True),
        ({"dtype": "float32"}, False),
        ({"device": "cuda"}, False),
        ({"quantise": "8bit"}, False),
        ({"recompute": True}, False),
    ],
)
def test_only_the_large_shape_in_bfloat16_on_a_processor_is_judged(
    task: Task, make_model: Callable[..., Path], change: dict[str, Any], due: bool
) -> None:
    width, layers, heads = SHAPES["gpt2-large"]
    large = msgspec.json.encode({"n_embd": width, "n_layer": layers, "n_head": heads})
    config = load_config(make_model())
    asked = msgspec.structs.replace(task, **({"dtype": "bfloat16"} | change))
    assert not train._is_judged(config, asked)
    shaped = type("Config", (), msgspec.json.decode(large))
    assert train._is_judged(shaped, asked) is due  # type: ignore[arg-type]


def test_a_tokens_operations_are_those_of_its_products(task: Task, tiny_model: Path) -> None:
    config = load_config(tiny_model)  # 3 layers of 32, 400 words
    frozen = 3 * 12 * 32 * 32 + 400 * 32
    low_rank = 3 * 2 * (32 + 96 + 32 + 32 + 32 + 128 + 128 + 32)
    assert operations_per_token(config, task) == 4 * frozen + 6 * low_rank + 3 * 32 * 12 * 8


def test_without_dropout_nothing_of_the_base_drops(make_model: Callable[..., Path]) -> None:
    seen: list[tuple[float, ...]] = []

    def measure(task: Task) -> TrainRow | Product:
        config = json.loads((Path(task.model) / "config.json").read_text())
        assert (Path(task.model) / "model.safetensors").is_file()
        seen.append((config["attn_pdrop"], config["embd_pdrop"], config["resid_pdrop"], task.dropout))
        return Measured()(task)

    model = make_model(attn_pdrop=0.1, embd_pdrop=0.2, resid_pdrop=0.3)
    bench_training(Plan(model, rounds=1), measure=measure)
    bench_training(Plan(model, rounds=1, drops=False), measure=measure)
    assert set(seen) == {(0.1, 0.2, 0.3, 0.05), (0.0, 0.0, 0.0, 0.0)}


@pytest.mark.parametrize("who", ["storyteller", "Trainer"])
def test_each_really_trains(task: Task, who: str) -> None:
    answer = do(msgspec.structs.replace(task, who=who))
    assert isinstance(answer, TrainRow)
    assert answer.who == who
    assert answer.tokens_per_s > 0
    assert answer.loss > 0


def test_a_fresh_process_answers_with_its_memory(task: Task) -> None:
    answer = answer_of(task)
    assert isinstance(answer, TrainRow)
    assert answer.memory_gb > 0.05
    product = answer_of(msgspec.structs.replace(task, who="product"))
    assert isinstance(product, Product)
    assert product.operations_per_s > 1e6


def test_a_process_that_fails_is_said(task: Task, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Measuring storyteller failed"):
        answer_of(msgspec.structs.replace(task, model=str(tmp_path / "nothing")))


def test_the_report_is_printed_or_json(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = bench_training(Plan(tiny_model, rounds=1), measure=Measured())
    monkeypatch.setattr(train, "bench_training", lambda _plan: report)
    assert main(Plan(tiny_model)) == 0
    assert "storyteller" in capsys.readouterr().out
    assert main(Plan(tiny_model), as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["tokens_per_s"] == 26.0
    missed = tuple(judged([row("storyteller", 1.0, 1.0), row("Trainer", 1.0, 1.0)], due=True))
    monkeypatch.setattr(train, "bench_training", lambda _plan: msgspec.structs.replace(report, bounds=missed))
    assert main(Plan(tiny_model)) == 1
    assert "FAIL" in capsys.readouterr().out
    print_report(report)


def test_the_command_plans_what_was_asked(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Plan] = []
    monkeypatch.setattr(train, "main", lambda plan, **_: plans.append(plan) or 0)  # type: ignore[func-returns-value] # remembers it
    sizes = ["--seq", "64", "--batch", "4", "--micro-batch", "2", "--steps", "5", "--rank", "8"]
    others = ["--rounds", "2", "--quantize", "8bit", "--recompute", "--no-dropout", "--dtype", "bfloat16"]
    assert run(["bench", "train", "--model", str(tiny_model), *sizes, *others]) == 0
    [plan] = plans
    assert (plan.seq, plan.batch, plan.micro_batch, plan.steps, plan.rank) == (64, 4, 2, 5, 8)
    assert (plan.rounds, plan.quantise, plan.recompute, plan.drops) == (2, "8bit", True, False)
    assert plan.dtype == "bfloat16"


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--quantize", "2bit"], "8bit or 4bit"), (["--batch", "4", "--micro-batch", "3"], "divides")],
)
def test_what_cannot_be_measured_is_said(
    capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert run(["bench", "train", *options]) != 0
    assert says in capsys.readouterr().err
