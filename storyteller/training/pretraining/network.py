"""GPT-2 as published, for learning from scratch: pre-norm, tanh GELU, learned positions, the head tied; nothing is dropped."""

from __future__ import annotations

import math
import os
import shutil
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import torch
from torch import nn
from torch.nn import functional

from storyteller.engine.network.device import Placement
from storyteller.engine.network.model_config import ModelConfig, load_config
from storyteller.engine.network.native.build import find_compiler
from storyteller.engine.network.weights import WeightFiles, expected_shapes
from storyteller.errors import ModelError
from storyteller.training.data import IGNORED
from storyteller.training.head_loss import head_loss, judge
from storyteller.training.operators import attended
from storyteller.training.pretraining.recipe import MOST_TOKENS, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from storyteller.training.head_loss import Judge

_SPREAD: Final = 0.02  # of the first weights, GPT-2's
_ROWS: Final = {"cuda": 8192}  # of which logits exist at once: 400 MB for 12,288 tokens
_FEW_ROWS: Final = 512
_C_COMPILERS: Final = ("gcc", "clang")  # of which Triton takes the first there is, where $CC names none
# transformers keeps the products of a block as (inputs, outputs), torch as (outputs, inputs).
_PRODUCTS: Final = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


class Attention(nn.Module):
    """Causal attention of one block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, d) to (b, t, d)."""
        rows, count, width = x.shape
        q, k, v = (
            self.c_attn(x).view(rows, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        )  # (b, heads, t, d_head)
        if x.device.type == "cpu":
            gathered = attention_in_blocks(q, k, v)
        else:
            gathered = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.c_proj(gathered.transpose(1, 2).reshape(rows, count, width))
        return out


def attention_in_blocks(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention of (b, heads, t, d_head), some queries at a time, each against the keys up to the last of them.

    What scaled_dot_product_attention gives; on a processor half as long in bfloat16, compiled: 28 ms against 62 for a
    layer and its gradient (8 sequences of 512, five heads of 64, two cores of Zen 5).
    """
    scaled = q * q.shape[-1] ** -0.5
    return torch.cat([weights @ v[..., seen, :] for _, seen, weights in attended(scaled, k)], dim=-2)


class Mlp(nn.Module):
    """The two products of a block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, d) to (b, t, d)."""
        out: Tensor = self.c_proj(functional.gelu(self.c_fc(x), approximate="tanh"))
        return out


class Block(nn.Module):
    """One layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = Attention(width, heads), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """(b, t, d) to (b, t, d)."""
        x = x + self.attn(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class Gpt2(nn.Module):
    """The network; `loss_of` says how it is asked.

    Attributes:
        precision: what products are computed in; weights are float32.
        judged: what a chunk of the loss is computed by.
    """

    def __init__(self, shape: Shape, vocabulary: int, precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.shape = shape
        self.precision = precision
        self.judged: Judge = judge
        self.wte, self.wpe = nn.Embedding(vocabulary, shape.width), nn.Embedding(shape.context, shape.width)
        self.h = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.layers))
        self.ln_f = nn.LayerNorm(shape.width)

    def forward(self, ids: Tensor) -> Tensor:
        """Hidden states (b, t, d) of `ids` (b, t) after the final norm."""
        x = self.wte(ids) + self.wpe.weight[: ids.shape[1]]
        for block in self.h:
            x = block(x)
        out: Tensor = self.ln_f(x)
        return out

    @property
    def config(self) -> ModelConfig:
        """As config.json has it."""
        shape = self.shape
        return ModelConfig(
            vocab_size=self.wte.num_embeddings,
            n_positions=shape.context,
            n_embd=shape.width,
            n_layer=shape.layers,
            n_head=shape.heads,
            bos_token_id=0,
            eos_token_id=0,
        )


def loss_of(network: Gpt2, windows: Tensor, counted: Tensor | None = None) -> Tensor:
    """The sum of nats, float32, of ids of `windows` (b, t + 1), each after those before it.

    Args:
        network: any; it is asked as it is.
        windows: ids; the first of each is only read.
        counted: (b,) how many of each count after the first; all if None.
    """
    targets = windows[:, 1:]
    if counted is not None:
        places = torch.arange(targets.shape[1], device=targets.device)
        targets = targets.masked_fill(places >= counted[:, None], IGNORED)
    with torch.autocast(windows.device.type, network.precision, enabled=network.precision != torch.float32):
        hidden = network(windows[:, :-1])
    return head_loss(
        hidden.flatten(0, 1).to(network.precision),
        network.wte.weight.to(network.precision),
        targets.flatten(),
        _ROWS.get(windows.device.type, _FEW_ROWS),
        network.judged,
    )


def make_network(shape: Shape, vocabulary: int, precision: torch.dtype, seed: int) -> Gpt2:
    """A network with GPT-2's first weights, drawn from the seed on the processor: the same on every device."""
    network = Gpt2(shape, vocabulary, precision)
    chance = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.dim() == 2:
            # What adds to the residual stream begins smaller the more layers add to it (GPT-2, section 2.3).
            shrink = math.sqrt(2 * shape.layers) if name.endswith("c_proj.weight") else 1.0
            nn.init.normal_(parameter, std=_SPREAD / shrink, generator=chance)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    return network


def start_of(folder: Path) -> tuple[Shape, ModelConfig]:
    """The shape of the model in `folder`, to go on from.

    Raises:
        ModelError: it cannot be read, or is no plain GPT-2.
    """
    config = load_config(folder)
    shape = Shape(width=config.n_embd, layers=config.n_layer, heads=config.n_head, context=config.n_positions)
    plain = Gpt2(Shape(width=8, layers=1, heads=1, context=8), 1).config
    for field in (
        "n_inner", "activation_function", "layer_norm_epsilon", "scale_attn_weights",
        "scale_attn_by_inverse_layer_idx", "tie_word_embeddings",
    ):  # fmt: skip
        given, usual = getattr(config, field), getattr(plain, field)
        if given != usual and not (field == "n_inner" and given == 4 * config.n_embd):
            raise ModelError(
                f"{folder}: {field} is {given}; only GPT-2 as published ({usual}) is trained on."
            )
    if config.vocab_size > MOST_TOKENS:
        raise ModelError(f"{folder} has {config.vocab_size} tokens; at most {MOST_TOKENS} can be trained on.")
    return shape, config


def read_weights(network: Gpt2, folder: Path, config: ModelConfig) -> None:
    """Give `network` the weights of the model in `folder`.

    Raises:
        ModelError: they are missing or damaged.
    """
    place = Placement(torch.device("cpu"), torch.float32)
    with ExitStack() as stack:
        files = WeightFiles(folder, stack)
        shapes = expected_shapes(config)
        files.check(shapes)
        tensors = {name: files.raw(name, place) for name in shapes}
        network.load_state_dict({name: _turned(name, tensor).clone() for name, tensor in tensors.items()})


def as_published(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's state as transformers' GPT2LMHeadModel names and turns it, in bfloat16, on the processor."""
    return {
        f"transformer.{name}": _turned(name, tensor.detach()).to("cpu", torch.bfloat16).contiguous()
        for name, tensor in tensors.items()
    }


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile works here, unless that is forbidden.

    A GPU needs Triton and its C compiler, a processor a C++ compiler.
    """
    if os.environ.get("STORYTELLER_COMPILE") == "never":
        return False
    if device.type == "cuda":
        return find_spec("triton") is not None and _finds_c_compiler()
    return device.type == "cpu" and find_compiler() is not None


def _finds_c_compiler() -> bool:
    """Whether Triton does, which has one build its launcher at the first step."""
    wanted = os.environ.get("CC")
    return any(shutil.which(name) for name in ((wanted,) if wanted is not None else _C_COMPILERS))


def compile_network(network: Gpt2) -> None:
    """Have torch.compile make one kernel of what stands between two products, at the first step."""
    network.compile()
    network.judged = torch.compile(judge)


def _turned(name: str, tensor: Tensor) -> Tensor:
    return tensor.t() if name.endswith(_PRODUCTS) else tensor
