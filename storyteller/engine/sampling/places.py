"""Where tokens stand among some of the vocabulary, so that what is about tokens can be done to those alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor


class Places:
    """Places among `ids`; those that are not there have none."""

    def __init__(self, ids: Tensor | None) -> None:
        """`ids` (m,) int64 ascending, on the CPU; None: the whole vocabulary, where a token is its own place."""
        self._of = None if ids is None else {token: place for place, token in enumerate(ids.tolist())}

    def of(self, tokens: Iterable[int]) -> list[int]:
        """The places of `tokens`, in their order."""
        places = self._of
        return list(tokens) if places is None else [places[token] for token in tokens if token in places]

    def of_keys(self, values: Mapping[int, float]) -> Mapping[int, float]:
        """`values` by place instead of by token."""
        places = self._of
        if places is None:
            return values
        return {places[token]: value for token, value in values.items() if token in places}

    def of_tensor(self, tokens: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The places (m,) of `tokens` (n,) int64, and those of `values` (n,) that go with them."""
        if self._of is None or not len(tokens):
            return tokens, values
        found = [(place, self._of[token]) for place, token in enumerate(tokens.tolist()) if token in self._of]
        return tokens.new_tensor([at for _, at in found]), values[[place for place, _ in found]]
