"""LoRA beside the weights, against peft; mixes; and what the cache does when a mix changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import GPT2LMHeadModel

from storyteller.engine.network.adapters import load_adapter, mix
from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.linear import AdaptedLinear, DenseLinear
from storyteller.engine.network.model_config import load_config
from storyteller.engine.protocol import AdapterWeight, Ready
from storyteller.engine.settings import SamplerSettings
from storyteller.errors import AdapterError
from storyteller.paths import adapters_dir
from tests.stubs.tiny_gpt2 import Room, close, open_network, takes_of, write_adapter

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from storyteller.engine.network.adapters import Adapter
    from storyteller.engine.network.model import Network

IDS = [5, 80, 33, 12, 301, 7, 7, 90]
ALL = ["c_attn", "c_proj", "c_fc"]
PLAIN = SamplerSettings(loop_guard=False, banned_tokens=(0,))


def train_adapter(model: Path, folder: Path, *, seed: int = 0, **fields: Any) -> Path:
    """An adapter as peft saves it, with numbers instead of training."""
    torch.manual_seed(seed)
    base = GPT2LMHeadModel.from_pretrained(model, dtype=torch.float32)
    settings: dict[str, Any] = {
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ALL,
        "fan_in_fan_out": True,
        "task_type": "CAUSAL_LM",
    }
    adapted = get_peft_model(base, LoraConfig(**settings | fields))
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_adapter(tiny_model, tmp_path_factory.mktemp("adapters") / "noir")


@pytest.fixture(scope="module")
def second(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_adapter(tiny_model, tmp_path_factory.mktemp("adapters") / "verse", seed=1, r=2, lora_alpha=2)


def our_logits(network: Network) -> Tensor:
    trunk = Trunk(network)
    return network.logits(trunk.extend(IDS))


def peft_logits(model: Path, folder: Path) -> Tensor:
    base = GPT2LMHeadModel.from_pretrained(model, dtype=torch.float32, attn_implementation="eager")
    adapted = PeftModel.from_pretrained(base, folder)
    adapted.train(mode=False)
    with torch.inference_mode():
        logits: Tensor = adapted(torch.tensor([IDS])).logits[0]
    return logits


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"target_modules": ["c_attn"]},
        {"target_modules": ["mlp.c_proj", "c_fc"], "r": 3, "lora_alpha": 1},
        {"target_modules": ["attn.c_proj"], "fan_in_fan_out": False},
    ],
    ids=str,
)
def test_an_adapter_at_weight_1_is_pefts(
    tiny_model: Path, tmp_path: Path, fields: dict[str, Any]
) -> None:  # safety 41
    folder = train_adapter(tiny_model, tmp_path / "own", **fields)
    network = open_network(tiny_model)
    adapted = mix(network, [(load_adapter(folder, network.config), 1.0)])
    assert close(our_logits(adapted), peft_logits(tiny_model, folder))
    assert not close(our_logits(adapted), our_logits(network), 0.1)


def test_a_mix_adds_each_by_its_weight(tiny_model: Path, adapter: Path, second: Path) -> None:
    """Two adapters by weight are the base with both products added to its weights."""
    network = open_network(tiny_model)
    first, other = (load_adapter(folder, network.config) for folder in (adapter, second))
    mixed = mix(network, [(first, 0.5), (other, 2.0)])

    def added(adapter: Adapter, weight: float, layer: int, part: str) -> Tensor:
        down, up = adapter.layers[layer][part]
        return down @ up * adapter.scale * weight

    by_hand = [
        {
            part: (torch.eye(len(down)), added(first, 0.5, layer, part) + added(other, 2.0, layer, part))
            for part, (down, _) in first.layers[layer].items()
        }
        for layer in range(network.config.n_layer)
    ]
    assert close(our_logits(mixed), our_logits(network.with_adapters(by_hand)))


def test_nothing_mixed_is_the_network_itself(tiny_model: Path, adapter: Path) -> None:
    network = open_network(tiny_model)
    assert mix(network, []) is network
    nothing = mix(network, [(load_adapter(adapter, network.config), 0.0)])
    assert close(our_logits(nothing), our_logits(network))


def test_a_small_product_is_heard_beside_a_large_residual() -> None:
    """In bfloat16 a quarter vanishes beside 64, and a half does not: the low-rank product belongs to what it is beside."""
    row = torch.ones(1, 1, dtype=torch.bfloat16)
    linear = AdaptedLinear(DenseLinear(0.25 * row, 0 * row[0]), row, 0.25 * row)
    assert float(linear.added(row, 64 * row)) == 64.5


def test_changing_the_mix_reads_the_prompt_again(
    tiny_model: Path, adapter: Path, second: Path
) -> None:  # safety 40
    room = Room(tiny_model, adapters=(str(adapter), str(second)))
    ready = room.status[-1]
    assert isinstance(ready, Ready)
    assert {"noir", "verse"} <= set(ready.adapters)
    mixes = [
        (),
        (AdapterWeight("noir"),),
        (AdapterWeight("noir", 0.5), AdapterWeight("verse", 0.5)),
        (AdapterWeight("verse", 0.5), AdapterWeight("noir", 0.5)),
        (AdapterWeight("noir", 0.0),),
        (AdapterWeight(str(second)),),
    ]
    switching = [takes_of(room.generate("The sea", adapters=one, settings=PLAIN))[0].ids for one in mixes]
    for one, ids in zip(mixes, switching, strict=True):
        fresh = Room(tiny_model, adapters=(str(adapter), str(second)))
        assert takes_of(fresh.generate("The sea", adapters=one, settings=PLAIN))[0].ids == ids
    assert switching[2] == switching[3]
    assert switching[0] == switching[4]
    assert len({switching[0], switching[1], switching[2], switching[5]}) == 4


def test_the_same_mix_again_is_served_from_the_cache(tiny_model: Path, adapter: Path) -> None:
    room = Room(tiny_model, adapters=(str(adapter),))
    wanted = (AdapterWeight("noir"),)
    room.generate("The old sea", adapters=wanted)
    began = room.generate("The old sea", adapters=wanted)[0]
    assert getattr(began, "reused", 0) > 0
    assert getattr(room.generate("The old sea")[0], "reused", 1) == 0


def test_contrast_pushes_away_from_the_base(tiny_model: Path, adapter: Path) -> None:
    room = Room(tiny_model, adapters=(str(adapter),))
    wanted = (AdapterWeight("noir"),)
    greedy = SamplerSettings(method="greedy", loop_guard=False, adapter_contrast=0.5)
    take = takes_of(room.generate("The sea", adapters=wanted, heal=False, max_tokens=1, settings=greedy))[0]
    model = room.core.opened
    adapted, base = model.network_with(wanted), model.network
    ids = [0, *model.tokens.encode("The sea")]
    rows = [torch.log_softmax(one.logits(Trunk(one).extend(ids)[-1:])[0], -1) for one in (adapted, base)]
    pushed = rows[0] + 0.5 * (rows[0] - rows[1])
    pushed[rows[0] < rows[0].max() + torch.log(torch.tensor(0.1))] = -torch.inf
    assert take.ids[0] == int(pushed.argmax())


def test_unknown_adapters_and_weights_are_refused(tiny_model: Path, adapter: Path) -> None:
    room = Room(tiny_model, adapters=(str(adapter),))
    with pytest.raises(AdapterError, match=r"There is no adapter 'sonnet' .* Here: noir"):
        room.generate("The sea", adapters=(AdapterWeight("sonnet"),))
    for weight in (float("nan"), float("inf"), 17.0):
        with pytest.raises(AdapterError, match="has a weight of"):
            room.generate("The sea", adapters=(AdapterWeight("noir", weight),))


def test_an_adapter_of_another_model_is_refused_by_name(
    tiny_model: Path, make_model: Any, tmp_path: Path
) -> None:
    """safety 42: the wrong base."""
    wide = train_adapter(make_model(n_embd=40), tmp_path / "wide")
    deep = train_adapter(make_model(n_layer=4), tmp_path / "deep")
    shallow = train_adapter(make_model(n_layer=2), tmp_path / "shallow")
    config = load_config(tiny_model)
    with pytest.raises(AdapterError, match="trained on another model, or with another rank"):
        load_adapter(wide, config)
    with pytest.raises(AdapterError, match="adapts layer 3, and the model has 3"):
        load_adapter(deep, config)
    with pytest.raises(AdapterError, match="layer 2: it is incomplete"):
        load_adapter(shallow, config)


def test_a_version_put_in_use_while_the_model_is_open_is_used(tiny_model: Path) -> None:
    config = load_config(tiny_model)
    shelf = adapters_dir() / "poetry"
    write_adapter(shelf / "v0001", config, seed=1)
    write_adapter(shelf / "v0002", config, seed=2)
    room = Room(tiny_model)

    def asked(*adapters: AdapterWeight) -> str:
        return takes_of(room.generate("The old", settings=PLAIN, adapters=adapters))[0].text

    def use(version: str) -> None:
        new = shelf / "new"
        new.write_text(version, encoding="ascii")
        new.rename(shelf / "current")

    poetry = AdapterWeight("poetry")
    use("v0001")
    first = asked(poetry)
    assert first == asked(AdapterWeight(str(shelf / "v0001")))
    use("v0002")
    second = asked(poetry)
    assert second == asked(AdapterWeight(str(shelf / "v0002")))
    assert first != second
    use("v0001")
    assert asked(poetry) == first
