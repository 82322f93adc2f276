"""The sampler of one take: what `pipeline` does a step at a time, with the history, chance and bans of that take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from msgspec import Struct

from storyteller.engine.sampling.bias import allow_only, leave_alone
from storyteller.engine.sampling.damage import normaliser, sound
from storyteller.engine.sampling.draw import draw, greedy, uniform
from storyteller.engine.sampling.guidance import adapter_contrast, guidance
from storyteller.engine.sampling.history import History
from storyteller.engine.sampling.loops import LONGEST_PERIOD, find_loop
from storyteller.engine.sampling.mirostat import first_bound, next_bound
from storyteller.engine.sampling.on_device import LOWEST, DeviceDraw, can_draw
from storyteller.engine.sampling.peaks import wanted
from storyteller.engine.sampling.phrases import PhraseGuard
from storyteller.engine.sampling.pipeline import adjusted, candidates, candidates_among, cut
from storyteller.engine.sampling.rules import resolve
from storyteller.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from storyteller.engine.decoder import TextTokenizer
    from storyteller.engine.sampling.peaks import PeakFinder, Peaks
    from storyteller.engine.sampling.phrases import Found
    from storyteller.engine.settings import SamplerSettings

_DRY_STEP: Final = 0.8  # what a loop adds to DRY's multiplier
_LONGEST_INDENTATION: Final = 48  # tokens; GPT-2 has one for every blank


class Choice(Struct, frozen=True):
    """A token, and its log-probability under the model's own distribution: no temperature, penalty or cut."""

    token: int
    logprob: float


class Rewind(Struct, frozen=True):
    """The take went back: its last `tokens` are to be dropped from cache and text too."""

    tokens: int
    reason: str  # one sentence for the writer


class TakeState(Struct, frozen=True):
    """A place in a take to come back to with the same chances ahead."""

    accepted: int
    bounds: tuple[float, ...]
    chances: bytes
    dry_multiplier: float
    budget: int
    left_behind: tuple[int, ...]  # tokens it went back from here


class TakeSampler:
    """Chooses the tokens of one take: `sample`, `accept` its token, `go_back`; repeat.

    Attributes:
        generator: the take's own, on the CPU whatever the device, so that a seed means the same everywhere.
        needs_negative, needs_base: whether `sample` wants the logits after the negative prompt, or without
            the adapter.
        budget: tokens that may still be thrown away on banned phrases and loops.
    """

    def __init__(
        self,
        settings: SamplerSettings,
        tokenizer: TextTokenizer,
        *,
        prompt_ids: Sequence[int],
        seed: int,
        device: torch.device | str = "cpu",
        peaks: PeakFinder | None = None,
    ) -> None:
        self._settings = settings
        self._find_peaks = peaks
        self._wanted = wanted(settings)
        self._tokenizer = tokenizer
        self._rules = resolve(settings, tokenizer, device)
        self._history = History(self._rules, prompt_ids)
        self._prompt_size = len(prompt_ids)
        self._phrases = PhraseGuard(
            settings.banned_phrases,
            tokenizer.decode_bytes(prompt_ids[-256:]) if settings.banned_phrases else b"",
        )
        self._found: Found | None = None  # the banned phrase that the last token completed
        self._left_behind: dict[int, set[int]] = {}  # index in the take -> tokens it went back from
        self._bounds = [first_bound(settings.mirostat_tau)]  # one more than tokens accepted
        self._drawn: tuple[int, float] | None = None  # the last token sampled and its surprise, for mirostat
        self._notices: list[str] = []
        self._said: set[str] = set()
        self.budget = settings.rewind_budget
        self.generator = torch.Generator().manual_seed(seed % 2**64)
        self.needs_negative = settings.guidance_scale != 1.0
        self.needs_base = settings.adapter_contrast != 0.0

    @property
    def ids(self) -> tuple[int, ...]:
        """The tokens accepted so far."""
        return tuple(self._history.ids[self._prompt_size :])

    @property
    def _size(self) -> int:
        return len(self._history.ids) - self._prompt_size

    def sample(
        self,
        logits: Tensor,
        *,
        negative: Tensor | None = None,
        base: Tensor | None = None,
        allowed: Tensor | None = None,
        typed: Tensor | None = None,
        taken: Sequence[int] = (),
    ) -> Choice:
        """The next token, without accepting it.

        Args:
            logits: (vocab,), the model's own.
            negative: (vocab,), after the negative prompt; without it guidance does nothing.
            base: (vocab,), without the adapter; without it the contrast does nothing.
            allowed: (vocab,) bool, the only tokens that may be chosen: those of a healed word.
            typed: (m,) int64, the tokens of these that say only what the writer typed: biases, penalties and bans
                are about what the take says, and leave them alone.
            taken: what earlier takes of the request chose at this step, for `diversity`.

        Raises:
            EngineError: the logits hold NaN or infinity, or nothing finite.
            SettingsError: the settings drove the scores out of range.
        """
        logits = logits.float()
        as_they_are = negative is None and base is None and allowed is None
        peaks = None
        if self._find_peaks is not None:
            peaks = self._find_peaks(logits, self._wanted if as_they_are else 0)
        log_total = float(normaliser(logits)) if peaks is None else sound(peaks.log_total)
        token = self._choose_among(peaks, logits, taken) if peaks is not None else None
        if token is None:
            scores = logits if allowed is None else allow_only(logits, allowed)
            scores = self._second_opinion(scores, negative, base)
            after = self._adjusted(scores, taken)
            token = self._choose(after if typed is None else leave_alone(after, scores, typed))
        if token is None:
            token = self._last_resort(logits, allowed)
        return Choice(token, max(float(logits[token]) - log_total, LOWEST))

    def on_device(self, unused: Sequence[int], device: torch.device) -> DeviceDraw | None:
        """The same draw for `device`, where the next token depends on logits and chance alone; `unused` ids are none."""
        left_behind = self._left_behind.get(self._size)
        if left_behind or self._history.dry_multiplier or not can_draw(self._settings):
            return None
        return DeviceDraw(self._settings, unused, device)

    def accept(self, token: int) -> None:
        """`token` is the take's next: the one sampled, or another."""
        bound = self._bounds[-1]
        if self._drawn is not None and self._drawn[0] == token:
            settings = self._settings
            bound = next_bound(bound, self._drawn[1], tau=settings.mirostat_tau, eta=settings.mirostat_eta)
        self._bounds.append(bound)
        self._drawn = None
        self._history.append(token)
        self._found = self._phrases.append(self._tokenizer.token_bytes(token))

    def go_back(self, typed: int = 0) -> Rewind | None:
        """After `accept`: whether the take now ends in a banned phrase or a loop, and so went back to before it.

        The sampler has then forgotten those tokens, and will not choose the first of them there again. The take's
        first `typed` tokens say only what the writer typed, and are kept.
        """
        if self._found is not None:
            start = max(self._found.start, typed)
            what = f"a banned phrase, “{self._found.phrase}”"
            return self._leave(start, what) if start < self._size else None
        loop = self._loop(typed) if self._settings.loop_guard else None
        if loop is None:
            return None
        back = self._leave(loop, "a loop")
        if back is not None:
            self._history.raise_dry(self._history.dry_multiplier + _DRY_STEP)
        return back

    def rewind(self, tokens: int) -> None:
        """Forget the last `tokens` of the take; chance goes on from where it is.

        Raises:
            ValueError: the take has fewer.
        """
        size = self._size - tokens
        if tokens < 0 or size < 0:
            raise ValueError(f"cannot go back {tokens} tokens in a take of {self._size}")
        self._history.rewind(tokens)
        self._phrases.rewind(tokens)
        del self._bounds[len(self._bounds) - tokens :]
        self._drawn = self._found = None
        self._left_behind = {at: left for at, left in self._left_behind.items() if at <= size}

    @property
    def held_back(self) -> int:
        """Characters at the end of the take that may yet become a banned phrase, and had better not be shown."""
        return self._phrases.held_back

    @property
    def state(self) -> TakeState:
        """This place in the take."""
        return TakeState(
            accepted=self._size,
            bounds=tuple(self._bounds),
            chances=self.generator.get_state().numpy().tobytes(),
            dry_multiplier=self._history.dry_multiplier,
            budget=self.budget,
            left_behind=tuple(self._left_behind.get(self._size, ())),
        )

    def restore(self, state: TakeState) -> None:
        """Go back to an earlier place of this take; what follows is what followed.

        Raises:
            ValueError: the take never was there, or went back beyond it.
        """
        self.rewind(self._size - state.accepted)
        self._bounds = list(state.bounds)
        self.generator.set_state(torch.frombuffer(bytearray(state.chances), dtype=torch.uint8))
        self._history.raise_dry(state.dry_multiplier)
        self.budget = state.budget
        self._left_behind[state.accepted] = set(state.left_behind)

    def take_notices(self) -> list[str]:
        """Sentences for the writer since the last call, each said once a take."""
        notices, self._notices = self._notices, []
        return notices

    def _second_opinion(self, scores: Tensor, negative: Tensor | None, base: Tensor | None) -> Tensor:
        if base is not None:
            scores = adapter_contrast(scores, base.float(), self._settings.adapter_contrast)
        if negative is not None:
            scores = guidance(scores, negative.float(), self._settings.guidance_scale)
        return scores

    def _adjusted(self, scores: Tensor, taken: Sequence[int], ids: Tensor | None = None) -> Tensor:
        """`scores` (vocab,), or (m,) of `ids`, after biases, penalties and bans."""
        left_behind = self._left_behind.get(self._size, ())
        return adjusted(scores, self._rules, self._history, taken=taken, left_behind=left_behind, ids=ids)

    def _choose_among(self, peaks: Peaks, logits: Tensor, taken: Sequence[int]) -> int | None:
        """A token of `peaks`, or None where it may be another of `logits` (vocab,)."""
        if not len(peaks.ids):
            return None
        scores = self._adjusted(logits[peaks.ids], taken, peaks.ids)
        found = candidates_among(peaks, scores, self._settings)
        return None if found is None else self._drawn_from(*found)

    def _choose(self, scores: Tensor) -> int | None:
        """A token by the settings' method, or None where all of `scores` (vocab,) are -inf."""
        settings = self._settings
        if settings.method != "sample" or settings.temperature == 0.0:
            token = greedy(scores)
            return None if self._checked(float(scores[token])) == -math.inf else token
        ids, kept = candidates(scores, settings)
        if len(ids) == 0:
            self._checked(float(scores.amax()))
            return None
        return self._drawn_from(ids, kept)

    def _drawn_from(self, ids: Tensor, kept: Tensor) -> int:
        """The draw among the candidates `ids` (m,), by their tempered scores `kept` (m,)."""
        settings = self._settings
        self._checked(float(kept.amax()))
        xtc_chance = uniform(self.generator) if settings.xtc_probability else 1.0
        bound = self._bounds[-1] if settings.mirostat_tau else math.inf
        kept = cut(ids, kept, self._rules, xtc_chance=xtc_chance, bound=bound)
        index = draw(kept, uniform(self.generator))
        token = int(ids[index])
        if settings.mirostat_tau:
            self._drawn = token, float(kept.logsumexp(0) - kept[index])
        return token

    def _checked(self, largest: float) -> float:
        if math.isnan(largest) or largest == math.inf:
            raise SettingsError(
                "The sampler settings drove the scores out of range; a penalty, bias or guidance is far too large."
            )
        return largest

    def _last_resort(self, logits: Tensor, allowed: Tensor | None) -> int:
        """Everything was forbidden: the best of the constraint if there is one, or the end of the text."""
        if allowed is not None and bool(allowed.any()):
            self._say_once("word", "Every way to finish the word was banned, so a banned one was used.")
            return greedy(allow_only(logits, allowed))
        self._say_once("end", "The settings forbid every token here, so the text ends; ban fewer.")
        return self._rules.eos

    def _loop(self, typed: int) -> int | None:
        """The index in the take, `typed` at least, at which it began to go in circles; a run of blanks is an indentation, no loop."""
        ids = self._history.ids
        seen = max(0, len(ids) - 3 * LONGEST_PERIOD)
        start = find_loop(ids[seen:], max(0, self._prompt_size + typed - seen))
        if start is None:
            return None
        looped = ids[seen + start :]
        if len(looped) < _LONGEST_INDENTATION and not self._tokenizer.decode_bytes(looped).strip(b" \t"):
            return None
        return seen + start - self._prompt_size

    def _leave(self, start: int, what: str) -> Rewind | None:
        """Go back to `start`, an index in the take, if the budget lasts."""
        tokens, granted = self._size - start, self._settings.rewind_budget
        if tokens > self.budget:
            self._say_once(
                what,
                f"{what[0].upper()}{what[1:]} was let stand: going back would take {tokens} more tokens, "
                f"and {self.budget} of {granted} are left to throw away.",
            )
            return None
        self.budget -= tokens
        left = self._history.ids[self._prompt_size + start]
        self.rewind(tokens)
        self._left_behind.setdefault(start, set()).add(left)
        return Rewind(
            tokens, f"Went back {tokens} tokens from {what}; {self.budget} of {granted} are left for this."
        )

    def _say_once(self, about: str, sentence: str) -> None:
        if about not in self._said:
            self._said.add(about)
            self._notices.append(sentence)


def build_sampler(
    settings: SamplerSettings,
    tokenizer: TextTokenizer,
    *,
    prompt_ids: Sequence[int],
    seed: int,
    device: torch.device | str = "cpu",
    peaks: PeakFinder | None = None,
) -> TakeSampler:
    """The sampler of one take; `peaks` makes it faster where logits come to the CPU.

    The first for a tokenizer looks through its vocabulary, some 50 ms for GPT-2's; build one while loading.

    Raises:
        SettingsError: as `rules.resolve`.
    """
    return TakeSampler(settings, tokenizer, prompt_ids=prompt_ids, seed=seed, device=device, peaks=peaks)
