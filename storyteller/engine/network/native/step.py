"""A network's `FusedStep` on the processor: one call into the compiled library for some rows."""

from __future__ import annotations

import ctypes
from ctypes import byref
from typing import TYPE_CHECKING, Final, cast

import torch

from storyteller.engine.network.linear import TANH_GELUS, AdaptedLinear, DenseLinear, PackedLinear
from storyteller.engine.network.native.library import Cache, Layer, LowRank, Model, Norm, Token
from storyteller.engine.network.native.weights import NativeLinear, NativeWeight, float_weight
from storyteller.engine.network.tiles import LANES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from storyteller.engine.network import model, step
    from storyteller.engine.network.linear import Linear
    from storyteller.engine.network.native.engine import NativeEngine

_FLOATS: Final = (torch.float32, torch.bfloat16)
# Rows up to which the step is faster than the operators: always for weights in few bits, so that a row is the same
# bit for bit whatever is read with it; for floats until arithmetic counts more than memory, where oneDNN is better.
_WORTHWHILE: Final = {"few bits": 1 << 20, "floats": 16}


class NativeStep:
    """One network's compiled step. Keeps alive every tensor its structures point to."""

    keys_by_position = True

    def __init__(
        self, engine: NativeEngine, network: model.Network, weights: dict[int, NativeWeight]
    ) -> None:
        """Use `native_step`, which knows which networks have one.

        `weights` are what the library reads of each `Linear`, by its id; a network's adapted forms share them.
        """
        self._engine = engine
        self._weights = weights
        self._kept: list[Tensor] = []
        self.most_rows = engine.library.most_rows
        few_bits = isinstance(_base(network.blocks[0].attention_in), NativeLinear)
        self.worthwhile = _WORTHWHILE["few bits" if few_bits else "floats"]
        config = network.config
        self._d = config.n_embd
        self._head = weights[id(network.head)]
        self._layers = (Layer * config.n_layer)(*(self._layer(block) for block in network.blocks))
        scales = torch.tensor([config.attention_scale(layer) for layer in range(config.n_layer)])
        self._model = Model(
            layers=self._layers,
            scales=self._pointer(scales),
            token_embedding=self._pointer(network.token_embedding),
            position_embedding=self._pointer(network.position_embedding),
            norm=self._norm(network.norm),
            epsilon=config.layer_norm_epsilon,
            layer_count=config.n_layer,
            heads=config.n_head,
            width=config.head_dim,
            inner=config.inner,
            half=network.dtype == torch.bfloat16,
        )
        self._low_rank = self._low_ranks(network)

    def for_network(self, network: model.Network) -> NativeStep | None:
        """The same for `network`, which has other adapters beside the same weights; None where a rank is too large."""
        fits = all(
            _rank(part) <= self._engine.library.most_rank
            for block in network.blocks
            for part in _parts(block)
        )
        return NativeStep(self._engine, network, self._weights) if fits else None

    def __call__(self, rows: step.Rows, trunk: step.Cache, branches: step.Cache | None) -> Tensor:
        """Read `rows`, at most `most_rows`: (n, d) hidden states, float32."""
        return self._read([(self, rows, trunk, branches)])

    def joins(self, other: step.FusedStep) -> bool:
        """Whether `other` has the same weights, with the same adapters or others beside them."""
        return isinstance(other, NativeStep) and other._weights is self._weights

    def joined(self, parts: Sequence[step.Part]) -> Tensor:
        """Read the rows of all `parts`, at most `most_rows`, for whose steps `joins`: (n, d), part after part."""
        return self._read(
            [(cast("NativeStep", part.step), part.rows, part.trunk, part.branches) for part in parts]
        )

    def _read(self, parts: Sequence[tuple[NativeStep, step.Rows, step.Cache, step.Cache | None]]) -> Tensor:
        adapters: dict[NativeStep, int] = {}  # to their numbers in the table
        for own, _, _, _ in parts:
            if own._low_rank is not None:
                adapters.setdefault(own, len(adapters))
        count = sum(len(rows) for _, rows, _, _ in parts)
        tokens = (Token * count)(
            *(
                Token(token, position, number, seen, branch, length, adapters.get(own, -1))
                for number, (own, rows, _, _) in enumerate(parts)
                for token, position, seen, branch, length in rows
            )
        )
        trunks = (Cache * len(parts))(*(_cache(trunk) for _, _, trunk, _ in parts))
        branches = (Cache * len(parts))(
            *(Cache() if cache is None else _cache(cache) for _, _, _, cache in parts)
        )
        hidden = torch.empty(count, self._d)
        self._engine.library.step(
            self._engine.handle, byref(self._model), _table(list(adapters)), trunks, branches, tokens, count,
            hidden.data_ptr(),
        )  # fmt: skip
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Rows (n, d) to float32 logits (n, vocab)."""
        out = torch.empty(len(hidden), self._head.description.outputs)
        return self._engine.product(self._head.description, hidden.float().contiguous(), out)

    def _layer(self, block: model.Block) -> Layer:
        attention_in, attention_out, mlp_in, mlp_out = (
            self._weights[id(_base(part))].description for part in _parts(block)
        )
        return Layer(
            self._norm(block.norm_1), self._norm(block.norm_2), attention_in, attention_out, mlp_in, mlp_out
        )

    def _low_ranks(self, network: model.Network) -> ctypes.Array[LowRank] | None:
        """The low-rank products, layer by layer and part by part; ranks and outputs padded to whole vectors."""
        parts = [part for block in network.blocks for part in _parts(block)]
        if not any(map(_rank, parts)):
            return None
        table = (LowRank * len(parts))()
        for i, part in enumerate(parts):
            if isinstance(part, AdaptedLinear):
                padding = -part.down.shape[1] % LANES
                down = _padded(part.down, padding, 0)
                up = _padded(part.up, -part.up.shape[1] % LANES, padding)
                up = up.view(len(up), -1, LANES).transpose(0, 1)  # (tiles, rank, LANES)
                table[i] = LowRank(self._pointer(down), self._pointer(up), down.shape[1])
        return table

    def _norm(self, norm: model.Norm) -> Norm:
        return Norm(self._pointer(norm.weight.float()), self._pointer(norm.bias.float()))

    def _pointer(self, tensor: Tensor) -> int:
        self._kept.append(tensor.contiguous())
        return self._kept[-1].data_ptr()


def _padded(tensor: Tensor, columns: int, rows: int) -> Tensor:
    """`tensor` with zeros to its right and below; the same one where there are none: `pad` copies even then."""
    return torch.nn.functional.pad(tensor, (0, columns, 0, rows)) if columns or rows else tensor


def native_step(engine: NativeEngine, network: model.Network) -> NativeStep | None:
    """The compiled step of `network`, which has no adapters; None where its shape or its activation is not compiled."""
    config = network.config
    if config.activation_function not in TANH_GELUS or config.reorder_and_upcast_attn:
        return None
    if network.dtype not in _FLOATS or network.device.type != "cpu":
        return None
    weights: dict[int, NativeWeight] = {}
    for part in (network.head, *(part for block in network.blocks for part in _parts(block))):
        if isinstance(part, NativeLinear):
            weights[id(part)] = part.weight
        elif isinstance(part, DenseLinear) and not isinstance(part, PackedLinear):
            weights[id(part)] = float_weight(part.weight, part.bias)
        else:
            return None
    return NativeStep(engine, network, weights)


def _table(steps: Sequence[NativeStep]) -> ctypes.Array[LowRank] | None:
    """The low-rank products of `steps`, one after another: a few microseconds for four of 36 layers."""
    tables = [step._low_rank for step in steps if step._low_rank is not None]
    if len(tables) <= 1:
        return tables[0] if tables else None
    joined = (LowRank * sum(map(len, tables)))()
    place = ctypes.addressof(joined)
    for table in tables:
        ctypes.memmove(place, table, ctypes.sizeof(table))
        place += ctypes.sizeof(table)
    return joined


def _parts(block: model.Block) -> tuple[Linear, Linear, Linear, Linear]:
    return block.attention_in, block.attention_out, block.mlp_in, block.mlp_out


def _base(part: Linear) -> Linear:
    return part.base if isinstance(part, AdaptedLinear) else part


def _rank(part: Linear) -> int:
    return part.down.shape[1] if isinstance(part, AdaptedLinear) else 0


def _cache(cache: step.Cache) -> Cache:
    rows = cache.values.shape[1] if cache.values.dim() == 5 else 1
    return Cache(cache.keys.data_ptr(), cache.values.data_ptr(), rows, cache.capacity)
