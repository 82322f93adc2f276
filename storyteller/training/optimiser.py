"""The optimiser, and its state as named tensors that a checkpoint can keep without pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from storyteller.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from storyteller.training.settings import Settings


def make_optimiser(settings: Settings, parameters: Sequence[torch.nn.Parameter]) -> Any:
    """AdamW over `parameters`.

    Raises:
        TrainingError: bitsandbytes has no 8-bit states here.
    """
    given: dict[str, Any] = {
        "lr": settings.rate,
        "weight_decay": settings.weight_decay,
        "betas": (0.9, 0.999),
    }
    if settings.optimiser == "adamw8bit":
        try:
            from bitsandbytes import optim

            make: Any = optim
            return make.AdamW8bit(list(parameters), **given)
        except (ImportError, RuntimeError) as error:
            raise TrainingError(f"bitsandbytes' 8-bit AdamW is not available here ({error}).") from error
    return torch.optim.AdamW(list(parameters), **given)


def optimiser_tensors(optimiser: Any) -> dict[str, Tensor]:
    """Every number of its state: `parameter number.name` to a tensor; a table in it is `parameter number.table.name`."""
    tensors: dict[str, Tensor] = {}
    for number, state in optimiser.state_dict()["state"].items():
        for name, value in _flat(state):
            kept = value if isinstance(value, torch.Tensor) else torch.tensor(value)
            tensors[f"{number}.{name}"] = kept.detach().cpu().contiguous().clone()
    return tensors


def set_optimiser_tensors(optimiser: Any, tensors: dict[str, Tensor]) -> None:
    """Go on from what `optimiser_tensors` returned once; names that are none of its own are passed over."""
    whole = optimiser.state_dict()
    for key, value in tensors.items():
        number, *tables, name = key.split(".")
        if number.isdecimal():
            # A plain number where it was one: bitsandbytes counts its steps so, torch in a tensor.
            plain = name == "step" and type(optimiser).__module__.startswith("bitsandbytes")
            state = whole["state"].setdefault(int(number), {})
            for table in tables:
                state = state.setdefault(table, {})
            state[name] = int(value) if plain else value
    optimiser.load_state_dict(whole)


def _flat(state: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values of `state` by name, of tables in it too: bitsandbytes keeps its 8-bit states in one."""
    for name, value in state.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{inner}", kept) for inner, kept in _flat(value))
        else:
            yield name, value
