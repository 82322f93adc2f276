"""One continuation under way: its tokens, its text, and the rules by which it ends."""

from __future__ import annotations

import time
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from storyteller.engine.prompt.detokenise import Detokeniser
from storyteller.engine.prompt.sentences import ends_sentence, last_sentence_end
from storyteller.engine.protocol import TakeDone

if TYPE_CHECKING:
    from storyteller.engine.prompt.tokens import Tokens
    from storyteller.engine.protocol import Finish
    from storyteller.engine.sampling import Choice, TakeSampler
    from storyteller.engine.settings import StopRules

_MARGIN: Final = 4  # a take that is to end with a sentence may from three quarters of its length on


class Take:
    """What one take said so far. Its tokens begin by saying again what the writer had typed of the last word.

    Attributes:
        ids, logprobs: its tokens and their log-probabilities, what was said again among them.
        finish: why it ended; None while it goes on.
        length: characters of the text that count; the end may be cut off.
    """

    def __init__(
        self,
        index: int,
        seed: int,
        sampler: TakeSampler,
        tokens: Tokens,
        rules: StopRules,
        *,
        typed: bytes = b"",
        started: float | None = None,
    ) -> None:
        """Begin. `started` is when the request came, by `time.perf_counter`."""
        self.index = index
        self.seed = seed
        self.sampler = sampler
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.finish: Finish | None = None
        self._tokens = tokens
        self._rules = rules
        self._said_again = 0  # leading tokens that say nothing new
        self._lengths: list[int] = []  # of the text after each token
        self._detokeniser = Detokeniser(stop=rules.stop, typed=typed)
        self._started = time.perf_counter() if started is None else started
        self._first_token_s = 0.0
        self._cut: int | None = None

    @property
    def still_typed(self) -> bytes:
        """What the next token must begin to say, or say and go on."""
        return self._detokeniser.still_typed

    def said_again_with(self, token: int) -> int:
        """How many tokens, from the first on, say only what was typed once `token` is the next."""
        size, typed = len(self._tokens.token_bytes(token)), len(self.still_typed)
        more = 0 < size <= typed and self._said_again == len(self.ids)
        return self._said_again + more

    def add(self, choice: Choice) -> str:
        """Take on the next token, which the sampler has accepted; returns what may be shown now."""
        if not self._first_token_s:
            self._first_token_s = time.perf_counter() - self._started
        piece = self._tokens.token_bytes(choice.token)
        self._said_again = self.said_again_with(choice.token)
        before = self._detokeniser.text
        self.ids.append(choice.token)
        self.logprobs.append(choice.logprob)
        shown = self._detokeniser.feed(piece, self.sampler.held_back)
        self._lengths.append(len(self._detokeniser.text))
        self._end_if_due(before)
        return shown

    def end(self, finish: Finish) -> None:
        """End here, for a reason the tokens do not show."""
        self.finish = finish

    def go_back(self, tokens: int) -> int:
        """Forget the last `tokens`, as the sampler has; returns how many characters shown are taken back."""
        size = len(self.ids) - tokens
        del self.ids[size:], self.logprobs[size:], self._lengths[size:]
        self._said_again = min(self._said_again, size)
        return self._detokeniser.rewind(tokens)

    def done(self, request_id: str) -> TakeDone:
        """The last event of the take, which must have ended: its tokens up to the last that gave the text something."""
        assert self.finish is not None  # noqa: S101 - the caller's contract
        self._detokeniser.finish()
        text = self._detokeniser.text[: self._cut]
        lengths_before = [0, *self._lengths][: len(self.ids)]
        kept = sum(1 for _ in takewhile(lambda length: length < len(text), lengths_before))
        return TakeDone(
            id=request_id,
            take=self.index,
            text=text,
            ids=tuple(self.ids[:kept]),
            logprobs=tuple(self.logprobs[:kept]),
            finish=self.finish,
            seed=self.seed,
            seconds=time.perf_counter() - self._started,
            first_token_s=self._first_token_s,
        )

    def _end_if_due(self, before: str) -> None:
        new = len(self.ids) - self._said_again
        most = self._rules.max_tokens
        if self._detokeniser.stopped:
            self.finish = "stop"
        elif (
            self._rules.end_at_sentence
            and new > most - max(1, most // _MARGIN)
            and self._sentence_ended(before)
        ):
            self.finish, self._cut = "stop", len(before)
        elif new >= most:
            self.finish = "length"
            if self._rules.end_at_sentence:
                self._cut = last_sentence_end(self._detokeniser.text) or None

    def _sentence_ended(self, before: str) -> bool:
        """Whether a sentence ended with `before`: only a blank after it tells, since a quote may close it yet."""
        added = self._detokeniser.text[len(before) :]
        return added[:1].isspace() and ends_sentence(before)
