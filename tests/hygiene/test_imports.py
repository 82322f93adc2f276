"""What a clean interpreter has loaded after an import or a command: the dynamic half of the boundaries."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL = {
    "torch",
    "transformers",
    "peft",
    "numpy",
    "tokenizers",
    "safetensors",
    "bitsandbytes",
    "huggingface_hub",
}
SCREEN = {"textual", "rich"}


def loaded_by(program: str) -> set[str]:
    """The top-level modules that a clean interpreter has loaded after `program`, whose own output is dropped."""
    tail = (
        "\nimport json as _json, sys as _sys\n"
        "_sys.__stdout__.write('\\n' + _json.dumps(sorted({name.partition('.')[0] for name in _sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program + tail], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def modules_of(package: str) -> list[str]:
    """A package and every module in it, by name, without importing any."""
    folder = REPOSITORY / package.replace(".", "/")
    return [package, *(module.name for module in pkgutil.walk_packages([str(folder)], f"{package}."))]


@pytest.mark.parametrize(
    "module",
    [
        "storyteller.tui.app",
        "storyteller.tui.run",
        "storyteller.tui.training.screen",
        "storyteller.tui.training.trial",
        "storyteller.engine.client",
    ],
)
def test_the_app_and_the_client_load_no_model_library(module: str) -> None:
    assert loaded_by(f"import {module}") & MODEL == set()


def test_the_app_loads_no_plotting_library_before_there_is_a_curve() -> None:
    assert loaded_by("import storyteller.tui.app") & {"plotext", "textual_plotext"} == set()


@pytest.mark.parametrize(
    "module", ["client", "fake", "local", "server", "process.service", "catalogue", "presets", "protocol"]
)
def test_the_engines_outside_neither_draws_nor_loads_a_model_library(module: str) -> None:
    assert loaded_by(f"import storyteller.engine.{module}") & (MODEL | SCREEN) == set()


@pytest.mark.parametrize(
    "package", ["storyteller.manuscript", "storyteller.feedback", "storyteller.training.corpus"]
)
def test_manuscript_feedback_and_corpora_run_without_a_screen_and_without_a_model(package: str) -> None:
    modules = modules_of(package)
    assert len(modules) > 3
    assert loaded_by("\n".join(f"import {name}" for name in modules)) & (MODEL | SCREEN) == set()


def test_the_core_draws_nothing() -> None:
    assert loaded_by("import storyteller.engine.core") & SCREEN == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["continue", "--help"]], ids=" ".join)
def test_help_loads_neither_a_model_library_nor_a_screen(arguments: list[str]) -> None:
    program = f"from storyteller.cli.app import run\nassert run({arguments!r}) == 0"
    assert loaded_by(program) & (MODEL | {"textual"}) == set()


@pytest.mark.parametrize("module", ["card", "shelf", "publish"])
def test_the_adapters_shelf_neither_draws_nor_loads_a_model_library(module: str) -> None:
    assert loaded_by(f"import storyteller.training.adapters.{module}") & (MODEL | SCREEN) == set()
