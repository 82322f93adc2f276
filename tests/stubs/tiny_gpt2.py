"""Tiny GPT-2s: random weights, a tokenizer of some hundred tokens, and short ways to open and ask them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.core import Core
from storyteller.engine.network.device import Placement
from storyteller.engine.network.model_config import ModelConfig, load_config, product_shapes
from storyteller.engine.network.weights import expected_shapes, read_network
from storyteller.engine.protocol import Context, Generate, Load, TakeDone, Token
from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.engine.writing.lanes import Lanes

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.engine.network.model import Network
    from storyteller.engine.network.native.engine import NativeEngine
    from storyteller.engine.protocol import GenerateEvent

VOCAB = 400
WORDS = (
    "The old lighthouse keeper opened the door and looked out at the sea. The light was going, and the "
    "keeper of the house said nothing. There was a lighthouse, and there was the sea, and the old man.\n\n"
    "“Who is there?” he said. Nobody answered; the wind opened and closed the door. 日本語の海。 "
)


def tiny_config(**fields: Any) -> dict[str, Any]:
    """A config.json for a model of a few thousand numbers."""
    return {
        "model_type": "gpt2",
        "vocab_size": VOCAB,
        "n_positions": 64,
        "n_embd": 32,
        "n_layer": 3,
        "n_head": 4,
        "bos_token_id": 0,
        "eos_token_id": 0,
    } | fields


def random_tensors(config: ModelConfig, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights large enough for every part of the arithmetic to show in the logits."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in expected_shapes(config).items():
        spread = 0.3 if len(shape) == 2 else 0.1
        tensors[name] = torch.randn(shape, generator=generator) * spread
        if ".ln_" in f".{name}" and name.endswith("weight"):
            tensors[name] += 1.0
    return tensors


def write_model(
    folder: Path,
    *,
    seed: int = 0,
    prefix: str = "transformer.",
    dtype: torch.dtype = torch.float32,
    **fields: Any,
) -> Path:
    """A model folder in the Hugging Face layout."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(tiny_config(**fields)))
    tensors = random_tensors(load_config(folder), seed)
    named = {
        (name if name.startswith("lm_head") else prefix + name): tensor.to(dtype)
        for name, tensor in tensors.items()
    }
    save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "tokenizer.json").write_text(tiny_tokenizer().to_str())
    return folder


def tiny_tokenizer() -> Tokenizer:
    """Byte-level BPE: every byte, the words of `WORDS`, and an end of document with id 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([WORDS * 3], trainer)
    return tokenizer


def open_network(
    folder: Path, dtype: torch.dtype = torch.float32, *, native: NativeEngine | None = None
) -> Network:
    """The model in `folder` on the CPU."""
    return read_network(folder, load_config(folder), Placement(torch.device("cpu"), dtype), native)


def close(ours: torch.Tensor, theirs: torch.Tensor, slack: float = 1e-4) -> bool:
    """Whether two tensors differ by at most `slack` anywhere."""
    return ours.shape == theirs.shape and bool((ours.float() - theirs.float()).abs().max() <= slack)


def open_lanes(folder: Path) -> Lanes:
    """A fresh cache for the model in `folder`."""
    return Lanes(open_network(folder), 0)


class Room:
    """An open model and short ways to ask it."""

    def __init__(self, folder: Path, **load: Any) -> None:
        self.core = Core()
        self.status = list(self.core.load(Load(id="load", model=str(folder), **load)))

    def generate(
        self,
        text: str = "",
        *,
        max_tokens: int = 12,
        cancel: CancelSignal | None = None,
        stop: StopRules | None = None,
        settings: SamplerSettings | None = None,
        **request: Any,
    ) -> list[GenerateEvent]:
        """The events of a request; seed 1 unless another is given."""
        asked: dict[str, Any] = {
            "id": "g",
            "context": Context(text=text),
            "seed": 1,
            "stop": stop or StopRules(max_tokens=max_tokens),
            "settings": settings or SamplerSettings(),
        }
        return list(self.core.generate(Generate(**asked | request), cancel or CancelSignal()))


def takes_of(events: list[GenerateEvent]) -> list[TakeDone]:
    """The takes of a request, by number."""
    return sorted((event for event in events if isinstance(event, TakeDone)), key=lambda take: take.take)


def tokens_of(events: list[GenerateEvent], take: int = 0) -> list[Token]:
    """The tokens streamed for a take."""
    return [event for event in events if isinstance(event, Token) and event.take == take]


def write_adapter(folder: Path, config: ModelConfig, *, rank: int = 4, seed: int = 0) -> Path:
    """A LoRA beside all four products of a model of shape `config`, in PEFT's layout, large enough to be heard."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": rank,
        "target_modules": ["c_attn", "c_proj", "c_fc"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(config.n_layer):
        for part, (inputs, outputs) in product_shapes(config).items():
            name = f"base_model.model.transformer.h.{layer}.{part}"
            spread = 0.5 / rank**0.5
            tensors[f"{name}.lora_A.weight"] = torch.randn(rank, inputs, generator=generator) * spread
            tensors[f"{name}.lora_B.weight"] = torch.randn(outputs, rank, generator=generator) * spread
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder
