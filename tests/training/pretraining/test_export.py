"""The result: a plain folder that transformers and the engine open, and that takes nobody's place."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import torch
import transformers
from safetensors.torch import load_file

from storyteller.engine.model_folder import check_folder
from storyteller.errors import TrainingError
from storyteller.training.pretraining import export as exports
from storyteller.training.pretraining.card import RECORD, Record, readme
from storyteller.training.pretraining.export import export, rounded_logits
from storyteller.training.pretraining.network import as_published, make_network
from tests.stubs.folders import names_in
from tests.stubs.tiny_gpt2 import Room, takes_of
from tests.stubs.tiny_pretraining import VOCABULARY, make_recipe, pretrain_tiny

if TYPE_CHECKING:
    from storyteller.training.pretraining.network import Gpt2

library: Any = transformers
FILES = [
    "README.md", "config.json", "merges.txt", "model.safetensors", "pretraining.json", "tokenizer.json", "tokenizer_config.json",
    "vocab.json",
]  # fmt: skip


@pytest.fixture
def network() -> Gpt2:
    return make_network(make_recipe().model, VOCABULARY, torch.float32, 3)


@pytest.fixture
def record() -> Record:
    return Record(
        recipe=make_recipe(),
        start=None,
        parameters=0,
        vocabulary=VOCABULARY,
        texts="0",
        genres=(),
        step=1,
        tokens=2,
        seconds=3.0,
        curve=(),
        bits_per_byte={"verse": 2.0},
    )


def test_transformers_opens_it_and_its_logits_are_those_that_were_trained(
    undisturbed: Path, network: Gpt2, record: Record, tmp_path: Path
) -> None:
    export(tmp_path / "made", network, undisturbed / "tokens" / "tokenizer", 0, record)
    theirs = library.GPT2LMHeadModel.from_pretrained(tmp_path / "made", dtype=torch.float32).eval()
    tokenizer = library.GPT2TokenizerFast.from_pretrained(tmp_path / "made")
    ids = torch.tensor(tokenizer("The keeper").input_ids[:16])
    with torch.no_grad():
        expected = theirs(ids[None]).logits[0]
    assert torch.allclose(rounded_logits(network, ids), expected, atol=1e-4)
    assert theirs.config.dtype == torch.float32
    assert (theirs.config.eos_token_id, theirs.config.attn_pdrop) == (0, 0.0)


def test_it_is_written_where_one_stands_and_says_how_far_it_sees(
    undisturbed: Path, network: Gpt2, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = tmp_path / "tokenizer"  # made for another model's context
    shutil.copytree(undisturbed / "tokens" / "tokenizer", tokenizer)
    settings = json.loads((tokenizer / "tokenizer_config.json").read_text())
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(settings | {"model_max_length": 999}))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    export(Path(), network, tokenizer, 0, record)
    assert names_in(tmp_path / "here") == FILES
    made = library.GPT2TokenizerFast.from_pretrained(tmp_path / "here")
    assert made.model_max_length == network.shape.context


def test_it_is_in_bfloat16_and_the_engine_writes_with_it(undisturbed: Path) -> None:
    folder = undisturbed / "model"
    assert names_in(folder) == FILES
    check_folder(folder)
    tensors = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    (take,) = takes_of(Room(folder).generate("The keeper", max_tokens=5))
    assert len(take.ids) == 5
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755  # as any folder, not as a temporary one
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}


def test_the_record_says_where_it_comes_from(undisturbed: Path) -> None:
    found = msgspec.json.decode((undisturbed / "model" / RECORD).read_bytes(), type=Record)
    assert found.recipe == make_recipe()
    assert found.bits_per_byte.keys() == {"verse"}
    assert [one.step for one in found.curve] == [4]  # the end is measured as a whole
    assert found.genres[0].documents > found.genres[0].held_out_documents > 0
    assert found.texts == json.loads((undisturbed / "tokens" / "manifest.json").read_text())["key"]


def test_a_folder_with_something_else_is_refused_before_anything_is_done(data: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "novel.md").write_text("mine")
    with pytest.raises(TrainingError, match=r"something else.*novel\.md.*--out"):
        pretrain_tiny(data, tmp_path / "run", out=tmp_path / "out")
    assert names_in(tmp_path / "out") == ["novel.md"]
    assert not (tmp_path / "run").exists()
    with pytest.raises(TrainingError, match="cannot be written"):
        pretrain_tiny(data, tmp_path / "run", out=tmp_path / "out" / "novel.md")


def test_a_model_of_ours_is_written_over_and_what_lies_beside_it_stays(
    undisturbed: Path, network: Gpt2, record: Record, tmp_path: Path
) -> None:
    tokenizer = undisturbed / "tokens" / "tokenizer"
    (tmp_path / "out").mkdir()  # an empty one is as good as none
    export(tmp_path / "out", network, tokenizer, 0, record)
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    (tmp_path / "out" / "notes.md").write_text("mine")
    other = make_network(make_recipe().model, VOCABULARY, torch.float32, 4)
    export(tmp_path / "out", other, tokenizer, 0, record)
    assert names_in(tmp_path / "out") == sorted([*FILES, "notes.md"])
    assert (tmp_path / "out" / "model.safetensors").read_bytes() != before
    assert names_in(tmp_path) == ["out"]


def test_the_card_is_made_anew_but_not_where_a_hand_has_changed_it(
    undisturbed: Path, network: Gpt2, record: Record, tmp_path: Path
) -> None:
    tokenizer, card = undisturbed / "tokens" / "tokenizer", tmp_path / "out" / "README.md"
    export(tmp_path / "out", network, tokenizer, 0, record)
    longer = msgspec.structs.replace(record, step=2)
    export(tmp_path / "out", network, tokenizer, 0, longer)
    assert card.read_text() == readme(longer)
    card.write_text(card.read_text() + "It likes the sea.\n")
    export(tmp_path / "out", network, tokenizer, 0, record)
    assert card.read_text() == readme(longer) + "It likes the sea.\n"


def test_a_model_that_says_something_else_is_not_put_in_its_place(
    undisturbed: Path, network: Gpt2, record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = as_published(make_network(make_recipe().model, VOCABULARY, torch.float32, 4).state_dict())
    monkeypatch.setattr(exports, "as_published", lambda _: other)
    with pytest.raises(TrainingError, match="does not say what was trained"):
        export(tmp_path / "out", network, undisturbed / "tokens" / "tokenizer", 0, record)
    assert names_in(tmp_path) == []


def test_a_start_gives_its_weights_its_shape_and_its_tokenizer(
    data: Path, undisturbed: Path, tmp_path: Path
) -> None:
    start = undisturbed / "model"
    pretrain_tiny(data, tmp_path, start=start, tokens=128, rate=1e-9, matrix_rate=1e-9)
    before, after = (load_file(folder / "model.safetensors") for folder in (start, tmp_path / "model"))
    assert all(tensor.equal(after[name]) for name, tensor in before.items())
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        assert (tmp_path / "model" / name).read_bytes() == (start / name).read_bytes()
    found = msgspec.json.decode((tmp_path / "model" / RECORD).read_bytes(), type=Record)
    assert found.start == "model"
    assert [one.step for one in found.curve] == [0]  # where it began
    (began,) = found.curve[0].bits_per_byte.values()
    assert began == pytest.approx(found.bits_per_byte["verse"], rel=0.01)
    with pytest.raises(TrainingError, match=r"tokens_per_step 120.*16 tokens"):
        pretrain_tiny(data, tmp_path / "other", start=start, tokens_per_step=120)
