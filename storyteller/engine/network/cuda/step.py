"""A network's `FusedStep` on a GPU: the kernels of a step captured as one CUDA graph, launched as one.

Eager transformers launches some 300 kernels a token and waits for the launches; here lengths, positions and tokens are
read from the device's memory, so that one graph serves every token.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.cuda import kernels
from storyteller.engine.network.cuda.ahead import CudaAhead
from storyteller.engine.network.linear import TANH_GELUS, DenseLinear

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network import model, step
    from storyteller.engine.network.linear import Linear

_MOST_ROWS: Final = 8
_PART: Final = 128  # positions that one program attends to
_GRAPHS: Final = 8  # kept; one for each number of rows and pair of caches
_WARPS: Final = 8


def _power(size: int) -> int:
    """The next power of two."""
    return 1 << (size - 1).bit_length()


class CudaStep:
    """One network's step on its GPU. `graphs` off, kernels are launched one by one (for tests, without a GPU)."""

    keys_by_position = True
    most_rows = _MOST_ROWS
    worthwhile = _MOST_ROWS

    def __init__(self, network: model.Network, *, graphs: bool = True, overlapping: bool = True) -> None:
        """Use `cuda_step`, which knows which networks have one."""
        self._network = network
        self._graphs_wanted = graphs
        self._overlapping = overlapping
        self._options = {"num_warps": _WARPS} | ({"launch_pdl": True} if overlapping else {})
        config = network.config
        device = network.device
        self.d, self.inner, self.vocab_size = config.n_embd, config.inner, config.vocab_size
        self._scales = [config.attention_scale(layer) for layer in range(config.n_layer)]

        def room(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(*shape, dtype=dtype, device=device)

        self._stream, self._mixed = room(_MOST_ROWS, self.d), room(_MOST_ROWS, 3 * self.d)
        self._gathered, self._widened = room(_MOST_ROWS, self.d), room(_MOST_ROWS, self.inner)
        self.hidden = room(_MOST_ROWS, self.d)
        self._arrived = room(_MOST_ROWS, config.n_head, dtype=torch.int32)
        self._partial = room(0)
        self._rows = {count: room(5, count, dtype=torch.int32) for count in range(1, _MOST_ROWS + 1)}
        self._logits = room(_MOST_ROWS, config.vocab_size)
        self._captured: dict[tuple[int, ...], torch.cuda.CUDAGraph] = {}
        self._ahead: tuple[Trunk, CudaAhead] | None = None

    def ahead(self, trunk: Trunk) -> CudaAhead:
        """What writes on after `trunk` without leaving the device."""
        if self._ahead is None or self._ahead[0] is not trunk:
            self._ahead = trunk, CudaAhead(self, trunk)
        return self._ahead[1]

    def for_network(self, network: model.Network) -> CudaStep | None:
        """Adapters beside the weights: by the operators."""
        return cuda_step(network) if network.step is None and _is_plain(network) else None

    def __call__(self, rows: step.Rows, trunk: step.Cache, branches: step.Cache | None) -> Tensor:
        """Read `rows`, at most `most_rows`: (n, d) hidden states, float32."""
        count = len(rows)
        given = torch.tensor(
            [rows.tokens, rows.positions, rows.seen, rows.branch, rows.own], dtype=torch.int32
        )
        self.rows(count).copy_(given, non_blocking=True)
        self.replay(count, trunk, branches)
        return self.hidden[:count].clone()

    def rows(self, count: int) -> Tensor:
        """(5, count) int32 on the device: tokens, positions, seen, branch and own of the rows that `replay` reads."""
        return self._rows[count]

    def replay(self, count: int, trunk: step.Cache, branches: step.Cache | None) -> Tensor:
        """Read the `count` rows that `rows` holds: (count, d) hidden states, overwritten by the next."""
        if not self._graphs_wanted:
            self.launch(count, trunk, branches)
            return self.hidden[:count]
        key = (count, trunk.keys.data_ptr(), 0 if branches is None else branches.keys.data_ptr())
        if key not in self._captured:
            while len(self._captured) >= _GRAPHS:
                del self._captured[next(iter(self._captured))]
            self._captured[key] = self._capture(count, trunk, branches)
        self._captured[key].replay()
        return self.hidden[:count]

    def logits(self, hidden: Tensor) -> Tensor:
        """Rows (n, d) to float32 logits (n, vocab)."""
        return self.read_out(hidden.float().contiguous(), len(hidden)).clone()

    def read_out(self, hidden: Tensor, count: int) -> Tensor:
        """(count, vocab) logits of `hidden` (count, d) float32 contiguous, overwritten by the next."""
        out = self._logits[:count]
        self._product(count, hidden, _dense(self._network.head), out=out)
        return out

    def launch(self, count: int, trunk: step.Cache, branches: step.Cache | None) -> None:
        """The kernels of one step, in order."""
        network, config = self._network, self._network.config
        epsilon, rows = config.layer_norm_epsilon, self._rows[count]
        kernels.embed_kernel[(count,)](
            rows[0], rows[1], network.token_embedding, network.position_embedding, self._stream,
            INPUTS=self.d, PADDED=_power(self.d), PDL=self._overlapping, **self._options,
        )  # fmt: skip
        for layer, block in enumerate(network.blocks):
            qkv, out, widen, narrow = (
                _dense(part)
                for part in (block.attention_in, block.attention_out, block.mlp_in, block.mlp_out)
            )
            caches = (trunk, branches or trunk)
            self._product(
                count, self._stream, qkv, norm=block.norm_1, out=self._mixed, caches=caches, layer=layer
            )
            self._attend(count, layer, trunk, branches)
            self._product(count, self._gathered, out, added=True)
            self._product(count, self._stream, widen, norm=block.norm_2, out=self._widened, gelu=True)
            self._product(count, self._widened, narrow, added=True)
        kernels.norm_kernel[(count,)](
            self._stream, network.norm.weight, network.norm.bias, self.hidden, epsilon,
            INPUTS=self.d, PADDED=_power(self.d), PDL=self._overlapping, **self._options,
        )  # fmt: skip

    def _capture(self, count: int, trunk: step.Cache, branches: step.Cache | None) -> torch.cuda.CUDAGraph:
        self.make_room(trunk, branches)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call] # torch's own
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.launch(count, trunk, branches)  # kernels are compiled at their first launch
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.launch(count, trunk, branches)
        return graph

    def make_room(self, trunk: step.Cache, branches: step.Cache | None) -> int:
        """Room for the partial sums of attention; returns how many parts there are."""
        parts = -(-trunk.capacity // _PART) + (-(-branches.capacity // _PART) if branches is not None else 0)
        config = self._network.config
        needed = _MOST_ROWS * config.n_head * parts * (config.head_dim + 2)
        if self._partial.numel() < needed:
            self._captured.clear()  # they know the old address
            self._partial = self._stream.new_zeros(needed)
        return parts

    def _attend(self, count: int, layer: int, trunk: step.Cache, branches: step.Cache | None) -> None:
        config = self._network.config
        parts, own = self.make_room(trunk, branches), branches or trunk
        kernels.attention_kernel[(config.n_head, count, parts)](
            self._mixed, self._gathered, self._partial, self._arrived, trunk.keys, trunk.values, own.keys, own.values,
            self._rows[count], self._scales[layer], layer, config.n_head, trunk.capacity,
            own.values.shape[1] if own.values.dim() == 5 else 1, own.capacity, -(-trunk.capacity // _PART),
            ROWS=count, WIDTH=config.head_dim, PART=_PART, PARTS=parts, PARTS_PADDED=_power(parts),
            PDL=self._overlapping, **(self._options | {"num_warps": 4}),
        )  # fmt: skip

    def _product(
        self,
        count: int,
        x: Tensor,
        weight: DenseLinear,
        *,
        norm: model.Norm | None = None,
        out: Tensor | None = None,
        added: bool = False,
        gelu: bool = False,
        caches: tuple[step.Cache, step.Cache] | None = None,
        layer: int = 0,
    ) -> None:
        outputs, inputs = weight.weight.shape
        block = 4 if inputs > 2048 or outputs <= 2048 else 8
        none = self._stream
        trunk, own = caches or (None, None)
        config = self._network.config
        kernels.product_kernel[(-(-outputs // block),)](
            x, weight.weight, none if weight.bias is None else weight.bias,
            none if norm is None else norm.weight, none if norm is None else norm.bias,
            none if out is None else out, self._stream,
            none if trunk is None else trunk.keys, none if trunk is None else trunk.values,
            none if own is None else own.keys, none if own is None else own.values, self._rows[count],
            config.layer_norm_epsilon, outputs, layer, config.n_head,
            0 if trunk is None else trunk.capacity,
            own.values.shape[1] if own is not None and own.values.dim() == 5 else 1,
            0 if own is None else own.capacity,
            INPUTS=inputs, PADDED=_power(inputs), ROWS=count, BLOCK=block, WIDTH=config.head_dim,
            NORM=norm is not None, GELU=gelu, ADD=added, CACHE=caches is not None, BIAS=weight.bias is not None,
            PDL=self._overlapping, **self._options,
        )  # fmt: skip


def cuda_step(network: model.Network) -> CudaStep | None:
    """The step of `network`, which is on a GPU; None where its shape or its activation has no kernels."""
    config = network.config
    if (
        config.activation_function not in TANH_GELUS
        or config.reorder_and_upcast_attn
        or not _is_plain(network)
    ):
        return None
    if config.head_dim not in {16, 32, 64, 128} or config.n_embd % 8 or config.inner > 8192:
        return None
    major, _ = torch.cuda.get_device_capability(network.device)
    made = CudaStep(network, overlapping=major >= 9)
    return made if agrees(network, made) else None


@torch.inference_mode()
def agrees(network: model.Network, made: CudaStep) -> bool:
    """Whether the step reads some tokens as the operators do, twice: kernels nobody has seen on this device are not trusted."""
    slack = 1e-3 if network.dtype == torch.float32 else 0.05
    ids = [[1], [2, 3, 4], [5], [6]]
    try:
        with_step = Trunk(replace(network, step=made))
        by_operators = Trunk(replace(network, step=None))
        for piece in ids:
            ours, theirs = with_step.extend(piece).float(), by_operators.extend(piece).float()
            if not float((ours - theirs).norm()) <= slack * float(theirs.norm()):
                return False
    except Exception:  # noqa: BLE001 - whatever a compiler of kernels raises: the operators are there
        return False
    return True


def _is_plain(network: model.Network) -> bool:
    parts = [network.head]
    for block in network.blocks:
        parts += [block.attention_in, block.attention_out, block.mlp_in, block.mlp_out]
    return all(type(part) is DenseLinear and part.weight.is_contiguous() for part in parts)


def _dense(part: Linear) -> DenseLinear:
    assert isinstance(part, DenseLinear)  # noqa: S101 - `cuda_step` made sure
    return part
