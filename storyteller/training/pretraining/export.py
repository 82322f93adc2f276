"""The result as a plain folder that transformers opens, opened again by what will write with it, and compared."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import msgspec
import torch

from storyteller.disk import sync_directory
from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.device import Placement
from storyteller.engine.network.model_config import load_config
from storyteller.engine.network.weights import read_network
from storyteller.errors import TrainingError
from storyteller.training.adapters.layout import save_synced
from storyteller.training.adapters.publish import folder_to_be, write_synced
from storyteller.training.pretraining.card import README, RECORD, is_written_by_hand, readme, record_json
from storyteller.training.pretraining.network import Gpt2, as_published
from storyteller.training.pretraining.tokenizer import FILES, copy_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from storyteller.training.pretraining.card import Record

_WEIGHTS: Final = "model.safetensors"
_OURS: Final = (*FILES, "config.json", _WEIGHTS, RECORD)
_PROBE: Final = 64  # tokens
_ROUNDING: Final = (
    1e-3  # of a log-probability, as a share of the logits' spread: both sides compute in float32
)


def check_target(folder: Path) -> None:
    """See that a model may be written to `folder`: it is not there, empty, or holds a model that was written so.

    Raises:
        TrainingError: it holds something else.
    """
    try:
        names = {path.name for path in folder.iterdir()}
    except FileNotFoundError:
        return
    except OSError as error:
        raise TrainingError(
            f"{folder} cannot be written: {error.strerror or error}. Name another --out."
        ) from error
    if names and RECORD not in names:
        raise TrainingError(
            f"{folder} holds something else than a model of `storyteller pretrain` ({sorted(names)[0][:60]}). "
            "Name a new folder with --out."
        )


def export(folder: Path, network: Gpt2, tokenizer: Path, end: int, record: Record) -> None:
    """Write the model to `folder` in bfloat16, having opened it again.

    Args:
        folder: where `check_target` allows it; what is there beside our files stays, and a card that a hand has changed.
        network: the result.
        tokenizer: a folder with its files.
        end: the id that ends a document.
        record: goes beside it, and as a card in words.

    Raises:
        TrainingError: it may not be written there, or does not say what was trained.
        OSError: the disk failed.
    """
    folder = folder.absolute()  # "." has no name to put another beside
    check_target(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder_to_be(folder) as temporary:
        copy_tokenizer(tokenizer, temporary, network.shape.context)
        write_synced(temporary / "config.json", config_json(network, end))
        save_synced(as_published(network.state_dict()), temporary / _WEIGHTS)
        write_synced(temporary / RECORD, record_json(record))
        write_synced(temporary / README, readme(record).encode())
        sync_directory(temporary)
        _compare(temporary, network)
        for path in (temporary, *temporary.iterdir()):  # as any folder, not as a temporary one
            path.chmod(0o755 if path.is_dir() else 0o644)
        if folder.exists() and any(folder.iterdir()):
            ours = _OURS if is_written_by_hand(folder) else (*_OURS, README)
            for name in ours:
                (temporary / name).replace(folder / name)
        else:
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)
    sync_directory(folder)
    sync_directory(folder.parent)


def config_json(network: Gpt2, end: int) -> bytes:
    """config.json as transformers has it: no dropout, for none was trained with."""
    config = network.config
    fields: dict[str, object] = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": config.activation_function,
        "n_embd": config.n_embd,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_positions": config.n_positions,
        "vocab_size": config.vocab_size,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "attn_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "bos_token_id": end,
        "eos_token_id": end,
        "tie_word_embeddings": True,
        "dtype": "bfloat16",
    }
    return msgspec.json.format(msgspec.json.encode(fields), indent=1)


@torch.inference_mode()
def _compare(folder: Path, network: Gpt2) -> None:
    """Raises TrainingError where the model in `folder` says something else than `network`, rounded as it was."""
    config = load_config(folder)
    count = min(_PROBE, config.n_positions)
    probe = torch.randint(config.vocab_size, (count,), generator=torch.Generator().manual_seed(0))
    read = read_network(folder, config, Placement(torch.device("cpu"), torch.float32))
    loaded = read.logits(Trunk(read).extend(probe.tolist())).float()
    trained = rounded_logits(network, probe)
    apart = torch.log_softmax(trained, -1) - torch.log_softmax(loaded, -1)
    difference = float(apart.abs().amax() / loaded.std().clamp(min=1e-6))
    if not difference <= _ROUNDING:
        raise TrainingError(
            f"The model that was saved does not say what was trained (log-probabilities differ by {difference:.3g} of "
            "their spread); it was not put in its place. --resume tries again."
        )


@torch.no_grad()
def rounded_logits(network: Gpt2, ids: Tensor) -> Tensor:
    """Logits (n, vocab) of `ids` (n,) by `network` with its weights in bfloat16, computed in float32 on the processor."""
    copy = Gpt2(network.shape, network.wte.num_embeddings)
    state = network.state_dict()
    copy.load_state_dict({name: tensor.to("cpu", torch.bfloat16).float() for name, tensor in state.items()})
    hidden: Tensor = copy(ids[None])[0]
    return hidden @ copy.wte.weight.t()
