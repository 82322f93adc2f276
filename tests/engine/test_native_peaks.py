"""The largest logits by the compiled library: what torch finds, and samplers that choose the same with them as without."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storyteller.engine.network.native.peaks import NativePeaks
from storyteller.engine.sampling import TakeSampler, build_sampler
from storyteller.engine.sampling.peaks import Peaks, wanted
from storyteller.engine.sampling.pipeline import candidates_among
from storyteller.engine.settings import SamplerSettings
from storyteller.errors import EngineError
from tests.stubs.piece_tokenizer import PieceTokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from storyteller.engine.network.native.engine import NativeEngine

SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
WIDE = PieceTokenizer([f"<{number}>" for number in range(256)])
BALANCED: dict[str, Any] = {
    "temperature": 0.8,
    "top_k": 10,
    "top_p": 0.95,
    "repetition_penalty": 1.3,
    "dry_multiplier": 0.8,
}


@pytest.fixture
def peaks(native: NativeEngine) -> NativePeaks:
    return NativePeaks(native.library)


def row(seed: int, size: int, spread: float, *, step: float = 0.0) -> Tensor:
    """Logits (size,); with a `step` many are alike."""
    logits = torch.randn(size, generator=torch.Generator().manual_seed(seed)) * spread
    return (logits / step).round() * step if step else logits


@SHARED
@given(
    seed=st.integers(0, 1000),
    size=st.integers(1, 2000),
    spread=st.sampled_from([0.0, 1e-3, 1.0, 8.0, 300.0]),
    step=st.sampled_from([0.0, 0.5]),
    least=st.integers(1, 60),
)
def test_all_that_reach_the_floor_and_no_others(
    peaks: NativePeaks, seed: int, size: int, spread: float, step: float, least: int
) -> None:
    logits = row(seed, size, spread, step=step)
    found = peaks(logits, least)
    assert found.log_total == pytest.approx(float(logits.double().logsumexp(0)), abs=2e-5)
    if len(found.ids):
        assert found.ids.tolist() == (logits >= found.floor).nonzero().squeeze(1).tolist()
        assert min(least, size) <= len(found.ids) <= 4 * least


def test_a_vocabulary_like_gpt2s_has_peaks(peaks: NativePeaks) -> None:
    found = peaks(row(1, 50_257, 2.0), 200)
    assert 200 <= len(found.ids) <= 800


def test_nothing_is_found_where_too_many_are_alike(peaks: NativePeaks) -> None:
    assert len(peaks(torch.zeros(1000), 10).ids) == 0
    assert len(peaks(row(1, 1000, 1.0), 0).ids) == 0


@pytest.mark.parametrize("damage", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 17, 396])
def test_what_is_no_number_is_told(peaks: NativePeaks, damage: float, place: int) -> None:
    logits = row(1, 397, 1.0)
    logits[place] = damage
    sampler = build_sampler(SamplerSettings(**BALANCED), WIDE, prompt_ids=(), seed=1, peaks=peaks)
    with pytest.raises(EngineError, match="not a number"):
        sampler.sample(logits)


def test_forbidden_ids_count_for_nothing_and_all_forbidden_is_told(peaks: NativePeaks) -> None:
    logits = row(1, 397, 1.0)
    logits[5:300] = -math.inf
    assert peaks(logits, 5).log_total == pytest.approx(float(logits.logsumexp(0)), abs=1e-5)
    assert math.isnan(peaks(torch.full((397,), -math.inf), 5).log_total)


OTHERS: dict[str, dict[str, Any]] = {
    "balanced": {},
    "lifted by a bias": {"logit_bias": {3: 4.0}},
    "lowered by a bias": {"logit_bias": {3: -4.0, 9: -90.0}},
    "lifted by a penalty": {"repetition_penalty": 0.7},
    "few stay after the bans": {"banned_tokens": tuple(range(100)), "top_k": 3},
    "without top-k": {"top_k": 0},
    "greedy": {"method": "greedy"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_sampler_chooses_the_same_with_them(peaks: NativePeaks, name: str) -> None:
    chosen = SamplerSettings(**(BALANCED | OTHERS[name]))
    plain, fast = (
        build_sampler(chosen, WIDE, prompt_ids=[1, 2, 3], seed=4, peaks=finder) for finder in (None, peaks)
    )
    for at in range(60):
        logits = row(at % 7, 256, 3.0, step=0.25 if at % 2 else 0.0)
        choices = [_next(sampler, logits) for sampler in (plain, fast)]
        assert choices[0][0] == choices[1][0]
        assert choices[0][1] == pytest.approx(choices[1][1], abs=1e-5)


def _next(sampler: TakeSampler, logits: Tensor) -> tuple[int, float]:
    choice = sampler.sample(logits)
    sampler.accept(choice.token)
    return choice.token, choice.logprob


def test_peaks_are_used_where_they_can_be(peaks: NativePeaks) -> None:
    """Not by way of the whole vocabulary: a floor that is far too high would be believed."""
    chosen = SamplerSettings(method="sample", temperature=1.0, top_k=2)

    def only_the_least(logits: Tensor, least: int) -> Peaks:
        assert least == wanted(chosen) == 4
        return Peaks(torch.tensor([7, 8, 9, 10]), -1e9, peaks(logits, 0).log_total)

    sampler = build_sampler(chosen, WIDE, prompt_ids=(), seed=1, peaks=only_the_least)
    assert {sampler.sample(row(at, 256, 2.0)).token for at in range(40)} <= {7, 8, 9, 10}


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_where_everything_is_forbidden_they_decide_nothing(temperature: float) -> None:
    chosen = SamplerSettings(method="sample", temperature=temperature, top_k=3)
    whole = Peaks(torch.arange(8), -math.inf, 1.0)  # of a vocabulary so small that all of it is asked for
    assert candidates_among(whole, torch.full((8,), -math.inf), chosen) is None
    assert candidates_among(whole, torch.arange(8.0), chosen) is not None
