"""Keys and values of what the model has read: a trunk that all takes share, and a branch for each take.

Keys are kept transposed, (heads, head_dim, positions): one query against them is then a product that reads
memory in order (4.4 ms a token against 9.3 ms for torch's attention, gpt2-large in bfloat16 at 256 tokens).
Takes decoded together read the trunk once, as the rows of one product, and only their branches each.
Few rows go through the network's compiled step where it has one; the operators here are for all others.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.step import Part, Rows, new_cache, read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from storyteller.engine.network.model import Network
    from storyteller.engine.network.step import Cache

_ROUND: Final = 64  # positions: branches grow in these steps


class Trunk:
    """One sequence: its ids, and for each of them keys, values and the hidden state after the final norm."""

    def __init__(self, network: Network) -> None:
        config = network.config
        self._network = network
        self._scales = [config.attention_scale(layer) for layer in range(config.n_layer)]
        self.ids: list[int] = []
        self.cache = _room(network, config.n_positions)
        self.keys, self.values = self.cache.keys.unbind(), self.cache.values.unbind()
        self.hidden = network.position_embedding.new_empty(
            config.n_positions, config.n_embd, dtype=torch.float32
        )

    def extend(self, ids: Sequence[int]) -> Tensor:
        """Read `ids` after what is here: their hidden states (n, d).

        Raises:
            IndexError: the window has no room for them.
        """
        part = self.part(ids)
        hidden = self._extend_by_operators(ids) if part is None else read([part])[0]
        self.take_in(ids, hidden)
        return hidden

    def part(self, ids: Sequence[int]) -> Part | None:
        """What the network's step reads for `extend`; None where the operators do.

        Raises:
            IndexError: the window has no room for them.
        """
        start, step = len(self.ids), self._network.step
        if start + len(ids) > len(self.hidden):
            raise IndexError(f"{start + len(ids)} tokens in a window of {len(self.hidden)}")
        if step is None or len(ids) > step.worthwhile:
            return None
        return Part(step, Rows.of_trunk(ids, start), self.cache, None)

    def take_in(self, ids: Sequence[int], hidden: Tensor) -> None:
        """`ids` were read, with these hidden states (n, d)."""
        start = len(self.ids)
        self.hidden[start : start + len(ids)] = hidden
        self.ids.extend(ids)

    def _extend_by_operators(self, ids: Sequence[int]) -> Tensor:
        start, end = len(self.ids), len(self.ids) + len(ids)
        device = self.hidden.device
        x = self._network.embed(torch.tensor(ids, device=device), torch.arange(start, end, device=device))
        mask = _causal_mask(len(ids), end, x) if len(ids) > 1 else None
        upcast = self._network.config.reorder_and_upcast_attn

        def attend(layer: int, qkv: Tensor) -> Tensor:
            keys, values = self.keys[layer], self.values[layer]
            heads, width, _ = keys.shape
            q, k, v = qkv.view(-1, 3, heads, width).permute(1, 2, 0, 3)  # each (heads, n, width)
            keys[:, :, start:end] = k.transpose(1, 2)
            values[:, start:end] = v
            scores = _scores(q, keys[:, :, :end], self._scales[layer], mask, upcast=upcast)
            weights = scores.softmax(-1).to(values.dtype)  # (heads, n, end)
            gathered = torch.bmm(weights, values[:, :end])  # (heads, n, width)
            return gathered.transpose(0, 1).reshape(len(qkv), heads * width)

        return self._network.forward(x, attend)

    def truncate(self, length: int) -> None:
        """Forget everything after the first `length` ids."""
        del self.ids[length:]

    def restart(self, network: Network) -> None:
        """Forget everything and go on with another `network` of the same shape."""
        if _by_position(network) != _by_position(self._network):
            self.cache = _room(network, network.config.n_positions)
            self.keys, self.values = self.cache.keys.unbind(), self.cache.values.unbind()
        self._network = network
        self.ids.clear()


class Branches:
    """What each take has read since the trunk. The first `active` rows are decoded; the others are kept for reuse.

    Attributes:
        ids: each row's tokens; those of a row not active stay as they were when it was retired.
    """

    def __init__(self, network: Network, trunk: Trunk, *, rows: int, capacity: int) -> None:
        config = network.config
        self._network = network
        self._trunk = trunk
        self._scales = [config.attention_scale(layer) for layer in range(config.n_layer)]
        self.ids: list[list[int]] = [[] for _ in range(rows)]
        self.active = rows
        self._capacity = 0
        self._cache = _room(network, 0, rows=rows)
        self._keys: tuple[Tensor, ...] = ()  # a layer: (rows, heads, width, capacity)
        self._values: tuple[Tensor, ...] = ()  # a layer: (rows, heads, capacity, width)
        self._hidden = trunk.hidden.new_empty(rows, 0, config.n_embd)
        self._reserve(max(1, capacity))

    def copy_from_trunk(self, row: int, start: int, end: int) -> None:
        """Give `row`, which is empty, the trunk's tokens from `start` to `end`."""
        count = end - start
        self._reserve(count)
        for layer, (keys, values) in enumerate(zip(self._trunk.keys, self._trunk.values, strict=True)):
            self._keys[layer][row, :, :, :count] = keys[:, :, start:end]
            self._values[layer][row, :, :count] = values[:, start:end]
        self._hidden[row, :count] = self._trunk.hidden[start:end]
        self.ids[row] = self._trunk.ids[start:end]

    def copy_to_trunk(self, row: int, count: int) -> None:
        """Append the first `count` tokens of `row` to the trunk."""
        start = len(self._trunk.ids)
        end = start + count
        for layer, (keys, values) in enumerate(zip(self._trunk.keys, self._trunk.values, strict=True)):
            keys[:, :, start:end] = self._keys[layer][row, :, :, :count]
            values[:, start:end] = self._values[layer][row, :, :count]
        self._trunk.hidden[start:end] = self._hidden[row, :count]
        self._trunk.ids.extend(self.ids[row][:count])

    def extend(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Read `tokens` of each active row, which may differ in number: the hidden state of each, row after row, (n, d)."""
        part = self.part(tokens)
        hidden = self._extend_by_operators(tokens) if part is None else read([part])[0]
        self.take_in(tokens, hidden)
        return hidden

    def part(self, tokens: Sequence[Sequence[int]]) -> Part | None:
        """What the network's step reads for `extend`, a row for every token; None where the operators do. Makes room."""
        starts = [len(ids) for ids in self.ids[: self.active]]
        self._reserve(max(starts) + max(map(len, tokens)))
        step, base = self._network.step, len(self._trunk.ids)
        if step is None or sum(map(len, tokens)) > step.worthwhile:
            return None
        own = [start + i + 1 for start, given in zip(starts, tokens, strict=True) for i in range(len(given))]
        rows = Rows(
            tokens=tuple(token for given in tokens for token in given),
            positions=tuple(base + length - 1 for length in own),
            seen=(base,) * len(own),
            branch=tuple(row for row, given in enumerate(tokens) for _ in given),
            own=tuple(own),
        )
        return Part(step, rows, self._trunk.cache, self._cache)

    def take_in(self, tokens: Sequence[Sequence[int]], hidden: Tensor) -> None:
        """`tokens` of each active row were read, with these hidden states (n, d), row after row."""
        ends = accumulate(map(len, tokens))
        for row, (given, end) in enumerate(zip(tokens, ends, strict=True)):
            start = len(self.ids[row])
            self._hidden[row, start : start + len(given)] = hidden[end - len(given) : end]
            self.ids[row].extend(given)

    def _extend_by_operators(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        most = max(map(len, tokens))
        starts = [len(ids) for ids in self.ids[: self.active]]
        device, base = self._hidden.device, len(self._trunk.ids)
        last_position = len(self._trunk.hidden) - 1
        padded = [[*given, *[0] * (most - len(given))] for given in tokens]
        places = [[min(base + start + i, last_position) for i in range(most)] for start in starts]
        x = self._network.embed(
            torch.tensor(padded, device=device).flatten(), torch.tensor(places, device=device).flatten()
        )
        hidden = self._network.forward(x, self._attention(starts, most))  # (active * most, d)
        if len(hidden) == sum(map(len, tokens)):
            return hidden
        real = [row * most + i for row, given in enumerate(tokens) for i in range(len(given))]
        return hidden[torch.tensor(real, device=device)]

    def rewind(self, row: int, length: int) -> None:
        """Forget everything of `row` after its first `length` tokens."""
        del self.ids[row][length:]

    def retire(self, row: int) -> None:
        """Stop decoding `row`: it changes places with the last active one, and is kept."""
        last = self.active - 1
        if row != last:
            pair, swapped = [row, last], [last, row]
            for tensor in (*self._keys, *self._values, self._hidden):
                tensor[pair] = tensor[swapped]
            self.ids[row], self.ids[last] = self.ids[last], self.ids[row]
        self.active = last

    def reorder(self, parents: Sequence[int]) -> None:
        """Row i becomes a copy of what row `parents[i]` was; all rows are active."""
        used = max(map(len, self.ids), default=0)
        chosen = torch.tensor(parents, device=self._hidden.device)
        for keys, values in zip(self._keys, self._values, strict=True):
            keys[..., :used] = keys[chosen, :, :, :used]
            values[:, :, :used] = values[chosen, :, :used]
        self._hidden[:, :used] = self._hidden[chosen, :used]
        self.ids = [list(self.ids[parent]) for parent in parents]

    def _attention(self, starts: list[int], most: int) -> Callable[[int, Tensor], Tensor]:
        """Each row's queries against the trunk, which all share, and against its own keys.

        Rows that begin at different lengths are masked beyond their own.
        """
        rows, base, end = self.active, len(self._trunk.ids), max(starts) + most
        even = len(set(starts)) == 1
        mask = (
            None if even and most == 1 else _row_mask(starts, most, end, self._cache.values)
        )  # (rows, 1, most, end)
        upcast = self._network.config.reorder_and_upcast_attn

        def attend(layer: int, qkv: Tensor) -> Tensor:
            keys, values = self._keys[layer][:rows], self._values[layer][:rows]
            shared_keys, shared_values = self._trunk.keys[layer], self._trunk.values[layer]
            heads, width, _ = shared_keys.shape
            q, k, v = qkv.view(rows, most, 3, heads, width).permute(
                2, 0, 3, 1, 4
            )  # (rows, heads, most, width)
            _write_rows(keys, values, k, v, starts, most, even=even)

            own_mask = None if mask is None else mask.expand(rows, heads, most, end).flatten(0, 1)
            own_keys = keys[..., :end].flatten(0, 1)  # (rows * heads, width, end)
            own = _scores(q.flatten(0, 1), own_keys, self._scales[layer], own_mask, upcast=upcast)
            own = own.view(rows, heads, most, end).transpose(0, 1).reshape(heads, rows * most, end)
            together = q.transpose(0, 1).reshape(heads, rows * most, width)
            shared = _scores(together, shared_keys[:, :, :base], self._scales[layer], None, upcast=upcast)
            weights = (
                torch.cat((shared, own), -1).softmax(-1).to(values.dtype)
            )  # (heads, rows * most, base + end)

            own = weights[..., base:].view(heads, rows, most, end).transpose(0, 1).flatten(0, 1)
            gathered = torch.bmm(own, values[:, :, :end].flatten(0, 1))  # (rows * heads, most, width)
            gathered = (
                gathered.view(rows, heads, most, width).transpose(0, 1).reshape(heads, rows * most, width)
            )
            gathered = gathered + torch.bmm(weights[..., :base], shared_values[:, :base])
            return gathered.transpose(0, 1).reshape(rows * most, heads * width)

        return attend

    def _reserve(self, capacity: int) -> None:
        """Room for `capacity` tokens a row; what is there stays."""
        if capacity <= self._capacity:
            return
        grown = -(-max(capacity, self._capacity * 3 // 2) // _ROUND) * _ROUND
        cache = _room(self._network, grown, rows=len(self.ids))
        cache.keys[..., : self._capacity] = self._cache.keys
        cache.values[..., : self._capacity, :] = self._cache.values
        hidden = self._hidden.new_empty(len(self.ids), grown, self._hidden.shape[-1])
        hidden[:, : self._capacity] = self._hidden
        self._cache, self._keys, self._values = cache, cache.keys.unbind(), cache.values.unbind()
        self._hidden, self._capacity = hidden, grown


def _room(network: Network, capacity: int, *, rows: int | None = None) -> Cache:
    """A cache for `network`, laid out as its step wants it."""
    return new_cache(
        network.config,
        capacity,
        rows=rows,
        dtype=network.dtype,
        device=network.device,
        by_position=_by_position(network),
    )


def _by_position(network: Network) -> bool:
    return network.step is not None and network.step.keys_by_position


def _scores(q: Tensor, keys: Tensor, scale: float, mask: Tensor | None, *, upcast: bool) -> Tensor:
    """Queries (b, t, width) against keys (b, width, n): (b, t, n), scaled; `mask` is added, (t, n) or (b, t, n)."""
    if upcast:
        q, keys = q.float(), keys.float()
    if mask is None:
        return torch.baddbmm(q.new_empty(1, 1, 1), q, keys, beta=0, alpha=scale)
    return torch.baddbmm(mask.to(q.dtype), q, keys, alpha=scale)


def _write_rows(
    keys: Tensor, values: Tensor, k: Tensor, v: Tensor, starts: list[int], most: int, *, even: bool
) -> None:
    """Put new `k` and `v` (rows, heads, most, width) where each row's tokens end."""
    if even:
        end = starts[0] + most
        keys[..., starts[0] : end] = k.transpose(2, 3)
        values[:, :, starts[0] : end] = v
        return
    for row, start in enumerate(starts):
        keys[row, :, :, start : start + most] = k[row].transpose(1, 2)
        values[row, :, start : start + most] = v[row]


def _causal_mask(count: int, end: int, like: Tensor) -> Tensor:
    """(count, end): 0 where one of the last `count` of `end` positions may look, -inf after it."""
    mask = torch.full((count, end), -torch.inf, dtype=like.dtype, device=like.device)
    return mask.triu_(end - count + 1)


def _row_mask(starts: list[int], most: int, end: int, like: Tensor) -> Tensor:
    """(rows, 1, most, end): the same for rows whose new tokens begin at `starts`."""
    last_seen = torch.tensor(starts, device=like.device)[:, None] + torch.arange(most, device=like.device)
    hidden = torch.arange(end, device=like.device) > last_seen[..., None]  # (rows, most, end)
    return like.new_zeros(hidden.shape).masked_fill_(hidden, -torch.inf)[:, None]
