"""The model and its second opinions, which read the same tokens: one interface to one or several networks and caches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storyteller.engine.prompt.context import block_of
from storyteller.engine.writing.lanes import without_block

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from storyteller.engine.cancel import CancelSignal
    from storyteller.engine.prompt.context import Prompt
    from storyteller.engine.sampling.on_device import DeviceDraw
    from storyteller.engine.writing.ahead import Ahead
    from storyteller.engine.writing.lanes import Lanes


class Voices:
    """The model that takes come from and, where the settings ask, its second opinions: all read the same tokens.

    Logits come to the processor, where samplers run: one wait for the device a token, instead of one for every number
    that a sampler looks at.

    Attributes:
        tail: the usual spelling of the word the prompts break off in, which all are shown after their prompts.
    """

    def __init__(
        self,
        main: Lanes,
        prompt: Prompt,
        *,
        negative: tuple[Lanes, Prompt] | None = None,
        base: tuple[Lanes, Prompt] | None = None,
    ) -> None:
        given = {"main": (main, prompt), "negative": negative, "base": base}
        self._names = [name for name, voice in given.items() if voice is not None]
        voices = [voice for voice in given.values() if voice is not None]
        self._lanes = [lanes for lanes, _ in voices]
        self._prompts = [prompt for _, prompt in voices]
        self.tail = prompt.tail

    def show(self, cancel: CancelSignal) -> list[dict[str, Tensor]]:
        """Read the prompts and the unfinished word after them.

        Returns:
            for each position from the prompt's end to the word's, the logits (vocab,) by voice.

        Raises:
            Interrupted: all was cancelled.
        """
        rows: list[Tensor] = []
        for lanes, prompt in zip(self._lanes, self._prompts, strict=True):
            ids = (*prompt.ids, *self.tail)
            lanes.show(ids, lambda: cancel.all_cancelled)
            rows.append(lanes.logits_after(len(prompt.ids), len(ids)).cpu())
        return self.by_position(rows)

    def split(self, kept: Sequence[int], room: int) -> None:
        """Begin lanes, each with the first `kept[i]` tokens of the unfinished word."""
        for lanes, prompt in zip(self._lanes, self._prompts, strict=True):
            lanes.split([len(prompt.ids) + count for count in kept], room)

    def resume(self, ids: Sequence[int], cancel: CancelSignal) -> None:
        """One lane, which holds the prompt and `ids` after it, less what the window has no room for.

        Raises:
            Interrupted: all was cancelled.
        """
        for lanes, prompt in zip(self._lanes, self._prompts, strict=True):
            held = self._fitted(lanes, prompt, ids)
            lanes.show(held, lambda: cancel.all_cancelled)
            lanes.split([len(held)], room=1)

    @property
    def lanes(self) -> Sequence[Lanes]:
        """The caches: what is appended to one is appended to all."""
        return self._lanes

    def make_room(self, count: int, cancel: CancelSignal) -> None:
        """See to it that each of the `count` lanes can take on a token.

        Raises:
            Interrupted: all was cancelled while a full window was read again.
        """
        for lanes, prompt in zip(self._lanes, self._prompts, strict=True):
            if max(map(lanes.length, range(count))) >= lanes.window:
                lanes.slide(prompt.fixed, block_of(lanes.window), lambda: cancel.all_cancelled)

    @property
    def alone(self) -> bool:
        """Whether there is no second opinion."""
        return len(self._lanes) == 1

    def room(self, lane: int) -> int:
        """Tokens that `lane` can take beside its next one before the window slides."""
        return min(lanes.window - lanes.length(lane) - 1 for lanes in self._lanes)

    @property
    def room_ahead(self) -> int:
        """Tokens that a single lane can take on by itself; 0 where it cannot, or second opinions are asked for."""
        return self._lanes[0].room_ahead if len(self._lanes) == 1 else 0

    def run_ahead(self, token: int, draw: DeviceDraw, chances: Tensor) -> Ahead:
        """As `Lanes.run_ahead`."""
        return self._lanes[0].run_ahead(token, draw, chances)

    def drop(self, lane: int, count: int, left: Sequence[int]) -> None:
        """Take `count` tokens off `lane`, which leaves it `left` after the prompt."""
        for lanes, prompt in zip(self._lanes, self._prompts, strict=True):
            if count < lanes.length(lane) - prompt.fixed:
                lanes.drop(lane, count)
            else:  # the window has slid past the place to go back to
                lanes.replace(lane, self._fitted(lanes, prompt, left))

    def retire(self, lane: int) -> None:
        """Decode `lane` no more; the last one takes its number."""
        for lanes in self._lanes:
            lanes.retire(lane)

    def by_position(self, rows: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Logits (n, vocab) of each voice as, for each of the n positions, logits (vocab,) by voice."""
        return [dict(zip(self._names, row, strict=True)) for row in zip(*rows, strict=True)]

    def _fitted(self, lanes: Lanes, prompt: Prompt, ids: Sequence[int]) -> Sequence[int]:
        whole = (*prompt.ids, *ids)
        if len(whole) < lanes.window:
            return whole
        return without_block(whole, prompt.fixed, block_of(lanes.window), lanes.window)
