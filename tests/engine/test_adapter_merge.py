"""Merged models: transformers opens them, and their logits are the adapter's. GGUF: so does llama.cpp."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoTokenizer, GPT2LMHeadModel

from storyteller.engine.gguf_file import write_gguf
from storyteller.engine.model_folder import check_folder
from storyteller.errors import AdapterError, ModelError, UserError
from storyteller.training.adapters import merge as merging
from storyteller.training.adapters.export import export_gguf
from storyteller.training.adapters.merge import merge
from tests.engine.test_adapters import train_adapter
from tests.stubs.tiny_gpt2 import close, write_model

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

IDS = [5, 80, 33, 12, 301, 7, 7, 90]
with_gguf = pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="gguf is not installed")


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_adapter(tiny_model, tmp_path_factory.mktemp("adapters") / "noir", r=3, lora_alpha=5)


def plain_logits(folder: Path, ids: list[int] = IDS) -> Tensor:
    model = GPT2LMHeadModel.from_pretrained(folder, attn_implementation="eager")
    assert model.dtype == torch.float32
    with torch.inference_mode():
        logits: Tensor = model(torch.tensor([ids])).logits[0]
    return logits


def peft_logits(model: Path, adapter: Path) -> Tensor:
    base = GPT2LMHeadModel.from_pretrained(model, dtype=torch.float32, attn_implementation="eager")
    adapted = PeftModel.from_pretrained(base, adapter)
    adapted.train(mode=False)
    with torch.inference_mode():
        logits: Tensor = adapted(torch.tensor([IDS])).logits[0]
    return logits


@pytest.mark.parametrize("fields", [{}, {"tie_word_embeddings": False}, {"n_inner": 48}], ids=str)
def test_merged_saved_and_opened_again_it_has_the_adapters_logits_safety_58(  # safety 58
    make_model: Callable[..., Path], tmp_path: Path, fields: dict[str, Any]
) -> None:
    model = make_model(**fields)
    adapter = train_adapter(model, tmp_path / "noir")
    merged = merge(model, adapter, tmp_path / "made" / "merged")
    check_folder(merged)
    difference = (plain_logits(merged) - peft_logits(model, adapter)).abs().max()
    assert difference < merging.TOLERANCE
    assert not close(plain_logits(merged), plain_logits(model), 0.1)
    tokenizer = AutoTokenizer.from_pretrained(merged)
    assert tokenizer.decode(tokenizer.encode("The sea")) == "The sea"


def test_a_half_precision_base_is_merged_in_float32_safety_58(tmp_path: Path) -> None:  # safety 58
    model = write_model(tmp_path / "half", dtype=torch.bfloat16)
    config = json.loads((model / "config.json").read_text())
    odd = {"dtype": "bfloat16", "auto_map": {"AutoModel": "evil.py"}, "_name_or_path": "/home/ada"}
    (model / "config.json").write_text(json.dumps(config | odd))
    adapter = train_adapter(model, tmp_path / "noir")
    merged = merge(model, adapter, tmp_path / "merged")
    assert (plain_logits(merged) - peft_logits(model, adapter)).abs().max() < merging.TOLERANCE
    with safe_open(merged / "model.safetensors", framework="pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F32"}  # noqa: SIM118 - no mapping
    written = json.loads((merged / "config.json").read_text())
    assert not written.keys() & {"auto_map", "_name_or_path"}


def test_a_quantised_base_is_refused_safety_58(tiny_model: Path, adapter: Path, tmp_path: Path) -> None:
    """safety 58: a merge never goes into weights in few bits."""
    model = write_model(tmp_path / "quantised")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}})
    )
    with pytest.raises(ModelError, match="unquantised"):
        merge(model, adapter, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_a_merge_that_differs_is_not_kept_safety_58(  # safety 58
    tiny_model: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "TOLERANCE", -1.0)
    with pytest.raises(AdapterError, match="logits differ"):
        merge(tiny_model, adapter, tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


def test_the_check_sees_a_product_laid_the_wrong_way(tiny_model: Path, adapter: Path, tmp_path: Path) -> None:
    """safety 58: c_proj of the attention is square; its transpose fits and is wrong."""
    from safetensors.torch import load_file, save_file

    from storyteller.engine.network.adapters import load_adapter
    from storyteller.engine.network.model_config import load_config

    merged = merge(tiny_model, adapter, tmp_path / "merged")
    loaded = load_adapter(adapter, load_config(tiny_model))
    merging.require_equal(tiny_model, loaded, merged)
    tensors = load_file(merged / "model.safetensors")
    name = "transformer.h.1.attn.c_proj.weight"
    tensors[name] = tensors[name].t().contiguous()
    save_file(tensors, merged / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(AdapterError, match="logits differ"):
        merging.require_equal(tiny_model, loaded, merged)


def test_what_is_there_is_never_written_over(tiny_model: Path, adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("taken", "link", "taken/thesis.txt"):
        with pytest.raises(AdapterError, match="is there already"):
            merge(tiny_model, adapter, tmp_path / name)
    (tmp_path / "empty").mkdir()
    assert merge(tiny_model, adapter, tmp_path / "empty") == tmp_path / "empty"


def test_a_full_disk_leaves_nothing(
    tiny_model: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(merging, "write_synced", full)
    with pytest.raises(OSError, match="No space"):
        merge(tiny_model, adapter, tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


# GGUF


def llama_logits(path: Path, ids: list[int]) -> tuple[Tensor, list[int]]:
    """Of every position, and twelve greedy tokens after them."""
    llama_cpp = pytest.importorskip("llama_cpp")
    model = llama_cpp.Llama(
        str(path), n_ctx=64, n_threads=1, n_threads_batch=1, logits_all=True, verbose=False
    )
    model.eval(ids)
    logits = torch.tensor(model.scores[: len(ids)])
    model.reset()
    drawn = []
    for token in model.generate(ids, temp=0.0, repeat_penalty=1.0):
        drawn.append(token)
        if len(drawn) == 12:
            break
    return logits, drawn


def greedy(folder: Path, ids: list[int], count: int) -> list[int]:
    drawn: list[int] = []
    for _ in range(count):
        drawn.append(int(plain_logits(folder, ids + drawn)[-1].argmax()))
    return drawn


@with_gguf
@pytest.mark.parametrize("fields", [{}, {"tie_word_embeddings": False}], ids=str)
def test_llama_cpp_computes_what_transformers_does(
    make_model: Callable[..., Path], tmp_path: Path, fields: dict[str, Any]
) -> None:
    model = make_model(**fields)
    adapter = train_adapter(model, tmp_path / "noir")
    merged = merge(model, adapter, tmp_path / "merged")
    file = export_gguf(model, adapter, tmp_path / "out" / "noir.gguf", "F32")
    logits, drawn = llama_logits(file, IDS)
    expected = plain_logits(merged)
    assert close(
        logits, expected, 0.02 * float(expected.std())
    )  # llama.cpp keeps keys, values and gelu in half
    assert drawn == greedy(merged, IDS, len(drawn))
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["noir.gguf"]


@with_gguf
@pytest.mark.parametrize(("dtype", "slack"), [("F16", 0.1), ("Q8_0", 0.3)])
def test_fewer_bits_stay_near(
    tiny_model: Path, adapter: Path, tmp_path: Path, dtype: str, slack: float
) -> None:
    merged = merge(tiny_model, adapter, tmp_path / "merged")
    logits, _ = llama_logits(export_gguf(tiny_model, adapter, tmp_path / "noir.gguf", dtype), IDS)
    expected = plain_logits(merged)
    assert close(logits, expected, slack * float(expected.std()))


@with_gguf
def test_llama_cpp_splits_text_as_the_tokenizer_does(starter_model: Path, tmp_path: Path) -> None:
    llama_cpp = pytest.importorskip("llama_cpp")
    write_gguf(starter_model, tmp_path / "starter.gguf", "F16")
    model = llama_cpp.Llama(str(tmp_path / "starter.gguf"), n_ctx=64, verbose=False)
    tokenizer = AutoTokenizer.from_pretrained(starter_model)
    for text in (
        "The old lighthouse keeper didn't answer.",
        "  def f(x):\n    return x\n",
        "Ada said: “No.” é 海",
    ):
        assert model.tokenize(text.encode(), add_bos=False) == tokenizer.encode(text)


@with_gguf
def test_an_export_that_fails_leaves_nothing(
    make_model: Callable[..., Path], adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    relu = make_model(activation_function="relu")
    with pytest.raises(ModelError, match="no GPT-2 with activation_function relu"):
        export_gguf(relu, adapter, tmp_path / "noir.gguf")
    with pytest.raises(UserError, match="no dtype of a GGUF file"):
        export_gguf(tiny_model, adapter, tmp_path / "noir.gguf", "Q3")
    narrow = make_model(n_embd=40)
    with pytest.raises(ModelError, match="widths that 32 divides"):
        export_gguf(narrow, train_adapter(narrow, tmp_path / "narrow"), tmp_path / "noir.gguf", "Q8_0")
    assert [entry.name for entry in tmp_path.iterdir()] == ["narrow"]
    (tmp_path / "taken.gguf").write_text("precious")
    with pytest.raises(AdapterError, match="is there already"):
        export_gguf(tiny_model, adapter, tmp_path / "taken.gguf")
    with pytest.raises(AdapterError, match="is a folder"):
        export_gguf(tiny_model, adapter, tmp_path)


def test_without_gguf_it_says_how_to_get_it(
    tiny_model: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storyteller.training.adapters.export.find_spec", lambda _: None)
    with pytest.raises(UserError, match="pip install gguf"):
        export_gguf(tiny_model, adapter, tmp_path / "noir.gguf")
