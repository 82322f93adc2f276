"""Prints the takes of a request as they come: the first live, the others one after another behind it.

What is printed stands. So text that the engine may still take back (the beginning of a loop, a sentence that may
be cut) waits until it is settled: usually a token or two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.engine.prompt.sentences import last_sentence_end
from storyteller.engine.protocol import Finish, Rewound, TakeDone, Token
from storyteller.text import writable_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST_PERIOD: Final = 96  # of a loop the engine notices, in tokens


class TakeLine(msgspec.Struct, frozen=True):
    """A take as `--json` prints it: stable keys, one object a line."""

    take: int
    text: str
    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Finish
    seconds: float
    first_token_s: float
    seed: int


def json_line(take: TakeDone) -> str:
    """One line of `--json`."""
    line = TakeLine(
        take.take,
        take.text,
        take.ids,
        take.logprobs,
        take.finish,
        take.seconds,
        take.first_token_s,
        take.seed,
    )
    return msgspec.json.encode(line).decode() + "\n"


def may_be_taken_back(ids: Sequence[int]) -> int:
    """How many tokens at the end of `ids`, at most 96, repeat what stands one loop's length before them.

    The engine leaves a loop by going back to where its second copy begins, which is never before these, and it
    does so by the 96th repeated token or not at all.
    """
    longest = 0
    for period in range(1, min(LONGEST_PERIOD, len(ids) - 1) + 1):
        run = 0
        while run < LONGEST_PERIOD and run + period < len(ids) and ids[-1 - run] == ids[-1 - run - period]:
            run += 1
        longest = max(longest, run)
    return longest


def settled_sentences(text: str) -> int:
    """How many characters of a growing `text` are whole sentences that no cut at a sentence's end will remove.

    Only what a blank follows counts: "3." may become "3.5", and a quote may still close a sentence.
    """
    return last_sentence_end(text[: max(text.rfind(" "), text.rfind("\n"), 0)])


class GrowingTake:
    """One take's text so far, and how much of it is settled."""

    def __init__(self, prompt: Sequence[int], settled: Callable[[str], int], *, loops_are_left: bool) -> None:
        self.final: TakeDone | None = None
        self._prompt = list(prompt[-2 * LONGEST_PERIOD :])
        self._ids: list[int] = []
        self._ends: list[int] = [0]  # characters of text after so many tokens
        self._floors: list[int] = [0]  # after so many tokens, the fewest that a loop left then would leave
        self._text = ""
        self._settled = settled
        self._loops_are_left = loops_are_left

    def add(self, token: Token) -> None:
        """A token came."""
        self._text += token.text
        self._ids.append(token.token)
        self._ends.append(len(self._text))
        repeated = may_be_taken_back([*self._prompt, *self._ids]) if self._loops_are_left else 0
        self._floors.append(max(0, len(self._ids) - repeated))

    def rewind(self, rewound: Rewound) -> None:
        """The engine took the end back."""
        self._text = self._text[: len(self._text) - rewound.characters]
        kept = max(0, len(self._ids) - rewound.tokens)
        del self._ids[kept:], self._ends[kept + 1 :], self._floors[kept + 1 :]

    def printable(self) -> str:
        """What of the text will stand whatever comes: all of it once the take is done."""
        if self.final is not None:
            return self.final.text
        text = self._text[: self._ends[self._settled_tokens()]]
        return text[: self._settled(text)]

    def _settled_tokens(self) -> int:
        """So many tokens no series of loops left can reach: going back to a place makes that place's loops possible again."""
        at = len(self._ids)
        lowest = at
        while lowest > 0 and self._ends[lowest - 1] == self._ends[at]:
            lowest -= 1  # what the engine holds back of the text, it may drop too
        while at >= lowest:
            lowest = min(lowest, self._floors[at])
            at -= 1
        return lowest


class TakePrinter:
    """Prints `takes` takes through `write`, in order, each as soon as it can be.

    Args:
        takes: how many there will be; past one, each has a line above it that says which it is.
        write: where text goes.
        settled: given a growing take's text, how many of its characters no cut will remove.
        loops_are_left: the engine goes back where a text begins to repeat itself.
    """

    def __init__(
        self,
        takes: int,
        write: Callable[[str], None],
        *,
        settled: Callable[[str], int] = len,
        loops_are_left: bool = True,
    ) -> None:
        self._count = takes
        self._write = write
        self._settled = settled
        self._loops_are_left = loops_are_left
        self._takes: list[GrowingTake] = []
        self._current = 0
        self._printed = ""

    def begin(self, prompt: Sequence[int]) -> None:
        """The prompt is known; nothing was sampled yet."""
        self._takes = [
            GrowingTake(prompt, self._settled, loops_are_left=self._loops_are_left)
            for _ in range(self._count)
        ]
        self._head()

    def handle(self, event: Token | Rewound | TakeDone) -> None:
        """Take one event in, and print what it settles."""
        take = self._takes[event.take]
        match event:
            case Token():
                take.add(event)
            case Rewound():
                take.rewind(event)
            case TakeDone():
                take.final = event
        if event.take == self._current:
            self._print_settled()

    def _print_settled(self) -> None:
        while self._current < self._count:
            take = self._takes[self._current]
            self._print(writable_text(take.printable()))
            if take.final is None:
                return
            self._foot()
            self._current += 1
            self._printed = ""
            self._head()

    def _print(self, text: str) -> None:
        if not text.startswith(self._printed):
            if self._takes[self._current].final is None:
                return
            # Only a rewind past everything that may be foreseen leads here: say the whole take again.
            self._write("\n\n")
            self._printed = ""
        if text != self._printed:
            self._write(text[len(self._printed) :])
            self._printed = text

    def _head(self) -> None:
        if self._count > 1 and self._current < self._count:
            gap = "\n" if self._current else ""
            self._write(f"{gap}==> take {self._current + 1} of {self._count} <==\n")

    def _foot(self) -> None:
        if not self._printed.endswith("\n"):
            self._write("\n")
