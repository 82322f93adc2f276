"""Models trained from nothing in a second: a folder of verses, a recipe of ten steps, two layers 32 wide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import tomlkit

from storyteller.training.pretraining.planning import Request
from storyteller.training.pretraining.recipe import Recipe
from storyteller.training.pretraining.run import run_pretraining
from tests.stubs.tiny_training import Told, verses

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.training.events import Stopped
    from storyteller.training.pretraining.events import Exported, Prepared

STEPS = 8
TOKENS = 128  # a step
VOCABULARY = 300


def recipe_fields(**training: Any) -> dict[str, Any]:
    """A recipe as TOML has it: `STEPS` steps, measured in the middle; fields of `[training]` may be others."""
    return {
        "name": "toy",
        "sources": [{"genre": "verse", "kind": "folder", "form": "prose", "path": "verses"}],
        "data": {"folder": ".", "held_out": 4},
        "tokenizer": {"vocabulary": VOCABULARY},
        "model": {"width": 32, "layers": 2, "heads": 2, "context": 16},
        "training": {
            "tokens": STEPS * TOKENS, "tokens_per_step": TOKENS, "micro_batch": 4, "warm_up": 2, "measure_every": 4,
            "measured_tokens": 64, "dtype": "float32",
        } | training,
    }  # fmt: skip


def make_recipe(**training: Any) -> Recipe:
    """`recipe_fields` as a recipe."""
    return msgspec.convert(recipe_fields(**training), Recipe)


def write_recipe(path: Path, fields: dict[str, Any] | None = None) -> Path:
    """A recipe file: `recipe_fields`, or others."""
    path.write_text(tomlkit.dumps(recipe_fields() if fields is None else fields))
    return path


def write_data(folder: Path, count: int = 24) -> Path:
    """A data folder with the sources of `make_recipe`."""
    (folder / "verses").mkdir(parents=True)
    for number, text in enumerate(verses(count)):
        (folder / "verses" / f"{number:03}.txt").write_text(text, encoding="utf-8")
    return folder


def make_request(data: Path, run: Path, **given: Any) -> Request:
    """A run on the processor; fields of `Request`, or of `[training]`."""
    fields = {name: given.pop(name) for name in ("out", "start", "save_every", "recipe") if name in given}
    fields.setdefault("recipe", make_recipe(**given))
    fields.setdefault("out", run / "model")
    return Request(data=data, run=run, device="cpu", **fields)


def pretrain_tiny(
    data: Path, run: Path, told: Told | None = None, **given: Any
) -> Exported | Stopped | Prepared:
    """One whole run of `make_request`; what `run_pretraining` takes goes to it."""
    options = {name: given.pop(name) for name in ("interrupted", "resume", "only_prepare") if name in given}
    listener: Any = told or Told()  # it takes any event, whatever it was made for
    return run_pretraining(make_request(data, run, **given), listener, **options)


def weights_in(run: Path) -> bytes:
    """The weights a run wrote."""
    return (run / "model" / "model.safetensors").read_bytes()
