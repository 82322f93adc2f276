"""What a run leaves: an adapter that peft and the engine load alike, published after it was loaded again or not at all."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest
import torch
from torch.nn import functional

from storyteller.engine.catalogue import find_adapters, model_hash
from storyteller.engine.network.adapters import load_adapter, mix
from storyteller.engine.network.cache import Trunk
from storyteller.engine.network.model_config import load_config
from storyteller.engine.network.weights import read_network
from storyteller.errors import TrainingError
from storyteller.paths import adapters_dir
from storyteller.training import result
from storyteller.training.adapters.card import read_card
from storyteller.training.adapters.layout import save_synced
from storyteller.training.data import measured_windows
from storyteller.training.events import Evaluated, Finished
from storyteller.training.preparation import Preparation
from storyteller.training.run_folder import RunFolder
from tests.stubs.tiny_gpt2 import VOCAB, open_network, write_model
from tests.stubs.tiny_training import GENRE, STEPS, Told, make_request, train_tiny

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from storyteller.engine.network.model import Network
    from storyteller.training.loop import Run

pytestmark = pytest.mark.usefixtures("quick")


def trained(model: Path, told: Told | None = None, **given: Any) -> Finished:
    ended = train_tiny(model, told, **given)
    assert isinstance(ended, Finished)
    return ended


def some_ids() -> Tensor:
    return torch.randint(1, VOCAB, (40,), generator=torch.Generator().manual_seed(4))


@torch.inference_mode()
def engine_logits(model: Path, adapter: Path | None) -> Tensor:
    network = open_network(model)
    if adapter is not None:
        network = mix(network, [(load_adapter(adapter, load_config(model)), 1.0)])
    return network.logits(Trunk(network).extend(some_ids().tolist()))


@torch.inference_mode()
def peft_logits(model: Path, adapter: Path) -> Tensor:
    import peft
    import transformers

    libraries: tuple[Any, Any] = (peft, transformers)
    base = libraries[1].GPT2LMHeadModel.from_pretrained(model, dtype=torch.float32)
    adapted = libraries[0].PeftModel.from_pretrained(base, adapter).eval()
    logits: Tensor = adapted(input_ids=some_ids()[None]).logits[0]
    return logits


def test_plain_peft_and_the_engine_give_the_same_logits(model: Path) -> None:
    ended = trained(model, rate=5e-2)
    ours = engine_logits(model, Path(ended.path))
    assert (ours - peft_logits(model, Path(ended.path))).abs().max() <= 1e-4
    assert (ours - engine_logits(model, None)).abs().max() > 0.1  # it says something


def engine_perplexity(model: Path, adapter: Path) -> float:
    """Of what a run of `make_request` holds out, in its windows."""
    prepared = Preparation(make_request(model))
    network = mix(open_network(model), [(load_adapter(adapter, load_config(model)), 1.0)])
    nats, count = 0.0, 0
    for window, targets in measured_windows(prepared.pieces.held_out, prepared.settings.seq, 0):
        logits = network.logits(Trunk(network).extend(window[:-1].tolist()))
        nats += float(functional.cross_entropy(logits, window[1:], reduction="sum"))
        count += targets
    return math.exp(nats / count)


def test_its_perplexity_is_that_of_the_published_adapter(model: Path) -> None:
    told = Told()
    ended = trained(model, told)
    card = read_card(Path(ended.path))
    assert card is not None
    assert card.perplexity_base == ended.base_perplexity == told.of(Evaluated)[0].perplexity
    assert card.perplexity_adapter == ended.perplexity == min(e.perplexity for e in told.of(Evaluated))
    assert told.of(Evaluated)[ended.step].best  # measured after every step
    with torch.inference_mode():
        assert engine_perplexity(model, Path(ended.path)) == pytest.approx(ended.perplexity, rel=1e-4)


def test_the_base_that_learned_is_let_go_before_its_weights_are_read_again(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bases: list[ref[Tensor]] = []
    left: list[int] = []
    original = result._trained_logits

    def trained_logits(run: Run, probe: Tensor) -> Tensor:
        bases.extend(ref(weights) for weights in run.learner.model.parameters() if not weights.requires_grad)
        return original(run, probe)

    def read(*given: Any) -> Network:
        left.append(sum(weights() is not None for weights in bases))
        return read_network(*given)

    monkeypatch.setattr(result, "_trained_logits", trained_logits)
    monkeypatch.setattr(result, "read_network", read)
    trained(model)
    assert len(bases) > 20
    assert left == [0]


def test_the_card_says_what_was_done(model: Path) -> None:
    ended = trained(model, name="noir", warnings=("Little text.",), rank=3, seed=8)
    assert ended.adapter == "noir"
    assert Path(ended.path) == adapters_dir() / "noir" / ended.version
    assert find_adapters(model) == {"noir": Path(ended.path)}
    card = read_card(Path(ended.path))
    assert card is not None
    assert (card.name, card.genre, card.base, card.base_hash) == ("noir", GENRE, "tiny", model_hash(model))
    assert (card.rank, card.seed, card.steps, card.batch, card.seq) == (3, 8, ended.step, 4, 16)
    assert card.documents + card.held_out_documents == 12
    assert card.notes == ("Little text.",)


def test_equal_runs_give_equal_adapters_and_another_seed_another(model: Path) -> None:
    one, same, other = (trained(model, seed=seed) for seed in (3, 3, 4))
    first, second, third = (
        (Path(ended.path) / "adapter_model.safetensors").read_bytes() for ended in (one, same, other)
    )
    assert first == second != third
    assert [one.version, same.version, other.version] == ["v0001", "v0002", "v0003"]


@pytest.mark.parametrize("micro_batch", [1, 3])
def test_the_number_of_sequences_at_once_changes_only_rounding(tmp_path: Path, micro_batch: int) -> None:
    # Dropping nothing: other numbers would be dropped for each cut.
    model = write_model(tmp_path / "model", attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)
    plain = trained(model, dropout=0.0, steps=1)
    cut = trained(model, dropout=0.0, steps=1, micro_batch=micro_batch)
    assert cut.perplexity == pytest.approx(plain.perplexity, rel=1e-4)


# Nothing is put to use that was not loaded again


def cut_short(tensors: dict[str, Tensor], path: Path) -> None:
    save_synced(tensors, path)
    path.write_bytes(path.read_bytes()[:-5])


def one_number_off(tensors: dict[str, Tensor], path: Path) -> None:
    changed = {name: tensor.clone() for name, tensor in tensors.items()}
    next(tensor for name, tensor in changed.items() if "lora_B" in name)[0] += 1.0
    save_synced(changed, path)


def of_another_rank(tensors: dict[str, Tensor], path: Path) -> None:
    save_synced({name: tensor.repeat(2, 1) for name, tensor in tensors.items()}, path)


def without_one(tensors: dict[str, Tensor], path: Path) -> None:
    save_synced(dict(list(tensors.items())[1:]), path)


def not_a_number(tensors: dict[str, Tensor], path: Path) -> None:
    save_synced({name: tensor * float("nan") for name, tensor in tensors.items()}, path)


@pytest.mark.parametrize("save", [cut_short, one_number_off, of_another_rank, without_one, not_a_number])
def test_what_is_not_the_same_when_loaded_again_is_not_put_to_use(
    model: Path, monkeypatch: pytest.MonkeyPatch, save: Callable[..., None]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(result, "save_synced", save)
        told = Told()
        with pytest.raises(TrainingError, match="adapter that was saved"):
            train_tiny(model, told, save_every=2)
    assert told.kinds[-1] == "failed"
    assert not told.of(Finished)
    assert not find_adapters(model)
    assert not list(adapters_dir().glob("*/v*"))
    assert isinstance(train_tiny(model, resume=True), Finished)  # what was learned was kept
    assert list(find_adapters(model)) == [GENRE]


def test_the_rounding_of_one_rare_token_is_no_reason_to_refuse(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = result._logits

    def rounded(network: Network, probe: Tensor) -> Tensor:
        logits = plain(network, probe).clone()
        logits[3, 5] += 0.3 * logits.std()  # was seen: 0.281 of the spread, one of half a million
        return logits

    monkeypatch.setattr(result, "_logits", rounded)
    monkeypatch.setitem(result._BOUNDS, "float32", result._BOUNDS["bfloat16"])  # as if it had learned in that
    assert isinstance(train_tiny(model), Finished)


def test_nothing_is_left_of_a_run_that_is_done_but_its_story(model: Path) -> None:
    trained(model, save_every=1)
    left = {path.name for path in RunFolder(GENRE).path.iterdir()}
    assert left == {"control", "events.jsonl", "lock", "result", "run.json"}


def test_steps_are_counted_as_asked(model: Path) -> None:
    told = Told()
    trained(model, told)
    assert told.kinds.count("step") == STEPS
