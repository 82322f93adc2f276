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
from storyteller.engine.network.linear import linear
from storyteller.engine.network.model import Block, Network, Norm
from storyteller.engine.network.native.step import native_step
from storyteller.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from torch import Tensor

    from storyteller.engine.network.device import Placement
    from storyteller.engine.network.linear import Linear
    from storyteller.engine.network.model_config import ModelConfig
    from storyteller.engine.network.native.engine import NativeEngine

_PREFIXES: Final = ("transformer.", "")
_DTYPES: Final = frozenset({"F64", "F32", "F16", "BF16"})
_BUFFERS: Final = ("attn.bias", "attn.masked_bias")  # the causal mask, as old files keep it


def load_network(
    folder: Path, config: ModelConfig, placement: Placement, native: NativeEngine | None = None
) -> Generator[float, None, Network]:
    """Read the model in `folder` to where `placement` says; yields the fraction done, returns the network.

    With `native`, few rows will go through its compiled step.

    Raises:
        ModelError: a file is missing or damaged, or holds something else than `config` says.
        RuntimeError: no memory is left.
    """
    with ExitStack() as stack:
        files = WeightFiles(folder, stack, packed=native is None)
        files.check(expected_shapes(config))
        network = yield from _assemble(files, config, placement)
    return network if native is None else replace(network, step=native_step(native, network))


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


def product_shapes(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """The four products of a block, by `model.PARTS`: (inputs, outputs)."""
    d, inner = config.n_embd, config.inner
    return {
        "attn.c_attn": (d, 3 * d),
        "attn.c_proj": (d, d),
        "mlp.c_fc": (d, inner),
        "mlp.c_proj": (inner, d),
    }


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
    files: WeightFiles, config: ModelConfig, placement: Placement
) -> Generator[float, None, Network]:
    def norm(name: str) -> Norm:
        return Norm(files.vector(f"{name}.weight", placement), files.vector(f"{name}.bias", placement))

    def product(name: str) -> Linear:
        bias = files.vector(f"{name}.bias", placement)
        return files.product(f"{name}.weight", bias, placement)

    steps = config.n_layer + 2
    embedding = files.vector("wte.weight", placement)
    head = "wte.weight" if config.tie_word_embeddings else "lm_head.weight"
    read_out = files.head(head, placement)
    yield 1 / steps
    blocks = []
    for layer in range(config.n_layer):
        here = f"h.{layer}"
        blocks.append(
            Block(
                norm_1=norm(f"{here}.ln_1"),
                attention_in=product(f"{here}.attn.c_attn"),
                attention_out=product(f"{here}.attn.c_proj"),
                norm_2=norm(f"{here}.ln_2"),
                mlp_in=product(f"{here}.mlp.c_fc"),
                mlp_out=product(f"{here}.mlp.c_proj"),
            )
        )
        yield (layer + 2) / steps
    return Network(
        config=config,
        token_embedding=embedding,
        position_embedding=files.vector("wpe.weight", placement),
        blocks=tuple(blocks),
        norm=norm("ln_f"),
        head=read_out,
    )


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
