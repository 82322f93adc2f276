"""Options over settings, and what is refused before the screen opens."""

from __future__ import annotations

import pytest

from storyteller.config import Settings
from storyteller.engine.protocol import AdapterWeight
from storyteller.errors import AdapterError, SettingsError
from storyteller.tui.mixing import adapter_weights
from storyteller.tui.run import Options, overridden


def test_what_is_not_said_stays() -> None:
    settings = Settings(model="large", genre="poetry", threads=2)
    assert overridden(settings, Options()) == settings
    changed = overridden(settings, Options(model="small", preset="wild", threads=0))
    assert (changed.model, changed.preset, changed.genre, changed.threads) == ("small", "wild", "poetry", 0)


def test_a_genre_that_is_asked_for_is_written_without_the_mix_of_last_time() -> None:
    settings = Settings(mix=("noir=0.8",))
    assert overridden(settings, Options(preset="wild")).mix == ("noir=0.8",)
    assert overridden(settings, Options(genre="poetry")).mix is None


@pytest.mark.parametrize(
    "options",
    [Options(genre="../../x"), Options(device="abacus"), Options(dtype="int3"), Options(threads=-1)],
)
def test_an_unusable_option_is_refused(options: Options) -> None:
    """safety 53"""
    with pytest.raises(SettingsError, match="An option cannot be used"):
        overridden(Settings(), options)


def test_adapters_with_and_without_weight() -> None:
    assert adapter_weights(["none"]) == ()
    assert adapter_weights(["noir", "stories=0.8", "a=b=2"]) == (
        AdapterWeight("noir"),
        AdapterWeight("stories", 0.8),
        AdapterWeight("a=b", 2.0),
    )
    assert adapter_weights(["./run=final"]) == (AdapterWeight("./run=final"),)


@pytest.mark.parametrize("weight", ["much", "nan", "inf", "-101"])
def test_a_weight_that_is_none_is_refused(weight: str) -> None:
    with pytest.raises(AdapterError, match="a weight is a number"):
        adapter_weights([f"noir={weight}"])
