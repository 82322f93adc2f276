"""A run of training without a model: it writes the events of one, holds its lock and obeys its control file.

`python -m tests.stubs.train_run --genre G --json [--dry-run] [--resume] [--restart] [--base FOLDER]`. `STUB_RUN` is a line of words:
`steps:N`; `pace:S` seconds a step; `hold:N` wait at that step until it is asked for something or `STUB_RUN`'s
`let-go` file is in the run's folder; `reads` texts until it is asked for something, which it forgets as it begins; `refuse` to begin; `fail` at half of the steps; `vanish` there without a word;
`hostile` texts.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from typing import TYPE_CHECKING, Final

from storyteller.atomic import write_atomic
from storyteller.training.events import (
    Checkpointed,
    Evaluated,
    Failed,
    Paused,
    Resumed,
    Said,
    Sampled,
    Stopped,
    read_events,
    to_line,
)
from storyteller.training.run_folder import RunFolder
from tests.stubs.training_events import finished, planned, stepped

if TYPE_CHECKING:
    from storyteller.training.events import AnyEvent, Planned

HOSTILE: Final = "[/red][@click=app.quit]x[/] \x1b]0;t\x07\u202e"
PROMPT: Final = "The moon"
TEXTS: Final = (
    " is a good place to go, and it was a good place to be, and the man said that it was a good place.",
    " is up, and all the\norchard holds its breath.\n\nNobody walks the wall tonight\nbut frost and what it weighs.",
    " climbs over Harrow\nas if the hill were stairs,\nand lays one sleeve of silver\nalong the backs of chairs.",
)


class Run:
    """One run of `genre`; see the module."""

    def __init__(self, genre: str, orders: dict[str, str]) -> None:
        self.folder = RunFolder(genre)
        self.genre = genre
        self.orders = orders
        self.steps = int(orders.get("steps", "12"))
        self.pace = float(orders.get("pace", "0"))

    @property
    def plan(self) -> Planned:
        return planned(
            genre=self.genre,
            base="gpt2-large" + self.extra,
            steps=self.steps,
            warnings=("Eleven texts are over 1,024 tokens and are cut." + self.extra,),
        )

    @property
    def extra(self) -> str:
        return HOSTILE if "hostile" in self.orders else ""

    def say(self, event: AnyEvent) -> None:
        line = to_line(event)
        with self.folder.events.open("ab") as stream:
            stream.write(line)
        sys.stdout.buffer.write(line)
        sys.stdout.flush()

    def go(self, *, resume: bool) -> int:
        begin = self.last_checkpoint() if resume else 0
        if "reads" in self.orders:
            while self.wished() == "go":
                time.sleep(0.005)
        self.folder.wish("go")
        if not resume:
            write_atomic(self.folder.events, b"", mode=0o600)
        self.say(self.plan)
        if resume:
            self.say(Resumed(step=begin))
        else:
            self.measure(0)
        for step in range(begin + 1, self.steps + 1):
            if step > self.steps // 2 and "fail" in self.orders:
                self.say(Failed(message="The loss is not a number any more: lower the rate." + self.extra))
                return 2
            if step > self.steps // 2 and "vanish" in self.orders:
                os._exit(9)
            self.step(step)
            if self.obey(step) == "stop":
                self.checkpoint(step)
                self.say(Stopped(step=step))
                return 0
        self.forget_checkpoints()
        self.say(
            finished(
                self.steps,
                adapter=self.genre,
                path=str(self.folder.path / "nowhere"),
                perplexity=self.perplexity(self.steps),
            )
        )
        return 0

    def step(self, step: int) -> None:
        time.sleep(self.pace)
        loss = math.log(self.perplexity(step)) + 0.35 * math.sin(step * 1.7) * math.cos(step * 0.37)
        left = (self.steps - step) * 0.6
        self.say(stepped(step, steps=self.steps, loss=loss, seconds_left=left))
        if step % max(1, self.steps // 6) == 0:
            self.measure(step)
            self.checkpoint(step)

    def checkpoint(self, step: int) -> None:
        (self.folder.path / f"step-{step}").mkdir(exist_ok=True)
        self.say(Checkpointed(step=step))

    def forget_checkpoints(self) -> None:
        for path in self.folder.path.glob("step-*"):
            path.rmdir()

    def measure(self, step: int) -> None:
        self.say(Evaluated(step=step, perplexity=self.perplexity(step), best=True))
        text = TEXTS[min(len(TEXTS) - 1, 3 * step // max(1, self.steps))]
        self.say(Sampled(step=step, prompt=PROMPT, text=text + self.extra))

    def perplexity(self, step: int) -> float:
        return 61.8 if step == 0 else 30 + 31.8 * math.exp(-5 * step / self.steps)

    def obey(self, step: int) -> str:
        if step == int(self.orders.get("hold", "-1")):
            while self.wished() == "go" and not (self.folder.path / "let-go").exists():
                time.sleep(0.005)
        if self.wished() == "pause":
            self.say(Paused(paused=True))
            while self.wished() == "pause":
                time.sleep(0.005)
            self.say(Paused(paused=False))
        return self.wished()

    def wished(self) -> str:
        return self.folder.wished

    def last_checkpoint(self) -> int:
        steps = [
            event.step
            for _, event in read_events(self.folder.events)
            if isinstance(event, (Checkpointed, Stopped))
        ]
        return max(steps, default=0)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--genre", required=True)
    parser.add_argument("--base")
    for switch in ("--json", "--dry-run", "--resume", "--restart"):
        parser.add_argument(switch, action="store_true")
    given = parser.parse_args()
    orders = {
        word: value
        for word, _, value in (order.partition(":") for order in os.environ.get("STUB_RUN", "").split())
    }
    run = Run(given.genre, orders)
    if "refuse" in orders:
        print(f"There are too few texts for {given.genre}: 3 are not enough.{run.extra}", file=sys.stderr)
        return 2
    if given.dry_run:
        sys.stdout.buffer.write(to_line(run.plan) + to_line(Said(message="This takes a while.")))
        return 0
    with run.folder.held():
        if given.restart:
            run.forget_checkpoints()
        if run.folder.unfinished and not given.resume:
            print(f"An unfinished run of {given.genre} is here.", file=sys.stderr)
            return 2
        return run.go(resume=given.resume)


if __name__ == "__main__":
    raise SystemExit(main())
