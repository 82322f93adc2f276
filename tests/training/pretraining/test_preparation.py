"""Texts to tokens: what is held out stays out, what was made is not made again, and half of it never counts."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tokenizers import Tokenizer

from storyteller.cli.eval_texts import read_corpus
from storyteller.engine.network.model_config import ModelConfig
from storyteller.errors import CorpusError
from storyteller.evaluation.texts import documents as read_documents
from storyteller.training.pretraining import preparation, shards
from storyteller.training.pretraining.cleaning import tidy
from storyteller.training.pretraining.preparation import Texts, prepare
from storyteller.training.pretraining.shards import (
    SHARD_TOKENS,
    ShardWriter,
    Stream,
    Windows,
    held_out_texts,
    learned_texts,
    open_prepared,
)
from storyteller.training.pretraining.tokenizer import END, FILES
from tests.stubs.folders import names_in
from tests.stubs.tiny_gpt2 import VOCAB, write_model
from tests.stubs.tiny_pretraining import VOCABULARY, make_recipe, recipe_fields, write_data
from tests.stubs.tiny_training import verses

if TYPE_CHECKING:
    from pathlib import Path

    from storyteller.training.pretraining.shards import Prepared


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


def prepared(texts: Texts, folder: Path) -> Prepared:
    return prepare(texts, folder, texts.key(), lambda _: None)


def ids_of(stream: Stream) -> list[int]:
    ids: list[int] = stream.window(0, len(stream)).tolist()
    return ids


def documents_of(made: Prepared, stream: Stream) -> list[str]:
    tokenizer = Tokenizer.from_file(str(made.tokenizer / "tokenizer.json"))
    texts = tokenizer.decode(ids_of(stream), skip_special_tokens=False).split(END)
    assert texts.pop() == ""  # every document is ended
    return texts


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared(Texts(make_recipe(), data), tmp_path_factory.mktemp("run") / "tokens")


def test_every_document_is_learned_from_or_held_out_and_none_is_both(made: Prepared) -> None:
    (genre,) = made.manifest.genres
    learned = documents_of(made, Stream([made.folder / name for name in genre.shards]))
    held_out = documents_of(made, made.held_out()["verse"].stream)
    assert sorted(learned + held_out) == sorted(map(tidy, verses(24)))
    assert not set(learned) & set(held_out)
    assert len(held_out) >= 2
    assert (genre.documents, genre.held_out_documents) == (len(learned), len(held_out))
    assert genre.bytes == sum(len(text.encode()) for text in learned)
    assert genre.held_out_bytes == sum(len(text.encode()) for text in held_out)


def test_what_is_held_out_is_there_as_texts_too(made: Prepared) -> None:
    name = held_out_texts("verse")
    texts = read_documents((made.folder / name).read_text(), name)
    assert texts == documents_of(made, made.held_out()["verse"].stream)


def test_what_is_learned_from_can_be_read_as_texts(
    data: Path, made: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (genre,) = made.manifest.genres
    expected = documents_of(made, Stream([made.folder / name for name in genre.shards]))
    texts = list(read_corpus([made.folder]))
    assert [text for _, text in texts] == expected
    assert texts[0][0].endswith("tokens: verse 1")
    monkeypatch.setattr(shards, "SHARD_TOKENS", 100)  # documents that go on in the next file
    assert (
        list(read_corpus([prepared(Texts(make_recipe(), data), tmp_path / "tokens").folder]))[-1][1]
        == expected[-1]
    )
    assert learned_texts(tmp_path) is None


def test_a_document_stays_on_its_side_when_others_come(made: Prepared, tmp_path: Path) -> None:
    more = prepared(Texts(make_recipe(), write_data(tmp_path / "more", 30)), tmp_path / "tokens")
    before, after = (documents_of(one, one.held_out()["verse"].stream) for one in (made, more))
    assert set(before) <= set(after)


def test_the_same_again_makes_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = Texts(make_recipe(), data)
    first = prepared(texts, tmp_path / "tokens")
    stamps = {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")}
    monkeypatch.setattr(preparation, "train_tokenizer", lambda *_: pytest.fail("made again"))
    assert prepared(texts, tmp_path / "tokens").manifest == first.manifest
    assert {path: path.stat().st_mtime_ns for path in first.folder.rglob("*")} == stamps
    # How the network learns changes no token.
    assert Texts(make_recipe(rate=0.5, seed=9), data).key() == texts.key()


def test_two_preparations_give_the_same_bytes(made: Prepared, data: Path, tmp_path: Path) -> None:
    assert prepared(Texts(make_recipe(), data), tmp_path / "tokens").manifest == made.manifest


@pytest.mark.parametrize("change", ["recipe", "text"])
def test_something_else_takes_the_place_of_what_was_there(tmp_path: Path, change: str) -> None:
    folder = write_data(tmp_path / "data")
    before = prepared(Texts(make_recipe(), folder), tmp_path / "tokens").manifest
    recipe = make_recipe()
    if change == "recipe":
        recipe = msgspec.structs.replace(recipe, data=msgspec.structs.replace(recipe.data, held_out=3))
    else:
        (folder / "verses" / "000.txt").write_text("Other words.\n" * 9)
    after = prepared(Texts(recipe, folder), tmp_path / "tokens").manifest
    assert after.key != before.key
    assert names_in(tmp_path) == ["data", "tokens"]


@pytest.mark.parametrize("call", ["write_tokenizer", "files_in", "write_synced", "sync_directory"])
def test_killed_in_the_middle_it_begins_anew_and_leaves_nothing(
    data: Path, tmp_path: Path, made: Prepared, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    texts, run = Texts(make_recipe(), data), tmp_path / "run"

    def killed(*_: object) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(preparation, call, killed)
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process tidies nothing
        # A process number that nobody has, as that of a process that is gone.
        patch.setattr(os, "getpid", lambda: 2**22 + 1)
        with pytest.raises(Killed):
            prepared(texts, run / "tokens")
    assert len(names_in(run)) == 1
    assert open_prepared(run / "tokens", texts.key()) is None
    assert prepared(texts, run / "tokens").manifest == made.manifest
    assert names_in(run) == ["tokens"]


@pytest.mark.parametrize(
    "name",
    [
        "train-verse-000.bin",
        "held-verse-000.bin",
        "held-verse.jsonl",
        "manifest.json",
        "tokenizer/merges.txt",
    ],
)
def test_damage_is_noticed_and_mended(data: Path, tmp_path: Path, made: Prepared, name: str) -> None:
    texts = Texts(make_recipe(), data)
    prepared(texts, tmp_path / "tokens")
    path = tmp_path / "tokens" / name
    path.write_bytes(path.read_bytes()[:-2])
    assert open_prepared(tmp_path / "tokens", texts.key()) is None
    assert prepared(texts, tmp_path / "tokens").manifest == made.manifest


def test_no_more_megabytes_than_were_asked_for(data: Path, tmp_path: Path, made: Prepared) -> None:
    recipe = make_recipe()
    some = msgspec.structs.replace(recipe, data=msgspec.structs.replace(recipe.data, megabytes=0.002))
    (genre,) = prepared(Texts(some, data), tmp_path / "tokens").manifest.genres
    longest = max(len(text.encode()) for text in verses(24))
    assert 2000 <= genre.bytes < 2000 + longest < made.manifest.genres[0].bytes


def test_a_start_s_tokenizer_is_used(data: Path, tmp_path: Path) -> None:
    start = write_model(tmp_path / "start")
    found = prepared(
        Texts(make_recipe(), data, (start, ModelConfig(vocab_size=VOCAB, eos_token_id=0))),
        tmp_path / "tokens",
    )
    theirs = Tokenizer.from_file(str(start / "tokenizer.json"))
    assert (found.manifest.vocabulary, found.manifest.end) == (theirs.get_vocab_size(), 0)
    text = documents_of(found, found.held_out()["verse"].stream)[0]
    assert ids_of(found.held_out()["verse"].stream)[: len(theirs.encode(text).ids)] == theirs.encode(text).ids
    assert names_in(found.tokenizer) == sorted(FILES)


def test_a_mark_spelt_out_in_a_text_is_its_letters(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "data")
    for path in (folder / "verses").iterdir():
        path.write_text(path.read_text() + " <|endoftext|> and on")
    found = prepared(Texts(make_recipe(), folder), tmp_path / "tokens")
    (genre,) = found.manifest.genres
    learned = ids_of(Stream([found.folder / name for name in genre.shards]))
    assert learned.count(0) == genre.documents


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {
                "sources": [{"genre": "verse", "kind": "folder", "form": "code", "path": "few"}],
                "tokenizer": {"vocabulary": 257},
            },
            "No document was found",
        ),
        ({"sources": [{"genre": "verse", "kind": "folder", "form": "prose", "path": "one"}]}, "held out"),
        ({"tokenizer": {"vocabulary": 60_000}}, "60000"),
    ],
    ids=["nothing to learn", "nothing held out", "a vocabulary for more"],
)
def test_too_little_is_said_before_training(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = write_data(tmp_path / "data")
    for name, text in (("few", "x = 1\n"), ("one", verses(1)[0])):
        (folder / name).mkdir()
        (folder / name / "a.txt").write_text(text)
    recipe = msgspec.convert(recipe_fields() | change, type(make_recipe()))
    with pytest.raises(CorpusError, match=said):
        prepared(Texts(recipe, folder), tmp_path / "run" / "tokens")
    assert names_in(tmp_path / "run") == []


# Shards and windows


def test_ids_come_back_over_the_edges_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_TOKENS", 10)
    writer = ShardWriter(tmp_path, "x")
    ids = [65_535, *range(24)]
    for start in range(0, len(ids), 7):
        writer.add(ids[start : start + 7])
    writer.close()
    assert names_in(tmp_path) == writer.names == ["x-000.bin", "x-001.bin", "x-002.bin"]
    assert (writer.tokens, SHARD_TOKENS * 2) == (25, 32 << 20)
    stream = Stream([tmp_path / name for name in writer.names])
    assert ids_of(stream) == ids
    assert stream.window(8, 5).tolist() == ids[8:13]
    assert stream.window(23, 30).tolist() == [*ids[23:], *ids, *ids[:3]]  # its end goes on with its beginning


def windows(tmp_path: Path, seed: int = 1) -> Windows:
    streams = []
    for number, (length, repeats) in enumerate(((50, 1), (23, 3))):
        writer = ShardWriter(tmp_path, f"{number}-{seed}")
        writer.add(range(1000 * number, 1000 * number + length))
        writer.close()
        streams.append((Stream([tmp_path / name for name in writer.names]), repeats))
    return Windows(streams, 10, seed)


def test_an_epoch_reads_every_token_as_often_as_its_genre_repeats(tmp_path: Path) -> None:
    made = windows(tmp_path)
    assert made.per_epoch == 5 + 3 * 3
    for epoch in range(3):
        rows = made.batch(epoch * made.per_epoch, made.per_epoch)
        assert rows.shape == (made.per_epoch, 11)
        read = rows[:, :-1].flatten().tolist()
        assert all(read.count(token) == 1 for token in range(50))
        assert all(3 <= read.count(1000 + token) <= 6 for token in range(23))


def test_the_order_is_a_function_of_the_seed_alone(tmp_path: Path) -> None:
    first = windows(tmp_path)
    whole = first.batch(0, 40)
    later = Windows(
        [(stream, repeats) for stream, repeats in zip(first._streams, (1, 3), strict=True)], 10, 1
    )
    assert later.batch(31, 9).equal(whole[31:])
    assert later.batch(3, 2).equal(whole[3:5])
    other = Windows(
        [(stream, repeats) for stream, repeats in zip(first._streams, (1, 3), strict=True)], 10, 2
    )
    assert not other.batch(0, 40).equal(whole)


def test_the_vocabulary_is_as_large_as_the_recipe_says(made: Prepared) -> None:
    assert made.manifest.vocabulary == VOCABULARY
    assert max(ids_of(made.held_out()["verse"].stream)) < VOCABULARY
