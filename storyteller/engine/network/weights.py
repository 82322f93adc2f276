"""Weights from safetensors straight into their places, one tensor at a time: never two copies of a model.

Every tensor is checked against what the configuration says before it is read; nothing in a file is ever executed.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open

from storyteller.engine.model_folder import expected_hash, has_pickles, weight_files
from storyteller.engine.network.cuda.step import cuda_step
from storyteller.engine.network.few_bits import HEAD
from storyteller.engine.network.linear import linear
from storyteller.engine.network.model import Block, Network, Norm
from storyteller.engine.network.model_config import product_shapes
from storyteller.engine.network.native.step import native_step
from storyteller.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from torch import Tensor

    from storyteller.engine.network.device import Placement
    from storyteller.engine.network.few_bits import FewBits
    from storyteller.engine.network.linear import Linear
    from storyteller.engine.network.model_config import ModelConfig
    from storyteller.engine.network.native.engine import NativeEngine
    from storyteller.engine.network.step import FusedStep

_PREFIXES: Final = ("transformer.", "")
_DTYPES: Final = frozenset({"F64", "F32", "F16", "BF16"})
_BUFFERS: Final = ("attn.bias", "attn.masked_bias")  # the causal mask, as old files keep it


def load_network(
    folder: Path,
    config: ModelConfig,
    placement: Placement,
    native: NativeEngine | None = None,
    few_bits: FewBits | None = None,
) -> Generator[float, None, Network]:
    """Read the model in `folder` to where `placement` says; yields the fraction done, returns the network.

    Few rows will go through a compiled step: with `native` its own, on CUDA Triton's. With `few_bits`, its products are those.

    Raises:
        ModelError: a file is missing or damaged, or holds something else than `config` says.
        RuntimeError: no memory is left.
    """
    with ExitStack() as stack:
        files = WeightFiles(folder, stack, packed=native is None)
        files.check(expected_shapes(config))
        network = yield from _assemble(files, config, placement, few_bits)
    return replace(network, step=_step_for(network, native))


def read_network(
    folder: Path,
    config: ModelConfig,
    placement: Placement,
    native: NativeEngine | None = None,
    few_bits: FewBits | None = None,
) -> Network:
    """As `load_network`, for who does not watch it being read."""
    loading = load_network(folder, config, placement, native, few_bits)
    while True:
        try:
            next(loading)
        except StopIteration as done:
            network: Network = done.value
            return network


def _step_for(network: Network, native: NativeEngine | None) -> FusedStep | None:
    if network.device.type == "cuda":
        return cuda_step(network)
    return None if native is None else native_step(native, network)


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of such a model, by its name without a prefix, and its shape; products are (inputs, outputs)."""
    d = config.n_embd
    shapes: dict[str, tuple[int, ...]] = {
        "wte.weight": (config.vocab_size, d),
        "wpe.weight": (config.n_positions, d),
        "ln_f.weight": (d,),
        "ln_f.bias": (d,),
    }
    for layer in range(config.n_layer):
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"h.{layer}.{norm}.{part}": (d,) for part in ("weight", "bias")}
        for part, (inputs, outputs) in product_shapes(config).items():
            shapes[f"h.{layer}.{part}.weight"] = (inputs, outputs)
            shapes[f"h.{layer}.{part}.bias"] = (outputs,)
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, d)
    return shapes


def parameter_count(config: ModelConfig) -> int:
    """How many numbers a model of this shape has."""
    return sum(math.prod(shape) for shape in expected_shapes(config).values())


class WeightFiles:
    """The tensors of a model folder, by their names without a prefix, whichever file each is in."""

    def __init__(self, folder: Path, stack: ExitStack, *, packed: bool = True) -> None:
        """Open the files of `folder` until `stack` closes. `packed`: weights may be reordered for the operators.

        Raises:
            ModelError: there are none, or one cannot be read.
        """
        files = weight_files(folder)
        if not files:
            raise ModelError(_no_weights(folder))
        self._places: dict[str, tuple[Any, str, Path]] = {}  # name -> open file, name in it, its path
        for file in files:
            handle = stack.enter_context(_open(file))
            self._places |= {name: (handle, name, file) for name in handle.keys()}  # noqa: SIM118 - no mapping
        self._folder = folder
        self._packed = packed
        self._strip_prefix()

    def check(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """See that every tensor of `shapes` is there as it should be, and no layer beyond them.

        Raises:
            ModelError: names the file, the tensor, what was expected and what is there.
        """
        for name, shape in shapes.items():
            if name not in self._places:
                raise ModelError(f"{self._folder} has no tensor {name}, which its config.json asks for.")
            handle, stored, file = self._places[name]
            described = handle.get_slice(stored)
            if tuple(described.get_shape()) != shape:
                raise ModelError(
                    f"{file}: {stored} has shape {described.get_shape()}, and config.json asks for {list(shape)}."
                )
            if described.get_dtype() not in _DTYPES:
                raise ModelError(
                    f"{file}: {stored} holds {described.get_dtype()} numbers; storyteller opens float weights."
                )
        for name in self._places.keys() - shapes.keys():
            if name.startswith("h.") and not name.endswith(_BUFFERS):
                raise ModelError(f"{self._folder} has a tensor {name} that its config.json does not know.")

    def vector(self, name: str, placement: Placement) -> Tensor:
        """The small tensor `name` at its place, in its dtype.

        Raises:
            ModelError: it holds NaN or infinity, or the file cannot be read any more.
        """
        tensor = self._mapped(name).to(placement.device, placement.dtype, copy=True)
        self._require_finite(name, tensor, placement)
        return tensor

    def raw(self, name: str, placement: Placement) -> Tensor:
        """The tensor `name` as float32 on the processor, as the file has it.

        Raises:
            ModelError: as `vector`.
        """
        tensor = self._mapped(name).float()
        self._require_finite(name, tensor, placement)
        return tensor

    def product(self, name: str, bias: Tensor, placement: Placement) -> Linear:
        """The product whose weight is `name`, (inputs, outputs) as transformers' Conv1D keeps it.

        Raises:
            ModelError: as `vector`.
        """
        weight = self._mapped(name).to(placement.device, placement.dtype)
        return self._checked(name, weight.t(), bias, placement)

    def head(self, name: str, placement: Placement) -> Linear:
        """The product from hidden states to logits, whose weight is `name`, (vocab, d).

        In half precision the mean of its rows is taken off first. That moves all logits of a position by the same
        amount, which no probability sees, and brings them near zero: GPT-2's stand at -40 to -100, where bfloat16
        tells only steps of a quarter or a half apart.

        Raises:
            ModelError: as `vector`.
        """
        weight = self._mapped(name)
        if placement.dtype != torch.float32:
            weight = weight.float() - weight.mean(0, dtype=torch.float32)
        weight = weight.to(placement.device, placement.dtype, copy=True)
        return self._checked(name, weight, None, placement)

    def _checked(self, name: str, weight: Tensor, bias: Tensor | None, placement: Placement) -> Linear:
        made = linear(weight, bias, packed=self._packed)
        probe = torch.full((1, weight.shape[1]), 2**-10, dtype=weight.dtype, device=weight.device)
        self._require_finite(name, made(probe), placement)  # reads every weight, at the speed of a product
        return made

    def _mapped(self, name: str) -> Tensor:
        """The tensor in the file's own pages: to be copied before the file is closed."""
        handle, stored, file = self._places[name]
        try:
            tensor: Tensor = handle.get_tensor(stored)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"{file} cannot be read: {error}.") from error
        return tensor

    def _require_finite(self, name: str, tensor: Tensor, placement: Placement) -> None:
        if not bool(tensor.sum(-1).isfinite().all()):
            _, stored, file = self._places[name]
            raise ModelError(
                f"{file}: {stored} holds NaN or infinity in {placement.dtype_name}. The file is damaged, "
                "or this number format too small for it."
            )

    def _strip_prefix(self) -> None:
        for prefix in _PREFIXES:
            if f"{prefix}wte.weight" in self._places:
                self._places = {name.removeprefix(prefix): place for name, place in self._places.items()}
                return


def _assemble(
    files: WeightFiles, config: ModelConfig, placement: Placement, few_bits: FewBits | None
) -> Generator[float, None, Network]:
    def norm(name: str) -> Norm:
        return Norm(files.vector(f"{name}.weight", placement), files.vector(f"{name}.bias", placement))

    steps = config.n_layer + 2
    embedding = files.vector("wte.weight", placement)
    positions = files.vector("wpe.weight", placement)
    products = (
        _Plain(files, config, placement) if few_bits is None else _Few(files, config, placement, few_bits)
    )
    products.begin(embedding, positions)
    yield 1 / steps
    blocks = []
    for layer in range(config.n_layer):
        norms = norm(f"h.{layer}.ln_1"), norm(f"h.{layer}.ln_2")
        parts = products.layer(layer, norms)
        blocks.append(
            Block(
                norm_1=norms[0],
                attention_in=parts["attn.c_attn"],
                attention_out=parts["attn.c_proj"],
                norm_2=norms[1],
                mlp_in=parts["mlp.c_fc"],
                mlp_out=parts["mlp.c_proj"],
            )
        )
        yield (layer + 2) / steps
    last = norm("ln_f")
    head = products.head(last, "wte.weight" if config.tie_word_embeddings else "lm_head.weight")
    return Network(
        config=config,
        token_embedding=embedding,
        position_embedding=positions,
        blocks=tuple(blocks),
        norm=last,
        head=head,
    )


class _Plain:
    """Products of weights as they are."""

    def __init__(self, files: WeightFiles, config: ModelConfig, placement: Placement) -> None:
        self._files, self._config, self._placement = files, config, placement

    def begin(self, token_embedding: Tensor, position_embedding: Tensor) -> None:
        """Nothing to prepare."""

    def head(self, norm: Norm, name: str) -> Linear:  # noqa: ARG002 - `_Few` needs it
        return self._files.head(name, self._placement)

    def layer(self, index: int, norms: tuple[Norm, Norm]) -> dict[str, Linear]:  # noqa: ARG002 - `_Few` needs them
        return {part: self._product(f"h.{index}.{part}") for part in product_shapes(self._config)}

    def _product(self, name: str) -> Linear:
        bias = self._files.vector(f"{name}.bias", self._placement)
        return self._files.product(f"{name}.weight", bias, self._placement)


class _Few:
    """Products in few bits: from the cache, or made of the files' weights."""

    def __init__(
        self, files: WeightFiles, config: ModelConfig, placement: Placement, few_bits: FewBits
    ) -> None:
        self._files, self._config, self._placement, self._few_bits = files, config, placement, few_bits

    def begin(self, token_embedding: Tensor, position_embedding: Tensor) -> None:
        if not self._few_bits.is_stored:
            self._few_bits.begin(token_embedding, position_embedding)

    def head(self, norm: Norm, name: str) -> Linear:
        if self._few_bits.is_stored:
            return self._few_bits.stored(HEAD, (self._config.vocab_size, self._config.n_embd), None)
        weight = self._files.raw(name, self._placement)
        return self._few_bits.head(_wide(norm), weight - weight.mean(0))  # as `WeightFiles.head`

    def layer(self, index: int, norms: tuple[Norm, Norm]) -> dict[str, Linear]:
        names = {part: f"h.{index}.{part}" for part in product_shapes(self._config)}
        if self._few_bits.is_stored:
            return {
                part: self._few_bits.stored(name, self._shape(part), self._bias(name))
                for part, name in names.items()
            }
        weights = {
            part: (self._files.raw(f"{name}.weight", self._placement).t().contiguous(), self._bias(name))
            for part, name in names.items()
        }
        return self._few_bits.layer(index, (_wide(norms[0]), _wide(norms[1])), weights)

    def _shape(self, part: str) -> tuple[int, int]:
        inputs, outputs = product_shapes(self._config)[part]
        return outputs, inputs

    def _bias(self, name: str) -> Tensor:
        """A copy: the products keep it, and the file may be cut short once it is closed."""
        return self._files.raw(f"{name}.bias", self._placement).clone()


def _wide(norm: Norm) -> Norm:
    """As the raw weights are: float32 on the processor."""
    return Norm(norm.weight.float().cpu(), norm.bias.float().cpu())


def _open(file: Path) -> Any:
    try:
        return safe_open(file, framework="pt")
    except FileNotFoundError as error:
        raise ModelError(f"{file} is missing.{_hash_hint(file)}") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(f"{file} is damaged or no safetensors file: {error}.{_hash_hint(file)}") from error


def _hash_hint(file: Path) -> str:
    known = expected_hash(file)
    return f" Its hash should be {known}." if known else " Fetch the model again."


def _no_weights(folder: Path) -> str:
    if has_pickles(folder):
        return (
            f"{folder} holds its weights in pickle files, which can run code when they are opened and are refused. "
            'If you trust where they come from, convert them once: python -c "from transformers import '
            f"GPT2LMHeadModel as M; p = '{folder}'; M.from_pretrained(p).save_pretrained(p)\""
        )
    return f"{folder} has no weights: model.safetensors is missing."
