"""A model at work on one prompt and the lanes that continue it: prefill, decode, go back, slide. Fits `decoder.Decoder`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.cache import Branches, Trunk
from storyteller.engine.network.device import all_threads, decodes_alone, one_thread
from storyteller.engine.network.step import AheadStep, read
from storyteller.engine.network.weights import parameter_count
from storyteller.engine.prompt.tokens import same_beginning
from storyteller.engine.writing.ahead import Ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor

    from storyteller.engine.network.model import Network
    from storyteller.engine.network.step import Part
    from storyteller.engine.sampling.on_device import DeviceDraw

# Rows a prefill reads at once. On a processor 128 lose nothing to 256 (attention's scores stay in the cache)
# and halve the time until a cancelled prefill stops; a GPU wants more.
_CHUNK: Final = 128
_CHUNK_ON_GPU: Final = 512
_FEW: Final = 16  # rows that one thread reads as fast as several, in a small model


class Interrupted(Exception):  # noqa: N818 - no error: the prefill was cancelled
    """A prefill was cancelled; what it read stays in the cache."""


def never() -> bool:
    """Not cancelled."""
    return False


class Lanes:
    """One network, its cache, and the sequences that continue what the cache holds.

    `show` a prompt, `split` into lanes, `decode` a token a lane. What was read stays for the next `show`.
    """

    def __init__(self, network: Network, eos: int) -> None:
        self._network = network
        self._eos = eos
        self._trunk = Trunk(network)
        self._branches: Branches | None = None
        self._last: Tensor | None = None  # (lanes, d), hidden states of the last decode
        self._prompt = 0
        self._alone = decodes_alone(network.device, parameter_count(network.config))
        self._chunk = _CHUNK if network.device.type == "cpu" else _CHUNK_ON_GPU

    @property
    def network(self) -> Network:
        """What is being asked."""
        return self._network

    @property
    def window(self) -> int:
        """Positions: the longest a sequence may be."""
        return self._network.config.n_positions

    @property
    def eos(self) -> int:
        """The id that ends a document."""
        return self._eos

    def use(self, network: Network) -> None:
        """Go on with another `network` of the same shape; the cache is empty unless it is the same one."""
        if network is not self._network:
            self._network = network
            self._branches = None
            self._trunk.restart(network)

    def reusable(self, ids: Sequence[int]) -> int:
        """How many of `ids` the cache holds already."""
        same = same_beginning(self._trunk.ids, ids)
        if self._branches is None or same < len(self._trunk.ids):
            return same
        return same + max(same_beginning(row, ids[same:]) for row in self._branches.ids)

    @torch.inference_mode()
    def show(
        self, ids: Sequence[int], cancelled: Callable[[], bool] = never, *, chunk: int | None = None
    ) -> None:
        """Make the cache hold `ids` and nothing after them, reading only what it does not hold.

        Args:
            ids: at most `window` of them.
            cancelled: asked before each chunk.
            chunk: tokens read between two such questions, where many at once would keep somebody waiting.

        Raises:
            Interrupted: `cancelled` said so between two chunks.
        """
        self._fold(ids)
        same = same_beginning(self._trunk.ids, ids)
        self._trunk.truncate(same)
        step = chunk or self._chunk
        for start in range(same, len(ids), step):
            if cancelled():
                raise Interrupted
            read = ids[start : start + step]
            with self._threads_for(len(read)):
                self._trunk.extend(read)

    @torch.inference_mode()
    def logits_after(self, first: int, last: int) -> Tensor:
        """Logits (last - first + 1, vocab) of the token after the first `first` ids shown, up to after `last`."""
        return self._network.logits(self._trunk.hidden[first - 1 : last])

    @torch.inference_mode()
    def split(self, lengths: Sequence[int], room: int) -> None:
        """Begin lanes, each from the first `lengths[i]` ids shown; `room` tokens will be decoded in each, about."""
        self._branches = None
        base = min(lengths)
        if len(lengths) > 1:
            capacity = min(room, self.window) + max(lengths) - base
            self._branches = Branches(self._network, self._trunk, rows=len(lengths), capacity=capacity)
            for row, length in enumerate(lengths):
                if length > base:
                    self._branches.copy_from_trunk(row, base, length)
        self._trunk.truncate(base)

    @torch.inference_mode()
    def decode(self, tokens: Sequence[int]) -> Tensor:
        """Append one token to every lane: logits (lanes, vocab) of the token after it."""
        return self.decode_several([[token] for token in tokens])

    @torch.inference_mode()
    def decode_several(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Append `tokens[i]`, one or more, to lane i: logits (n, vocab) of the token after each, lane after lane."""
        return decode_together([(self, tokens)])

    @property
    def room_ahead(self) -> int:
        """Tokens that the one lane can take on by itself; 0 where it cannot, or there are several."""
        if self._branches is not None or not isinstance(self._network.step, AheadStep):
            return 0
        return self.window - len(self._trunk.ids)

    @torch.inference_mode()
    def run_ahead(self, token: int, draw: DeviceDraw, chances: Tensor) -> Ahead:
        """Let the one lane go on by itself from `token`, a draw for each of `chances` (n,) float64, of which there is `room_ahead`.

        The lane holds what was read up to the last result asked for, and nothing after it.
        """
        step = self._network.step
        assert isinstance(step, AheadStep)  # noqa: S101 - `room_ahead` says so
        return Ahead(step, self._trunk, token, draw, chances)

    def length(self, lane: int) -> int:
        """Tokens of `lane` in the cache, prompt included."""
        own = self._branches.ids[lane] if self._branches is not None else ()
        return len(self._trunk.ids) + len(own)

    @torch.inference_mode()
    def drop(self, lane: int, count: int) -> None:
        """Forget the last `count` tokens of `lane`, of which it has more."""
        if self._branches is None:
            self._trunk.truncate(len(self._trunk.ids) - count)
        elif count <= len(self._branches.ids[lane]):
            self._branches.rewind(lane, len(self._branches.ids[lane]) - count)
        else:
            self.replace(lane, self._sequences()[lane][:-count])

    @torch.inference_mode()
    def replace(self, lane: int, ids: Sequence[int]) -> None:
        """`lane` holds `ids` from now on, and the others what they did."""
        sequences = self._sequences()
        sequences[lane] = list(ids)
        self._hold(sequences)

    @torch.inference_mode()
    def retire(self, lane: int) -> None:
        """Decode `lane` no more; the last lane takes its number."""
        if self._branches is not None:
            self._branches.retire(lane)

    @torch.inference_mode()
    def slide(self, fixed: int, block: int, cancelled: Callable[[], bool] = never) -> None:
        """Make room: every lane loses `block` tokens (or half of what it has) after its first `fixed` ones.

        Positions are learned, so what stood behind them is read again.

        Raises:
            Interrupted: `cancelled` said so; the lanes are lost.
        """
        sequences = [without_block(ids, fixed, block, self.window) for ids in self._sequences()]
        self._hold(sequences, cancelled)

    # What searches ask besides

    @torch.inference_mode()
    def prefill(self, ids: Sequence[int], lanes: int, *, keep_hidden: bool = False) -> Tensor:  # noqa: ARG002 - hidden states are always kept
        """Show `ids` and begin `lanes` lanes: logits (vocab,) of the token after `ids`."""
        self.show(ids)
        self._prompt = len(ids)
        self.split([len(ids)] * lanes, room=1)
        return self.logits_after(len(ids), len(ids))[0]

    @torch.inference_mode()
    def reorder(self, parents: Sequence[int]) -> None:
        """Lane i becomes a copy of what lane `parents[i]` was."""
        if self._branches is not None:
            self._branches.reorder(parents)

    def hidden(self) -> Tensor:
        """(lanes, d) float32: hidden states after the final norm of the tokens of the last `decode`.

        Raises:
            ValueError: nothing was decoded yet.
        """
        if self._last is None:
            raise ValueError("nothing was decoded yet")
        return self._last.float()

    def prompt_hidden(self) -> Tensor:
        """(positions, d) float32: the same for the prompt of the last `prefill`."""
        return self._trunk.hidden[: self._prompt].float()

    def _threads_for(self, rows: int) -> AbstractContextManager[None]:
        step = self._network.step
        compiled = step is not None and rows <= step.worthwhile  # it has threads of its own
        return one_thread() if compiled or (self._alone and rows <= _FEW) else all_threads()

    def _extend(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        self._last = (
            self._trunk.extend(tokens[0]) if self._branches is None else self._branches.extend(tokens)
        )
        return self._last

    def _part(self, tokens: Sequence[Sequence[int]]) -> Part | None:
        return self._trunk.part(tokens[0]) if self._branches is None else self._branches.part(tokens)

    def _take_in(self, tokens: Sequence[Sequence[int]], hidden: Tensor) -> None:
        self._last = hidden
        if self._branches is None:
            self._trunk.take_in(tokens[0], hidden)
        else:
            self._branches.take_in(tokens, hidden)

    def _sequences(self) -> list[list[int]]:
        """What every lane holds, prompt included."""
        if self._branches is None:
            return [list(self._trunk.ids)]
        return [[*self._trunk.ids, *own] for own in self._branches.ids[: self._branches.active]]

    def _hold(self, sequences: list[list[int]], cancelled: Callable[[], bool] = never) -> None:
        """Make the lanes hold `sequences`, which share a beginning or not, reading what the cache does not hold."""
        if self._branches is None:
            self.show(sequences[0], cancelled)
            return
        shared = min(same_beginning(sequences[0], other) for other in sequences)
        self._branches = None
        self.show(sequences[0][:shared], cancelled)
        longest = max(map(len, sequences))
        self._branches = Branches(
            self._network, self._trunk, rows=len(sequences), capacity=longest - shared + 1
        )
        # Tokens of each lane at once: together no more than of one, so that a cancellation waits no longer.
        chunk = max(1, self._chunk // len(sequences))
        for start in range(shared, longest, chunk):
            if cancelled():
                raise Interrupted
            with self._threads_for(chunk * len(sequences)):
                self._branches.extend([ids[start : start + chunk] for ids in sequences])

    def _fold(self, ids: Sequence[int]) -> None:
        """Let the lane that `ids` continue furthest become part of the trunk, and forget the others."""
        branches, base = self._branches, len(self._trunk.ids)
        self._branches = None
        if branches is None or same_beginning(self._trunk.ids, ids) < base:
            return
        common = [same_beginning(row, ids[base:]) for row in branches.ids]
        best = max(range(len(common)), key=common.__getitem__)
        branches.copy_to_trunk(best, common[best])


@torch.inference_mode()
def decode_together(given: Sequence[tuple[Lanes, Sequence[Sequence[int]]]]) -> Tensor:
    """`Lanes.decode_several` for each of `given`, whose networks are one model with different adapters.

    Where the network's step can join them, its weights are read once for all.

    Returns:
        logits (n, vocab), float32, one `Lanes` after another.
    """
    first = given[0][0]
    rows = sum(len(tokens) for _, several in given for tokens in several)
    with first._threads_for(rows):
        hidden = _joined(given, rows) or [lanes._extend(several) for lanes, several in given]
        return first.network.logits(torch.cat(hidden))


def _joined(given: Sequence[tuple[Lanes, Sequence[Sequence[int]]]], rows: int) -> list[Tensor] | None:
    """The hidden states (n, d) of each of `given`; None where one call is not better than several."""
    step = given[0][0].network.step
    if len(given) == 1 or step is None or rows > step.worthwhile:
        return None
    parts = [part for lanes, several in given if (part := lanes._part(several)) is not None]
    if len(parts) < len(given):
        return None
    hidden = read(parts)
    for (lanes, several), states in zip(given, hidden, strict=True):
        lanes._take_in(several, states)
    return hidden


def without_block(ids: Sequence[int], fixed: int, block: int, window: int) -> list[int]:
    """`ids` less `block` tokens (at most half of them) after the first `fixed`, again and again until there is room.

    There is room when one more fits in `window`.
    """
    kept = list(ids)
    while True:
        drop = max(1, min(block, (len(kept) - fixed) // 2))
        del kept[fixed : fixed + drop]
        if len(kept) < window:
            return kept
