"""The takes of one request, decoded together: prefill once, then a token a take, until every take has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from storyteller.engine.network.device import is_out_of_memory, release_memory
from storyteller.engine.prompt.healing import continuing_mask, take_over_chances, typed_only
from storyteller.engine.protocol import Alternative, Notice, Rewound, Token
from storyteller.engine.sampling import Choice, draw, uniform
from storyteller.engine.writing.lanes import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from storyteller.engine.cancel import CancelSignal
    from storyteller.engine.prompt.tokens import Tokens
    from storyteller.engine.protocol import Finish, Generate, GenerateEvent
    from storyteller.engine.writing.choir import Choir
    from storyteller.engine.writing.speculation import Speculation
    from storyteller.engine.writing.take import Take

ONE_BY_ONE = "There was not enough memory for all takes at once; they are written one after another."


class Decoding:
    """Drives the takes of one request; survives a lack of memory by going on with fewer at once.

    `run` may be called again, with another choir, after it failed: takes go on from where they were.
    """

    def __init__(
        self,
        request: Generate,
        takes: Sequence[Take],
        tokens: Tokens,
        cancel: CancelSignal,
        speculation: Speculation | None = None,
    ) -> None:
        self._id = request.id
        self._settings = request.settings
        self._max_tokens = request.stop.max_tokens
        self._alternatives = request.alternatives
        self._takes = takes
        self._tokens = tokens
        self._cancel = cancel
        self._speculation = speculation
        self._masks: dict[bytes, tuple[Tensor | None, Tensor]] = {}
        self._tail: tuple[int, ...] = ()
        self._opening: dict[int, list[dict[str, Tensor]]] = {}  # by take: logits by voice, from the prompt on
        self._together = True
        self.sampled = 0

    def run(self, choir: Choir) -> Iterator[GenerateEvent]:
        """The tokens and ends of all takes not yet ended.

        Raises:
            RuntimeError: no memory is left for a single take.
        """
        self._masks.clear()
        self._tail = choir.tail
        if self._max_tokens <= 0:
            yield from self._end_all("length")
        under_way = [take for take in self._takes if take.finish is None]
        if self._together and len(under_way) > 1:
            try:
                yield from self._run_together(choir, under_way)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._together = False
            else:
                return
            choir.save_memory()
            release_memory(choir.device)
            yield Notice(message=ONE_BY_ONE, id=self._id)
        for take in under_way:
            if take.finish is None:
                yield from self._run_together(choir, [take])

    def _run_together(self, choir: Choir, takes: list[Take]) -> Iterator[GenerateEvent]:
        try:
            self._opening = choir.show([take.index for take in takes], self._cancel)
            for take in takes:
                yield from self._open(take)
            lanes = [take for take in takes if take.finish is None]
            held = [take.ids[:-1] for take in lanes]
            choir.begin([take.index for take in lanes], held, self._max_tokens, self._cancel)
            while True:
                yield from self._retire_ended(choir, lanes)
                if not lanes:
                    return
                if len(lanes) == 1:
                    yield from self._run_ahead(choir, lanes[0])
                    if lanes[0].finish is not None:
                        continue
                guesses = self._guesses(choir, lanes)
                tokens = [[take.ids[-1], *guess] for take, guess in zip(lanes, guesses, strict=True)]
                rows = choir.step(tokens, self._cancel)
                if self._speculation is not None:
                    self._speculation.passed(guesses)
                for lane in sorted(range(len(lanes)), key=lambda lane: lanes[lane].index):
                    yield from self._go_on(choir, lanes[lane], lane, rows[lane], guesses[lane])
        except Interrupted:
            yield from self._end_all("cancelled")

    def _retire_ended(self, choir: Choir, lanes: list[Take]) -> Iterator[GenerateEvent]:
        """Let go of takes that ended or are not wanted any more; the last lane takes the place of one that goes."""
        for lane in reversed(range(len(lanes))):
            yield from self._end_if_cancelled(lanes[lane])
            if lanes[lane].finish is not None:
                choir.retire(lane)
                lanes[lane] = lanes[-1]
                lanes.pop()

    def _open(self, take: Take) -> Iterator[GenerateEvent]:
        """The first tokens of `take`, from what the prompt's prefill says already.

        The usual spelling of an unfinished word was read with the prompt: a take that keeps to it goes on from
        there at no cost. Leaves the take ended, or with one token that was not read yet.
        """
        yield from self._end_if_cancelled(take)
        tail, opening = self._tail, self._opening[take.index]
        if take.finish is None and tail and not take.ids:
            rows = torch.stack([row["main"] for row in opening[:-1]])  # (len(tail), vocab)
            place = self._place_of(take, take_over_chances(rows, tail, self._tokens))
            logprobs = torch.log_softmax(rows, dim=-1)
            for kept, token in enumerate(tail[:place]):
                take.sampler.accept(token)
                yield self._gained(take, Choice(token, float(logprobs[kept, token])), rows[kept])
        while take.finish is None and tuple(take.ids) == tail[: len(take.ids)]:
            yield from self._choose(take, opening[len(take.ids)])

    def _place_of(self, take: Take, chances: Tensor) -> int:
        """An index of `chances` (n,): the largest where the settings leave nothing to chance."""
        if self._settings.method != "sample" or self._settings.temperature == 0.0:
            return int(chances.argmax())
        return draw(chances.log(), uniform(take.sampler.generator))

    def _go_on(
        self,
        choir: Choir,
        take: Take,
        lane: int,
        rows: Sequence[dict[str, Tensor]],
        guess: tuple[int, ...],
    ) -> Iterator[GenerateEvent]:
        """The next tokens of `take`, whose `lane` holds all its tokens, and `guess` after them.

        `rows` are the logits after its last token and after each of `guess`. Leaves the take ended, or with one token
        not read yet, and the lane with nothing else than the others.
        """
        held, right, row = len(take.ids), 0, rows[0]
        while True:
            yield from self._choose(take, row)
            left = len(take.ids)
            if left == held + 1 and take.ids[-1:] == [*guess[right : right + 1]]:
                right += 1
                if take.finish is None:
                    held, row = left, rows[right]
                    continue
            if take.finish is not None or left > held:
                break
            if left == held:  # the new token alone was dropped: choose again
                continue
            known = tuple(take.ids) == self._tail[:left]
            keep = left if known else left - 1
            choir.drop(lane, held - keep + len(guess) - right, take.ids[:keep])
            self._tell(lane, right, guess)
            if not known:
                return
            held, row, guess, right = left, self._opening[take.index][left], (), 0
        self._tell(lane, right, guess)
        if take.finish is None and right < len(guess):
            choir.drop(lane, len(guess) - right, take.ids[:-1])

    def _guesses(self, choir: Choir, lanes: Sequence[Take]) -> Sequence[tuple[int, ...]]:
        """What to read ahead for every lane: nothing where takes must know of each other, or there are second opinions."""
        together = self._settings.diversity > 0.0 and len(self._takes) > 1
        if self._speculation is None or together or not choir.alone:
            self._speculation = None
            return [()] * len(lanes)
        rooms = [
            min(choir.room(lane), self._max_tokens - len(take.ids) - 1) for lane, take in enumerate(lanes)
        ]
        return self._speculation.guesses(lanes, rooms)

    def _tell(self, lane: int, right: int, guess: tuple[int, ...]) -> None:
        if self._speculation is not None:
            self._speculation.fared(lane, right, len(guess))

    def _run_ahead(self, choir: Choir, take: Take) -> Iterator[GenerateEvent]:
        """The tokens of the only take as the device draws them, where its settings and the network's step allow that.

        Leaves it ended, or with one token not read yet: when the window is full, the take went back, or a draw is the
        host's. Chance goes on as if each token had been drawn here.
        """
        most = min(choir.room_ahead, self._max_tokens - len(take.ids))
        if most < 1 or self._alternatives or take.still_typed:
            return
        draw = take.sampler.on_device(self._tokens.unused, choir.device)
        if draw is None:
            return
        before = take.sampler.generator.get_state()
        chances = torch.rand(most, generator=take.sampler.generator, dtype=torch.float64)
        ahead = choir.run_ahead(take.ids[-1], draw, chances)
        take.sampler.generator.set_state(before)
        while take.finish is None:
            yield from self._end_if_cancelled(take)
            choice = None if take.finish is not None else ahead.next()
            if choice is None:
                return
            if draw.is_chance:
                uniform(take.sampler.generator)
            held = len(take.ids)
            yield from self._accept(take, choice, None)
            if take.finish is None and len(take.ids) <= held:
                yield from self._resume_after_rewind(choir, take, held)
                return

    def _resume_after_rewind(self, choir: Choir, take: Take, held: int) -> Iterator[GenerateEvent]:
        """After `take`, whose lane holds its first `held` tokens, went back: leaves it as `_go_on` does."""
        left = len(take.ids)
        known = tuple(take.ids) == self._tail[:left]
        keep = left if known else left - 1
        choir.drop(0, held - keep, take.ids[:keep])
        if known:
            yield from self._go_on(choir, take, 0, [self._opening[take.index][left]], ())

    def _choose(self, take: Take, row: dict[str, Tensor]) -> Iterator[GenerateEvent]:
        """Sample a token after `row`, logits (vocab,) by voice: the take gains it, ends, or goes back."""
        logits = row["main"]
        if self._tokens.unused:
            logits = logits.index_fill(0, self._unused(logits.device), -torch.inf)
        here = len(take.ids)
        allowed, typed = self._allowed(take, logits.device)
        choice = take.sampler.sample(
            logits,
            negative=row.get("negative"),
            base=row.get("base"),
            allowed=allowed,
            typed=typed,
            taken=[other.ids[here] for other in self._takes[: take.index] if len(other.ids) > here],
        )
        yield from self._accept(take, choice, logits)

    def _accept(self, take: Take, choice: Choice, logits: Tensor | None) -> Iterator[GenerateEvent]:
        """`choice` was drawn after `logits` (vocab,), which only alternatives need: `take` gains it, ends, or goes back."""
        yield from (Notice(message=notice, id=self._id) for notice in take.sampler.take_notices())
        if choice.token == self._tokens.eos:
            take.end("eos")
            yield take.done(self._id)
            return
        take.sampler.accept(choice.token)
        self.sampled += 1
        back = take.sampler.go_back(take.said_again_with(choice.token))
        yield from (Notice(message=notice, id=self._id) for notice in take.sampler.take_notices())
        if back is not None:  # the token just sampled was never shown
            yield Rewound(
                id=self._id,
                take=take.index,
                characters=take.go_back(back.tokens - 1),
                tokens=back.tokens - 1,
                reason=back.reason,
            )
            return
        yield self._gained(take, choice, logits)
        if take.finish is not None:
            yield take.done(self._id)

    def _gained(self, take: Take, choice: Choice, logits: Tensor | None) -> Token:
        """`take` goes on with `choice`, which its sampler has accepted, after `logits` (vocab,)."""
        return Token(
            id=self._id,
            take=take.index,
            text=take.add(choice),
            token=choice.token,
            logprob=choice.logprob,
            alternatives=self._likeliest(logits),
        )

    def _likeliest(self, logits: Tensor | None) -> tuple[Alternative, ...]:
        if logits is None or not self._alternatives:
            return ()
        return likeliest(logits, self._alternatives, self._tokens)

    def _end_all(self, finish: Finish) -> Iterator[GenerateEvent]:
        for take in self._takes:
            if take.finish is None:
                take.end(finish)
                yield take.done(self._id)

    def _end_if_cancelled(self, take: Take) -> Iterator[GenerateEvent]:
        if take.finish is None and self._cancel.take_cancelled(take.index):
            take.end("cancelled")
            yield take.done(self._id)

    def _allowed(self, take: Take, device: torch.device) -> tuple[Tensor | None, Tensor | None]:
        """(vocab,) bool: the tokens that say what the writer sees already, or spell it as usual where no single one does.

        And (m,) int64: those of them that say nothing else. None and None where there is nothing to say again.
        """
        typed = take.still_typed
        if not typed:
            return None, None
        if typed not in self._masks:
            spelling = self._tail[len(take.ids) : len(take.ids) + 1]
            besides = () if self._tokens.continuing(typed) else spelling
            mask = continuing_mask(self._tokens, typed, besides)
            again = typed_only(self._tokens, typed, besides).to(device)
            self._masks[typed] = None if mask is None else mask.to(device), again
        return self._masks[typed]

    def _unused(self, device: torch.device) -> Tensor:
        return torch.tensor(self._tokens.unused, device=device)


def likeliest(logits: Tensor, count: int, tokens: Tokens) -> tuple[Alternative, ...]:
    """The `count` most likely tokens by `logits` (vocab,), the likeliest first."""
    best = torch.log_softmax(logits, dim=0).topk(min(count, len(logits)))
    return tuple(
        Alternative(token, tokens.decode((token,)), logprob)
        for token, logprob in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    )
