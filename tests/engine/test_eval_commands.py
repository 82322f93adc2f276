"""`storyteller eval perplexity`, `lambada`, `diversity`, `memorisation`: rows, tables, and what they refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from storyteller.cli.eval_model import told
from storyteller.engine.network.model_config import load_config
from storyteller.training.corpus import shelf
from tests.stubs.command import in_process
from tests.stubs.tiny_gpt2 import WORDS, write_adapter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.stubs.command import Ended


@pytest.fixture
def asked(starter_model: Path) -> Callable[..., Ended]:
    def ask(command: str, *arguments: object) -> Ended:
        return in_process("eval", command, "--model", str(starter_model), *map(str, arguments))

    return ask


@pytest.fixture
def adapter(starter_model: Path, tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "harbour", load_config(starter_model))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in (WORDS, "The sea. " * 9)))
    return path


def rows_of(ended: Ended) -> list[dict[str, Any]]:
    assert ended.code == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


def test_perplexity_of_base_and_adapters(asked: Callable[..., Ended], adapter: Path, texts: Path) -> None:
    chosen = ("--adapter", adapter, "--adapter", f"{adapter}=0", "--adapter", f"{adapter}=0.5")
    base, whole, none, half = rows_of(asked("perplexity", texts, *chosen, "--json"))
    assert [row["adapter"] for row in (base, whole)] == ["base", str(adapter)]
    assert base["perplexity"] == none["perplexity"]
    assert len({row["perplexity"] for row in (base, whole, half)}) == 3
    assert (base["stride"], base["window"], base["documents"], base["skipped"]) == (256, 512, 1, 1)
    assert (base["model"], base["dtype"], base["device"]) == ("starter", "float32", "cpu")


def test_perplexity_by_document(asked: Callable[..., Ended], texts: Path) -> None:
    (each,) = rows_of(asked("perplexity", texts, "--documents", "--json"))
    (first,) = rows_of(asked("perplexity", texts, "--documents", "--limit", 1, "--json"))
    assert (each["documents"], each["skipped"], first["documents"]) == (2, 0, 1)
    assert first["characters"] == len(WORDS)


def test_wikitext_is_one_text(asked: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "wiki.txt").write_text(" \n = The Sea = \n \n It is wet . \n")
    (found,) = rows_of(asked("perplexity", "--wikitext", tmp_path / "wiki.txt", "--json"))
    assert found["characters"] == len("\n\n = The Sea = \n\n\n\n\n It is wet . \n")


def test_a_table_has_a_row_for_each(asked: Callable[..., Ended], adapter: Path, texts: Path) -> None:
    ended = asked("perplexity", texts, "--adapter", adapter, "--stride", 64, "--window", 128)
    heading, base, adapted = ended.out.splitlines()
    assert heading.split() == ["adapter", "a", "token", "a", "word", "bits", "a", "byte", "tokens", "seconds"]
    assert (base.split()[0], adapted.split()[0]) == ("base", str(adapter))


def test_lambada(asked: Callable[..., Ended], texts: Path, adapter: Path) -> None:
    plain, adapted = rows_of(asked("lambada", texts, "--json", "--adapter", adapter))
    assert (plain["passages"], plain["stop_words"]) == (2, False)
    assert plain["perplexity"] != adapted["perplexity"]
    (one,) = rows_of(asked("lambada", texts, "--limit", 1, "--stop-words", "--json"))
    assert (one["passages"], one["stop_words"]) == (1, True)
    assert "accuracy" in asked("lambada", texts).out


def test_diversity(asked: Callable[..., Ended], tmp_path: Path, adapter: Path) -> None:
    (tmp_path / "prompts.txt").write_text("The sea\n\nA door\n")
    few = ("--prompt", tmp_path / "prompts.txt", "-n", 2, "--max-tokens", 12)
    base, adapted = rows_of(asked("diversity", *few, "--json", "--adapter", adapter))
    assert (base["samples"], base["prompts"], base["preset"], base["seed"]) == (4, 2, "balanced", 1)
    assert base["mean_tokens"] <= 12
    assert base["distinct_2"] != adapted["distinct_2"] or base["self_bleu_4"] != adapted["self_bleu_4"]
    (again,) = rows_of(asked("diversity", *few, "--json"))
    assert {**again, "seconds": 0} == {**base, "seconds": 0}
    (other,) = rows_of(asked("diversity", *few, "--seed", 2, "--json"))
    assert other["self_bleu_4"] != base["self_bleu_4"]
    assert "self-BLEU-4" in asked("diversity", *few).out


def test_none_among_the_adapters_is_the_base_which_is_there_anyway(
    asked: Callable[..., Ended], texts: Path
) -> None:
    (base,) = rows_of(asked("perplexity", texts, "--json", "--adapter", "none"))
    assert base["adapter"] == "base"


def test_memorisation(asked: Callable[..., Ended], starter_model: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (tmp_path / "prompts.txt").write_text("The sea\n")
    few = ("--prompt", tmp_path / "prompts.txt", "-n", 2, "--max-tokens", 24, "--preset", "greedy")
    said = in_process("continue", "--model", str(starter_model), "--preset", "greedy", "--max-tokens", "24", "--adapter", "none", "--json", stdin=b"The sea")  # fmt: skip
    text = json.loads(said.out)["text"]
    (corpus / "a.txt").write_text("Nothing of it.")
    (corpus / "b.jsonl").write_text(json.dumps({"text": "x"}) + "\n" + json.dumps({"text": text}) + "\n")
    (corpus / "picture.png").write_bytes(b"\x89PNG")
    (found,) = rows_of(asked("memorisation", *few, "--corpus", corpus, "--json"))
    assert (found["copied_8"], found["copied_13"]) == (1.0, 1.0)
    assert found["longest_text"] == text
    assert found["longest_source"] == f"{corpus / 'b.jsonl'}:2"
    (none,) = rows_of(asked("memorisation", *few, "--corpus", corpus / "a.txt", "--json"))
    assert none["copied_8"] == 0.0
    table = asked("memorisation", *few, "--corpus", corpus / "a.txt", "--corpus", corpus)
    assert "13-grams" in table.out
    assert "b.jsonl:2" in table.out


def test_memorisation_of_a_genre_reads_what_a_run_would(
    asked: Callable[..., Ended], starter_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "prompts.txt").write_text("The sea\n")
    few = ("--prompt", tmp_path / "prompts.txt", "-n", 1, "--max-tokens", 24, "--preset", "greedy")
    said = in_process("continue", "--model", str(starter_model), "--preset", "greedy", "--max-tokens", "24", "--adapter", "none", "--json", stdin=b"The sea")  # fmt: skip
    text = json.loads(said.out)["text"]
    table = tmp_path / "own.csv"  # a kind that only a corpus may have
    quoted = text.replace('"', '""')
    table.write_text(f'title,text\nFirst,nothing of it\nThe Second,"{quoted}"\n')
    shelf.add("poetry", [table])
    (found,) = rows_of(asked("memorisation", *few, "--genre", "poetry", "--json"))
    assert (found["copied_8"], found["longest_source"].partition(":")[0]) == (1.0, "own.csv")
    assert "corpus add GENRE" in asked("memorisation", *few, "--corpus", table).err
    told = asked("memorisation", *few, "--corpus", tmp_path)
    assert f"{table} is left out" in told.err
    (shipped,) = rows_of(asked("memorisation", *few, "--genre", "stories", "--json"))
    assert shipped["corpus_tokens"] > 10_000
    (tmp_path / "more.txt").write_text("One more text.")
    (both,) = rows_of(
        asked("memorisation", *few, "--genre", "poetry", "--corpus", tmp_path / "more.txt", "--json")
    )
    assert both["corpus_tokens"] > found["corpus_tokens"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["perplexity", "EMPTY"], "empty"),
        (["perplexity", "ONE"], "too short"),
        (["perplexity", "/no/such/file"], "There is no file"),
        (["perplexity", "BAD"], "line 1"),
        (["perplexity", "GOOD", "--wikitext", "GOOD"], "one of them"),
        (["perplexity", "--wikitext", "GOOD", "--documents"], "one text"),
        (["perplexity", "GOOD", "--stride", "513"], "stride"),
        (["perplexity", "GOOD", "--window", "513"], "window"),
        (["perplexity", "GOOD", "--adapter", "nobody"], "nobody"),
        (["perplexity", "GOOD", "--dtype", "int5"], "dtype"),
        (["lambada", "EMPTY"], "no passage"),
        (["lambada", "ONE"], "two words"),
        (["lambada", "/no/such/file"], "There is no file"),
        (["diversity", "--prompt", "EMPTY"], "no prompt"),
        (["diversity", "--preset", "nobody"], "nobody"),
        (["memorisation", "--corpus", "/no/such/folder"], "There is no file or folder"),
        (["memorisation", "--corpus", "FOLDER"], "no text in"),
        (["diversity", "--prompt", "/no/such/file"], "There is no file"),
        (["perplexity", "--wikitext", "/no/such/file"], "There is no file"),
        (["memorisation"], "--corpus"),
        (["memorisation", "--genre", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_is_exit_code_2(
    arguments: list[str], said: str, asked: Callable[..., Ended], tmp_path: Path
) -> None:
    paths = {
        "EMPTY": "empty.txt",
        "ONE": "one.txt",
        "BAD": "bad.jsonl",
        "GOOD": "good.txt",
        "FOLDER": "folder",
    }
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "one.txt").write_text("a")
    (tmp_path / "bad.jsonl").write_text("[1]")
    (tmp_path / "good.txt").write_text(WORDS)
    (tmp_path / "folder").mkdir()
    command, *given = [str(tmp_path / paths[word]) if word in paths else word for word in arguments]
    ended = asked(command, *given)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not ended.out


def test_nothing_of_progress_in_a_pipe(asked: Callable[..., Ended], texts: Path) -> None:
    assert asked("perplexity", texts).err == ""


def test_progress_is_told_ten_times_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    now = 100.0
    monkeypatch.setattr("storyteller.cli.eval_model.progress", lines.append)
    monkeypatch.setattr("storyteller.cli.eval_model.time.monotonic", lambda: now)
    tell = told("lambada, base")
    for step, share in enumerate((0.1, 0.2, 0.3, 1.0)):
        now = 100.0 + step * 0.06
        tell(share)
    assert lines == ["lambada, base: 10%", "lambada, base: 30%", ""]
