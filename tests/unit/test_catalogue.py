"""Which model opens, which adapters go with it, and what is wrong with a folder that cannot."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storyteller.engine.catalogue import (
    find_adapters,
    find_model,
    folder_name,
    hub_cache,
    is_repo_name,
    list_models,
    locate,
    model_hash,
)
from storyteller.engine.model_folder import check_folder, expected_hash, weight_files
from storyteller.errors import ModelError
from storyteller.paths import adapters_dir, models_dir, starter_model_dir
from tests.stubs.model_folders import make_adapter, make_cached_model, make_model, safetensors_bytes

# which model opens


def test_the_starter_opens_on_a_fresh_machine_and_says_how_to_get_more() -> None:
    found = find_model(None)
    assert found.path == starter_model_dir()
    assert found.name == "starter"
    assert "storyteller models get gpt2-large" in found.reason


def test_gpt2_large_of_the_models_directory_opens_before_the_starter() -> None:
    folder = make_model(models_dir() / "gpt2-large")
    found = find_model(None)
    assert (found.path, found.name) == (folder, "gpt2-large")
    assert "models directory" in found.reason


@pytest.mark.parametrize("repo", ["openai-community/gpt2-large", "gpt2-large"])
def test_gpt2_large_of_the_hub_cache_opens_before_the_starter(repo: str) -> None:
    snapshot = make_cached_model(hub_cache(), repo)
    found = find_model(None)
    assert (found.path, found.name) == (snapshot, "gpt2-large")
    assert "Hugging Face cache" in found.reason


def test_the_models_directory_comes_before_the_cache() -> None:
    make_cached_model(hub_cache(), "gpt2-large")
    folder = make_model(models_dir() / "gpt2-large")
    assert find_model(None).path == folder


def test_a_damaged_gpt2_large_is_passed_over_and_named() -> None:
    folder = make_model(models_dir() / "gpt2-large")
    (folder / "model.safetensors").write_bytes(b"")
    found = find_model(None)
    assert found.name == "starter"
    assert str(folder / "model.safetensors") in found.reason


def test_a_cached_tokenizer_alone_is_no_model() -> None:
    snapshot = make_cached_model(hub_cache(), "gpt2-large")
    (snapshot / "model.safetensors").unlink()
    assert find_model(None).name == "starter"


def test_pickle_weights_do_not_open_by_themselves_but_reach_the_loader_when_asked_for() -> None:
    folder = make_model(models_dir() / "gpt2-large")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert find_model(None).name == "starter"
    assert find_model("gpt2-large").path == folder


def test_a_folder_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_model(tmp_path / "mine")
    assert find_model(str(folder)).path == folder
    monkeypatch.chdir(tmp_path)
    assert find_model("./mine").path == folder
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_model("~/mine").path == folder


def test_environment_variables_in_a_model_path_stay_as_they_are_safety_77(  # safety 77
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "mine")
    monkeypatch.setenv("WHERE", str(tmp_path))
    with pytest.raises(ModelError, match="no model"):
        find_model("$WHERE/mine")


@pytest.mark.parametrize("name", ["gpt2-large", "openai-community/gpt2-large"])
def test_short_and_long_names_are_one_model(name: str) -> None:
    folder = make_model(models_dir() / "gpt2-large")
    assert find_model(name).path == folder


def test_any_cached_model_opens_by_its_name() -> None:
    snapshot = make_cached_model(hub_cache(), "someone/little-gpt2")
    assert find_model("someone/little-gpt2").path == snapshot


def test_the_cache_revision_called_main_is_the_one() -> None:
    make_cached_model(hub_cache(), "gpt2", revision="b" * 40, weights=b"the old!")
    newest = make_cached_model(hub_cache(), "gpt2", revision="a" * 40)
    assert find_model("gpt2").path == newest


def test_what_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(ModelError, match="`storyteller models get gpt2-medium` fetches it"):
        find_model("gpt2-medium")
    with pytest.raises(ModelError, match=r"Perhaps gpt2-large\?"):
        find_model("gpt2-lagre")


@pytest.mark.parametrize("name", ["..", "../..", "/nowhere", "", " ", "a/b/c", "-x", "x\0y", "\x1b[31m"])
def test_a_name_never_leads_out_of_the_models_directory_safety_77(name: str) -> None:  # safety 77
    models_dir().mkdir(parents=True)
    if name:
        with pytest.raises(ModelError):
            locate(name)


@given(st.text(max_size=120))
def test_repo_names_are_one_folder_safety_77(name: str) -> None:  # safety 77
    if is_repo_name(name):
        folder = folder_name(name)
        assert Path(folder).name == folder
        assert not folder.startswith(".")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({"HOME": "/d"}, "/d/.cache/huggingface/hub"),
    ],
)
def test_the_hub_cache_is_where_the_hub_library_has_it(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(hub_cache()) == expected


def test_list_names_every_gpt2_and_nothing_else(tmp_path: Path) -> None:
    make_model(models_dir() / "gpt2-large")
    make_model(models_dir() / ".gpt2-xl.partial")
    make_model(models_dir() / "llama", config={"model_type": "llama"})
    (models_dir() / "empty").mkdir()
    make_cached_model(hub_cache(), "openai-community/gpt2")
    make_cached_model(hub_cache(), "someone/else")
    assert [found.name for found in list_models()] == ["starter", "gpt2-large", "gpt2", "someone/else"]


# is it whole?


def test_the_starter_is_whole() -> None:
    check_folder(starter_model_dir())


def shards(folder: Path, **files: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))


def test_shards_are_found_by_the_index(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    shards(folder, a="1.safetensors", b="2.safetensors", c="1.safetensors")
    for name in ("1", "2"):
        (folder / f"{name}.safetensors").write_bytes(safetensors_bytes(b"x"))
    check_folder(folder)
    assert [file.name for file in weight_files(folder)] == ["1.safetensors", "2.safetensors"]
    (folder / "2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"2\.safetensors is missing"):
        check_folder(folder)


@pytest.mark.parametrize("name", ["../other.safetensors", "/etc/passwd", "x.bin", "a/b.safetensors"])
def test_an_index_never_leads_out_of_its_folder_safety_36(name: str, tmp_path: Path) -> None:  # safety 36
    folder = make_model(tmp_path / "m")
    shards(folder, a=name)
    with pytest.raises(ModelError, match="not a weights file of its folder"):
        check_folder(folder)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("config.json", None, "no config.json"),
        ("config.json", b"", "not JSON"),
        ("config.json", b"[" * 200_000, "not JSON"),
        ("config.json", b"[]", "JSON object"),
        ("config.json", b'{"model_type": "llama"}', "type 'llama'"),
        ("config.json", b" " * 1_100_000, "over 1 MB"),
        ("tokenizer.json", None, "no tokenizer"),
        ("model.safetensors", None, "model.safetensors is missing"),
        ("model.safetensors", b"", "damaged: 0 bytes"),
        ("model.safetensors", b"\xff" * 8, "damaged"),
        ("model.safetensors", safetensors_bytes(b"weights!")[:-1], "damaged"),
        ("model.safetensors", safetensors_bytes(b"weights!") + b"?", "damaged"),
        ("model.safetensors", b"\x02\0\0\0\0\0\0\0[]", "damaged"),
        ("model.safetensors", b'\x1a\0\0\0\0\0\0\0{"a":{"data_offsets":[0,"8"]}}', "damaged"),
        ("model.safetensors", b"\x02\0\0\0\0\0\0\0{}?", "damaged"),
    ],
)
def test_a_damaged_model_is_named_by_its_file_safety_36(  # safety 36
    file: str, content: bytes | None, says: str, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "m")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=says) as raised:
        find_model(str(folder)) if file != "config.json" else check_folder(folder)
    assert str(folder) in raised.value.message


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_fifo_in_a_model_folder_does_not_hang_safety_36(file: str, tmp_path: Path) -> None:  # safety 36
    folder = make_model(tmp_path / "m")
    (folder / file).unlink()
    os.mkfifo(folder / file)
    with pytest.raises(ModelError, match="regular file"):
        check_folder(folder)


def test_the_message_has_the_hash_the_cache_knows_safety_36() -> None:  # safety 36
    snapshot = make_cached_model(hub_cache(), "gpt2")
    expected = expected_hash(snapshot / "model.safetensors")
    assert expected is not None
    assert expected.startswith("sha256:")
    (snapshot / "model.safetensors").resolve().write_bytes(b"")
    with pytest.raises(ModelError, match=expected):
        find_model("gpt2")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.binary(max_size=200))
def test_no_bytes_in_a_model_folder_are_more_than_a_message_safety_36(
    data: bytes, tmp_path: Path
) -> None:  # safety 36
    shutil.rmtree(tmp_path / "m", ignore_errors=True)
    folder = make_model(tmp_path / "m")
    for file in ("model.safetensors", "model.safetensors.index.json", "config.json"):
        (folder / file).write_bytes(data)
        with pytest.raises(ModelError, match=re.escape(str(folder))):
            check_folder(folder)
        (folder / "model.safetensors").unlink(missing_ok=True)


# what identifies it


def test_a_copy_has_the_same_hash_whatever_else_its_config_says(tmp_path: Path) -> None:
    one = make_model(tmp_path / "one")
    two = make_model(tmp_path / "two", config={"transformers_version": "5", "_name_or_path": "x"})
    assert model_hash(one) == model_hash(two)


def test_other_weights_or_another_arithmetic_have_another_hash(tmp_path: Path) -> None:
    base = model_hash(make_model(tmp_path / "base", weights=bytes(100_000)))
    trained = bytes(50_000) + b"\x01" * 50_000
    assert model_hash(make_model(tmp_path / "trained", weights=trained)) != base
    assert model_hash(make_model(tmp_path / "other", weights=bytes(100_000), config={"n_head": 2})) != base


# adapters


def test_an_adapter_goes_with_the_model_it_was_trained_on(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    make_adapter(adapters_dir() / "noir", base_hash=model_hash(model))
    make_adapter(adapters_dir() / "verse", base_hash="0" * 32)
    by_hand = make_adapter(adapters_dir() / "by-hand")
    assert find_adapters(model) == {"by-hand": by_hand, "noir": adapters_dir() / "noir"}


def test_what_is_closed_to_us_is_passed_over_or_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(tmp_path / "m")
    closed = make_adapter(adapters_dir() / "noir")
    original = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:
        if closed in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return original(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert find_adapters(model) == {}
    with pytest.raises(ModelError, match="Permission denied"):
        locate(str(closed / "model"))


def test_current_names_the_version(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    for version in ("v1", "v2"):
        make_adapter(adapters_dir() / "noir" / version)
    (adapters_dir() / "noir" / "current").write_text("v2\n")
    assert find_adapters(model) == {"noir": adapters_dir() / "noir" / "v2"}


@pytest.mark.parametrize("pointer", ["../../elsewhere", "/etc", "", "..", "v1/../v1", "\xff", "x" * 1000])
def test_current_never_leads_out_of_its_folder_safety_77(pointer: str, tmp_path: Path) -> None:  # safety 77
    model = make_model(tmp_path / "m")
    make_adapter(tmp_path / "elsewhere")
    make_adapter(adapters_dir() / "noir" / "v1")
    (adapters_dir() / "noir" / "current").write_bytes(pointer.encode("latin-1"))
    assert find_adapters(model) == {}


def test_bundled_adapters_are_the_starters_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starter = make_model(tmp_path / "assets" / "starter", weights=b"starter!")
    monkeypatch.setattr("storyteller.engine.catalogue.bundled_adapters_dir", lambda: tmp_path / "adapters")
    poetry = make_adapter(tmp_path / "adapters" / "poetry", base_hash=model_hash(starter))
    make_adapter(tmp_path / "adapters" / "unsigned")
    other = make_model(tmp_path / "other")
    assert find_adapters(starter) == {"poetry": poetry}
    assert find_adapters(other) == {}
    own = make_adapter(adapters_dir() / "poetry", base_hash=model_hash(starter))
    assert find_adapters(starter) == {"poetry": own}


@pytest.mark.parametrize("card", ["", "[]", "{}", "null", '{"base_hash": ', "[" * 100_000])
def test_a_broken_card_breaks_nothing(card: str, tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    folder = make_adapter(adapters_dir() / "noir")
    (folder / "card.json").write_text(card)
    assert find_adapters(model) == {"noir": folder}


@pytest.mark.parametrize("name", ["Noir", "a b", "[red]", ".hidden"])
def test_a_folder_with_no_adapters_name_is_left_out_safety_53(name: str, tmp_path: Path) -> None:  # safety 53
    make_adapter(adapters_dir() / name)
    assert find_adapters(make_model(tmp_path / "m")) == {}
