"""What a take has said, prompt included, as the penalties look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storyteller.engine.sampling.dry import dry_penalties
from storyteller.engine.sampling.ngram import completing_tokens
from storyteller.engine.sampling.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from storyteller.engine.sampling.rules import Rules


class History:
    """The tokens so far, prompt included, and where their end stood before, kept only if a rule asks."""

    def __init__(self, rules: Rules, ids: Sequence[int]) -> None:
        self.ids = list(ids)
        self._rules = rules
        self._unbroken = Repeats(ids) if rules.settings.no_repeat_ngram > 1 else None
        self._dry = Repeats(ids, rules.breakers) if rules.settings.dry_multiplier else None
        self.dry_multiplier = rules.settings.dry_multiplier

    def append(self, token: int) -> None:
        """One token more."""
        self.ids.append(token)
        for repeats in (self._unbroken, self._dry):
            if repeats is not None:
                repeats.append(token)

    def rewind(self, tokens: int) -> None:
        """Forget the last `tokens`."""
        if not tokens:
            return
        del self.ids[-tokens:]
        for repeats in (self._unbroken, self._dry):
            if repeats is not None:
                repeats.rewind(tokens)

    def raise_dry(self, multiplier: float) -> None:
        """Let DRY take so much from now on, whatever the settings say."""
        self.dry_multiplier = multiplier
        if self._dry is None and multiplier:
            self._dry = Repeats(self.ids, self._rules.breakers)

    def dry_penalties(self) -> dict[int, float]:
        """What DRY takes off each token now."""
        if self._dry is None or not self.dry_multiplier:
            return {}
        settings = self._rules.settings
        return dry_penalties(
            self._dry,
            self.dry_multiplier,
            base=settings.dry_base,
            allowed_length=settings.dry_allowed_length,
            reach=settings.dry_range,
            exempt=self._rules.dry_exempt,
        )

    def repeating_ngram(self) -> Collection[int]:
        """The tokens that would complete an n-gram seen before."""
        size = self._rules.settings.no_repeat_ngram
        if size == 1:
            return set(self.ids)
        return completing_tokens(self._unbroken, size) if self._unbroken is not None else ()
