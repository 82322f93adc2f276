"""Tiny GPT-2s and the starter, open, for every test of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from storyteller.engine.network.native.build import build_library, find_compiler
from storyteller.engine.network.native.engine import NativeEngine
from storyteller.engine.prompt.tokens import Tokens, load_tokens
from tests.stubs.tiny_gpt2 import VOCAB, Room, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a tiny model folder, once for each set of config fields."""
    made: dict[str, Path] = {}

    def make(**fields: Any) -> Path:
        key = repr(sorted(fields.items()))
        if key not in made:
            made[key] = write_model(tmp_path_factory.mktemp("model"), **fields)
        return made[key]

    return make


@pytest.fixture(scope="session")
def tiny_model(make_model: Callable[..., Path]) -> Path:
    """The tiny model with nothing odd about it."""
    return make_model()


@pytest.fixture
def tiny_room(tiny_model: Path) -> Room:
    """The tiny model, open."""
    return Room(tiny_model)


@pytest.fixture(scope="session")
def native_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled step, where there is a compiler."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORYTELLER_HOME", str(tmp_path_factory.mktemp("compiled")))
        if find_compiler() is None:
            pytest.skip("no C++ compiler is installed")
        return build_library()


@pytest.fixture(scope="session")
def native(native_library: Path) -> NativeEngine:
    """The compiled step with two threads, so that pieces are shared."""
    return NativeEngine(native_library, 2)


@pytest.fixture(scope="session")
def tiny_tokens(tiny_model: Path) -> Tokens:
    """Its tokenizer."""
    return load_tokens(tiny_model, vocab_size=VOCAB, eos=0)


@pytest.fixture(scope="session")
def starter_room(starter_model: Path) -> Room:
    """The model that ships, open."""
    return Room(starter_model)
