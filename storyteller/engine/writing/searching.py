"""Takes found by a search instead of sampled: the same events, once the search knows its tokens."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from storyteller.engine.prompt.healing import continuing_mask, typed_only
from storyteller.engine.protocol import Notice, Token
from storyteller.engine.sampling import Choice, leave_alone, resolve, row_adjustment
from storyteller.engine.search import beam_search, contrastive_search
from storyteller.engine.writing.lanes import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from storyteller.engine.cancel import CancelSignal
    from storyteller.engine.prompt.context import Prompt
    from storyteller.engine.prompt.tokens import Tokens
    from storyteller.engine.protocol import Generate, GenerateEvent
    from storyteller.engine.writing.lanes import Lanes
    from storyteller.engine.writing.take import Take

ONE_ANSWER = "Contrastive search has one answer to a prompt, so all takes say the same."
NO_SECOND_OPINION = "Searches do not ask for a second opinion; guidance and adapter contrast are left out."
NO_PHRASES = "Searches do not go back, so banned phrases may come; ban tokens, or sample."


class Searching:
    """Runs beam or contrastive search for the takes of one request. `run` may be called again after it failed."""

    def __init__(
        self, request: Generate, takes: Sequence[Take], tokens: Tokens, cancel: CancelSignal
    ) -> None:
        self._id = request.id
        self._settings = request.settings
        self._stop = request.stop
        self._takes = takes
        self._tokens = tokens
        self._cancel = cancel
        self.sampled = 0

    def run(self, lanes: Lanes, prompt: Prompt) -> Iterator[GenerateEvent]:
        """The tokens and ends of all takes."""
        if self._settings.guidance_scale != 1.0 or self._settings.adapter_contrast:
            yield Notice(message=NO_SECOND_OPINION, id=self._id)
        if self._settings.banned_phrases:
            yield Notice(message=NO_PHRASES, id=self._id)
        with suppress(Interrupted):
            lanes.show(prompt.ids, lambda: self._cancel.all_cancelled)
            if self._settings.method == "beam":
                yield from self._beams(lanes, prompt)
            else:
                yield from self._contrastive(lanes, prompt)
        for take in self._takes:
            if take.finish is None:
                take.end("cancelled" if self._cancel.take_cancelled(take.index) else "length")
                yield take.done(self._id)

    def _beams(self, lanes: Lanes, prompt: Prompt) -> Iterator[GenerateEvent]:
        """The best continuations, a take each."""
        found = beam_search(
            lanes,
            prompt.ids,
            beams=max(self._settings.beams, len(self._takes)),
            max_tokens=self._stop.max_tokens + len(prompt.tail),
            length_penalty=self._settings.length_penalty,
            early_stopping=self._settings.early_stopping,
            adjust=self._adjust(lanes, prompt),
            ended=lambda ids: self._has_stop(prompt, ids),
            cancelled=lambda: self._cancel.all_cancelled,
        )
        for take, continuation in zip(self._takes, found, strict=False):
            for token, logprob in zip(continuation.ids, continuation.logprobs, strict=True):
                if take.finish is None:
                    yield self._said(take, Choice(token, logprob))
            if take.finish is None:
                take.end(continuation.finish)
            yield take.done(self._id)

    def _contrastive(self, lanes: Lanes, prompt: Prompt) -> Iterator[GenerateEvent]:
        """One continuation, said by every take as it is found."""
        if len(self._takes) > 1:
            yield Notice(message=ONE_ANSWER, id=self._id)
        said = max((take.ids for take in self._takes), key=len)  # not empty where an earlier run failed
        chosen = contrastive_search(
            lanes,
            (*prompt.ids, *said),
            k=self._settings.contrastive_k,
            alpha=self._settings.contrastive_alpha,
            max_tokens=self._stop.max_tokens + len(prompt.tail) - len(said),
            adjust=self._adjust(lanes, prompt),
            cancelled=lambda: all(self._cancel.take_cancelled(take.index) for take in self._takes),
        )
        for choice in chosen:
            for take in [take for take in self._takes if take.finish is None]:
                if self._cancel.take_cancelled(take.index):
                    take.end("cancelled")
                elif choice.token == self._tokens.eos:
                    take.end("eos")
                else:
                    yield self._said(take, choice)
                if take.finish is not None:
                    yield take.done(self._id)
            if all(take.finish is not None for take in self._takes):
                return

    def _said(self, take: Take, choice: Choice) -> Token:
        take.sampler.accept(choice.token)
        self.sampled += 1
        return Token(
            id=self._id,
            take=take.index,
            text=take.add(choice),
            token=choice.token,
            logprob=choice.logprob,
        )

    def _adjust(self, lanes: Lanes, prompt: Prompt) -> Callable[[Tensor, Sequence[Sequence[int]]], Tensor]:
        """What the settings take off tokens that say something new, and of an unfinished word all that does not continue it."""
        device = lanes.network.device
        adjusted = row_adjustment(resolve(self._settings, self._tokens, device))

        def adjust(rows: Tensor, histories: Sequence[Sequence[int]]) -> Tensor:
            before, rows = rows, adjusted(rows, histories)
            for place, history in enumerate(histories):
                typed, spelling = self._still_typed(prompt, history[len(prompt.ids) :])
                only = continuing_mask(self._tokens, typed, spelling)
                if only is not None:
                    again = typed_only(self._tokens, typed, spelling).to(device)
                    row = leave_alone(rows[place], before[place], again)
                    rows[place] = row.masked_fill(~only.to(device), -torch.inf)
                if self._tokens.unused:
                    rows[place, list(self._tokens.unused)] = -torch.inf
            return rows

        return adjust

    def _still_typed(self, prompt: Prompt, said: Sequence[int]) -> tuple[bytes, tuple[int, ...]]:
        """What of the typed letters is to be said again after `said`, and the next token of their usual spelling."""
        size = sum(len(self._tokens.token_bytes(token)) for token in said[: len(prompt.typed)])
        usual = tuple(said) == prompt.tail[: len(said)]
        return prompt.typed[size:], prompt.tail[len(said) :][:1] if usual else ()

    def _has_stop(self, prompt: Prompt, ids: Sequence[int]) -> bool:
        said = self._tokens.decode_bytes(ids)[len(prompt.typed) :].decode("utf-8", "replace")
        return any(stop and stop in said for stop in self._stop.stop)
