"""A run as a person reads it in a shell."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from storyteller.cli import training_view
from storyteller.cli.streams import output
from storyteller.cli.training_view import JsonView, TrainingView
from storyteller.training.events import Evaluated, Failed, Sampled, Stepped, to_line
from tests.stubs.training_events import EVENTS

if TYPE_CHECKING:
    from rich.progress import Progress

    from storyteller.training.events import AnyEvent


def shown(capsys: pytest.CaptureFixture[str], *events: AnyEvent) -> tuple[str, str]:
    with TrainingView() as view:
        for event in events:
            view.tell(event)
    out, err = capsys.readouterr()
    return out, err


def test_every_event_has_words_or_needs_none(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = shown(capsys, Evaluated(step=0, perplexity=1682.9, best=False), *EVENTS)
    for words in (
        "poetry: 11 texts, 830 tokens",
        "held out  1 texts, 72 tokens",
        "rank 2, alpha 8, dropout 0.05: 3,072 numbers learn",
        "6 of 4 sequences of 16 tokens, rate 0.01",
        "Warning: Little text.",
        "step 0: perplexity 1682.90",
        "step 4: perplexity 1300.50 (-22.7%), best so far",
        "Going on from step 3.",
        "Paused.",
        "add --resume to go on",
        "poetry v0001: perplexity 1682.90 → 1189.80 (-29.3%) at step 6",
        "storyteller --genre poetry",
    ):
        assert words in out, words
    assert err == "There was not enough memory.\n"


def test_what_a_model_writes_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = shown(capsys, Sampled(step=0, prompt="[red]\x1b[2J", text="\x07\x9b31m\nnext"))
    assert not {"\x1b", "\x07", "\x9b"} & set(out)
    assert out.count("\n") == 2
    assert "[red]" in out


def test_the_bar_is_drawn_on_a_terminal_and_taken_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [event for event in EVENTS if isinstance(event, Stepped)]
    assert shown(capsys, *steps) == ("", "")
    monkeypatch.setattr(training_view, "is_terminal", lambda stream: stream is sys.stderr)
    opened: list[Progress] = []
    plain = training_view._open_bar

    def open_bar(total: int) -> Progress:
        opened.append(plain(total))
        return opened[0]

    monkeypatch.setattr(training_view, "_open_bar", open_bar)
    with TrainingView() as view:
        view.tell(*steps)
        assert (opened[0].tasks[0].completed, opened[0].tasks[0].total) == (4, 6)
        assert "loss 7.250" in opened[0].tasks[0].fields["said"]
        view.tell(Failed(message="the disk"))
        assert opened[0].live.is_started is False


def test_json_is_what_the_file_gets(capsys: pytest.CaptureFixture[str]) -> None:
    with JsonView(output) as view:
        for event in EVENTS:
            view.tell(event)
    assert capsys.readouterr().out.encode() == b"".join(map(to_line, EVENTS))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (59.4, "59 s"), (61, "1 min 01 s"), (3599.9, "1 h 00 min"), (90_000, "25 h 00 min")],
)
def test_times_are_short(seconds: float, words: str) -> None:
    assert training_view.time_in_words(seconds) == words
