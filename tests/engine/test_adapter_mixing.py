"""Mixes kept as one adapter: exactly the sum, for storyteller and for peft."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import torch
from peft import PeftModel
from transformers import GPT2LMHeadModel

from storyteller.engine.catalogue import Found, find_adapters
from storyteller.engine.model_folder import model_hash
from storyteller.engine.network.adapters import load_adapter, mix
from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.model_config import load_config
from storyteller.errors import AdapterError
from storyteller.feedback.datasets import trained_on
from storyteller.training.adapters.card import card_json, read_card
from storyteller.training.adapters.mixing import publish_mix
from storyteller.training.adapters.publish import publish
from tests.engine.test_adapters import train_adapter
from tests.stubs.adapter_cards import make_card, publish_adapter
from tests.stubs.tiny_gpt2 import close, open_network

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

IDS = [5, 80, 33, 12, 301, 7, 7, 90]


@pytest.fixture
def model(tiny_model: Path) -> Found:
    return Found(tiny_model, "tiny", "")


@pytest.fixture
def noir(tiny_model: Path, tmp_path: Path) -> Path:
    return publish_adapter(tmp_path, "noir", tiny_model, load_config(tiny_model), seed=1, alpha=8.0)


@pytest.fixture
def verse(tiny_model: Path, tmp_path: Path) -> Path:
    """Beside some products only, and with a scale that is no round number."""
    folder = train_adapter(
        tiny_model, tmp_path / "verse", seed=2, r=3, lora_alpha=5, target_modules=["attn.c_proj", "c_fc"]
    )
    return publish("verse", folder, make_card(name="verse", genre="poetry", base_hash=model_hash(tiny_model)))


def logits(model: Path, *adapters: tuple[Path, float]) -> Tensor:
    network = open_network(model)
    mixed = mix(network, [(load_adapter(folder, network.config), weight) for folder, weight in adapters])
    return mixed.logits(Trunk(mixed).extend(IDS))


def peft_logits(model: Path, folder: Path) -> Tensor:
    base = GPT2LMHeadModel.from_pretrained(model, dtype=torch.float32, attn_implementation="eager")
    adapted = PeftModel.from_pretrained(base, folder)
    adapted.train(mode=False)
    with torch.inference_mode():
        found: Tensor = adapted(torch.tensor([IDS])).logits[0]
    return found


def test_what_is_published_is_what_peft_trained(model: Found, verse: Path, tmp_path: Path) -> None:
    trained = peft_logits(model.path, tmp_path / "verse")
    assert close(peft_logits(model.path, verse), trained)
    assert close(logits(model.path, (verse, 1.0)), trained)


def test_one_adapter_at_weight_1_is_itself_safety_41(  # safety 41
    model: Found, noir: Path, verse: Path
) -> None:
    for name, folder in (("noir", noir), ("verse", verse)):
        alone = publish_mix(f"{name}-alone", {name: 1.0}, model)
        assert torch.equal(logits(model.path, (alone, 1.0)), logits(model.path, (folder, 1.0)))


def test_a_mix_is_the_sum_for_us_and_for_peft_safety_41(  # safety 41
    model: Found, noir: Path, verse: Path
) -> None:
    made = publish_mix("dark-verse", {"noir": 0.8, "verse": -1.5}, model)
    expected = logits(model.path, (noir, 0.8), (verse, -1.5))
    assert close(logits(model.path, (made, 1.0)), expected)
    assert close(peft_logits(model.path, made), expected)
    assert not close(expected, logits(model.path), 0.1)
    card = read_card(made)
    assert card is not None
    assert card.parents == {"noir/v0001": 0.8, "verse/v0001": -1.5}
    assert (card.rank, card.alpha, card.genre) == (7, 7.0, "poetry")
    assert card.perplexity_adapter is None


def test_the_same_name_again_is_a_new_mix_safety_41(
    model: Found, noir: Path, verse: Path
) -> None:  # safety 41
    first = publish_mix("dark", {"noir": 0.5}, model)
    second = publish_mix("dark", {"noir": 2.0, "verse": 1.0}, model)
    assert find_adapters(model.path)["dark"] == second != first
    assert close(logits(model.path, (second, 1.0)), logits(model.path, (noir, 2.0), (verse, 1.0)))
    third = publish_mix("dark", {"dark": 0.5}, model)
    assert close(logits(model.path, (third, 1.0)), logits(model.path, (noir, 1.0), (verse, 0.5)))


def test_a_purge_finds_what_was_mixed_from_what_was_kept(model: Found, noir: Path, verse: Path) -> None:
    read = read_card(verse)
    assert read is not None
    (verse / "card.json").write_bytes(card_json(msgspec.structs.replace(read, datasets=("5e7", "0ff"))))
    publish_mix("dusk", {"verse": 0.5, "noir": 1.0}, model)
    publish_mix("night", {"dusk": 0.5}, model)
    assert trained_on({"5e7"}) == ("dusk/v0001", "night/v0001", "verse/v0001")


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -float("inf"), 16.5, -17.0])
def test_weights_that_make_no_sense_are_refused_safety_42(  # safety 42
    model: Found, noir: Path, weight: float
) -> None:
    with pytest.raises(AdapterError, match="makes no sense"):
        publish_mix("odd", {"noir": weight}, model)
    assert set(find_adapters(model.path)) == {"noir"}


def test_ranks_beyond_256_are_refused(model: Found, tmp_path: Path) -> None:
    config = load_config(model.path)
    for name, rank in (("wide", 200), ("broad", 57)):
        publish_adapter(tmp_path, name, model.path, config, rank=rank)
    with pytest.raises(AdapterError, match="ranks sum to 257"):
        publish_mix("both", {"wide": 1.0, "broad": 1.0}, model)


def test_nothing_and_what_is_not_here_are_refused(model: Found, noir: Path) -> None:
    with pytest.raises(AdapterError, match="at least one"):
        publish_mix("empty", {}, model)
    with pytest.raises(AdapterError, match=r"no adapter 'sonnet' .* noir"):
        publish_mix("some", {"sonnet": 1.0}, model)
