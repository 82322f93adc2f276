"""Ctrl-C in `continue`: what exists is printed, and the second one does not wait."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from storyteller.cli.continue_ import cancelled_by_interrupt, print_json, print_text
from storyteller.engine.protocol import Began, Done, Generate, Notice, TakeDone, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storyteller.engine.cancel import CancelSignal
    from storyteller.engine.protocol import GenerateEvent


class Interrupted:
    """A core during whose first take Ctrl-C is pressed, `times` times."""

    def __init__(self, times: int = 1) -> None:
        self.times = times

    def generate(self, request: Generate, cancel: CancelSignal) -> Iterator[GenerateEvent]:
        yield Began(id=request.id, prompt="", ids=(), truncated=False, reused=0, seeds=(1, 2))
        for take, text in enumerate(["A lamp", "The rain"][: request.takes]):
            yield Token(id=request.id, take=take, text=text, token=take, logprob=-1.0)
        for _ in range(self.times):
            signal.raise_signal(signal.SIGINT)
        assert cancel.all_cancelled
        yield Notice(message="a notice")
        for take, text in enumerate(["A lamp", "The rain"][: request.takes]):
            yield TakeDone(
                id=request.id, take=take, text=text, ids=(take,), logprobs=(-1.0,), finish="cancelled", seed=take,
                seconds=1.0, first_token_s=1.0,
            )  # fmt: skip
        yield Done(id=request.id, reason="cancelled")


def test_the_text_so_far_is_printed_and_the_code_is_130_safety_28(
    capsys: pytest.CaptureFixture[str],
) -> None:  # safety 28
    assert print_text(Interrupted(), Generate(id="r", takes=2)) == 130
    printed = capsys.readouterr()
    assert printed.out == "==> take 1 of 2 <==\nA lamp\n\n==> take 2 of 2 <==\nThe rain\n"
    assert printed.err == "a notice\n"


def test_the_json_so_far_is_printed_and_the_code_is_130_safety_28(
    capsys: pytest.CaptureFixture[str],
) -> None:  # safety 28
    assert print_json(Interrupted(), Generate(id="r", takes=2)) == 130
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["take"], line["text"], line["finish"]) for line in lines] == [
        (0, "A lamp", "cancelled"),
        (1, "The rain", "cancelled"),
    ]


def test_a_second_interrupt_does_not_wait_safety_28() -> None:  # safety 28
    with pytest.raises(KeyboardInterrupt):
        print_text(Interrupted(times=2), Generate(id="r"))


def test_the_handler_before_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with cancelled_by_interrupt() as cancel:
        assert signal.getsignal(signal.SIGINT) is not before
        assert not cancel.all_cancelled
    assert signal.getsignal(signal.SIGINT) is before
