"""The result of a run in PEFT's layout, loaded again by what will write with it, and compared."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.network.adapter_config import CONFIG, WEIGHTS, AdapterConfig
from storyteller.engine.network.adapters import load_adapter, mix
from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.device import Placement, release_memory
from storyteller.engine.network.model import PARTS
from storyteller.engine.network.weights import read_network
from storyteller.errors import AdapterError, TrainingError
from storyteller.training.adapters.layout import save_synced
from storyteller.training.adapters.publish import write_synced
from storyteller.training.base import set_adapter_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from storyteller.engine.network.model import Network
    from storyteller.engine.network.model_config import ModelConfig
    from storyteller.training.loop import Run

_PROBE: Final = 64  # tokens
# Root of the mean square of log-probabilities' differences, as a share of the logits' spread: rounding alone, however the
# base is held. In bfloat16 it is 0.02, where an adapter that is not there makes 0.3; the largest of half a million
# differences is ten times either, and now and then more. (Not of logits: the engine centres a head in bfloat16, which
# shifts all of them alike.)
_BOUNDS: Final = {"float32": 3e-4, "bfloat16": 0.08, "8bit": 0.2, "4bit": 0.5}


def write_result(folder: Path, run: Run, base: Path, config: ModelConfig) -> None:
    """Write the best adapter of `run` into `folder` and load it again for the model in `base`; `run` learns no more.

    Raises:
        TrainingError: what was loaded does not say what was trained; nothing was put on the shelf.
        OSError: it could not be written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    settings = run.settings
    plain = AdapterConfig(
        rank=settings.rank, alpha=settings.alpha, dropout=settings.dropout, parts=frozenset(PARTS)
    )
    write_synced(folder / CONFIG, plain.to_json())
    save_synced(run.best, folder / WEIGHTS)
    probe, device = run.measured[0][:_PROBE], run.device
    set_adapter_tensors(run.learner, run.best)
    trained = _trained_logits(run, probe)
    _let_go(run)
    network = read_network(base, config, Placement(device, getattr(torch, settings.dtype)))
    try:
        adapter = load_adapter(folder, config)
    except AdapterError as error:
        raise TrainingError(f"The adapter that was saved cannot be loaded again: {error.message}") from error
    loaded = _logits(mix(network, [(adapter, 1.0)]), probe)
    apart = torch.log_softmax(trained, -1) - torch.log_softmax(loaded, -1)
    difference = float(apart.square().mean().sqrt() / loaded.std().clamp(min=1e-6))
    bound = _BOUNDS[settings.quantise or settings.dtype]
    if not difference <= bound:
        raise TrainingError(
            f"The adapter that was saved does not say what was trained (log-probabilities differ by {difference:.3g} of their "
            f"spread, {bound:g} is rounding). It was kept in {folder} and not put to use."
        )


def _let_go(run: Run) -> None:
    """Give back the memory of the base that learned: another copy of its weights is about to be read.

    GPT-2 large in bfloat16 held 4.7 GB here, and holds 3.1.
    """
    device = run.device
    for part in list(run.learner.model.modules()):
        vars(part).clear()  # not its parameters alone: bitsandbytes has codes beside them
    release_memory(device)


@torch.no_grad()
def _trained_logits(run: Run, probe: Tensor) -> Tensor:
    model = run.learner.model
    model.eval()
    hidden = run.learner.hidden(probe[None].to(run.device))[0]
    return (hidden @ run.learner.head.t()).float().cpu()


@torch.inference_mode()
def _logits(network: Network, probe: Tensor) -> Tensor:
    return network.logits(Trunk(network).extend(probe.tolist())).cpu()
