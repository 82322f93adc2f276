"""Texts of every format become the same documents, on every machine, with a report that adds up."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storyteller.errors import CorpusError
from storyteller.genres import shipped_genres
from storyteller.training.corpus.load import Corpus, load_corpus

if TYPE_CHECKING:
    from pathlib import Path

GENRES = shipped_genres()
POEM = "The tide went out.\nThe moon came in."
STORY = "He lit the lamp at four. Nobody came.\n\nIn the morning the stairs were wet."


def load(path: Path, genre: str = "poetry") -> Corpus:
    return load_corpus(GENRES[genre], [path])


def pairs(corpus: Corpus) -> list[tuple[str, str]]:
    return [(document.title, document.text) for document in corpus.documents]


def test_chinese_poetry_json_trains_as_it_is(tmp_path: Path) -> None:
    poems = [
        {"author": "李白", "paragraphs": ["牀前看月光，", "疑是地上霜。"], "title": "靜夜思", "id": "1"},
        {"author": "王維", "paragraphs": ["空山不見人，", "但聞人語響。"], "title": "鹿柴", "id": "2"},
        {"author": "無名", "paragraphs": [], "title": "闕", "id": "3"},
    ]
    (tmp_path / "poet.tang.0.json").write_text(json.dumps(poems, ensure_ascii=False), encoding="utf-8")
    (tmp_path / "authors.tang.json").write_text('[{"name": "李白", "desc": "…"}]', encoding="utf-8")
    corpus = load(tmp_path)
    assert pairs(corpus) == [("靜夜思", "牀前看月光，\n疑是地上霜。"), ("鹿柴", "空山不見人，\n但聞人語響。")]
    assert corpus.report.language == "Chinese"
    assert [skipped.source.partition("/")[2] for skipped in corpus.report.skipped] == [
        "authors.tang.json",
        "poet.tang.0.json:3",
    ]


@pytest.mark.parametrize("field", ["text", "content", "body", "Text", "poem"])
def test_json_lines_under_any_known_name(tmp_path: Path, field: str) -> None:
    file = tmp_path / "poems.jsonl"
    file.write_text(json.dumps({"author": "A", "title": "Tide\n", field: POEM}) + "\n\n", encoding="utf-8")
    corpus = load(file)
    assert pairs(corpus) == [("Tide", POEM)]
    assert corpus.documents[0].source == "poems.jsonl:1"


@pytest.mark.parametrize(
    "content",
    [json.dumps({"text": POEM}), json.dumps([POEM]), json.dumps({"text": POEM}) + '\n{"text": ""}\n'],
    ids=["one object", "bare texts", "json lines under another name"],
)
def test_json_of_other_layouts(tmp_path: Path, content: str) -> None:
    file = tmp_path / "poems.json"
    file.write_text(content, encoding="utf-8")
    assert pairs(load(file)) == [("", POEM)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tifu.tsv", 'id\ttitle\tselftext\ttldr\n1\tLamp\t"He lit it.\nNobody came."\twet\n'),
        ("tifu.csv", 'title,documents,tldr\nLamp,"He lit it.\nNobody came.",wet\n'),
        ("excel.csv", '\ufefftitle;text\nLamp;"He lit it.\r\nNobody came."\r\n'),
    ],
)
def test_tables_with_known_columns(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_bytes(content.encode())
    assert pairs(load(file)) == [("Lamp", "He lit it.\nNobody came.")]


def test_parquet_where_pyarrow_is(tmp_path: Path) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        pytest.skip("pyarrow is not installed")
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table({"n": [1, 2], "title": ["Tide", None], "text": [POEM, None]})
    pyarrow.parquet.write_table(table, tmp_path / "poems.parquet")
    corpus = load(tmp_path / "poems.parquet")
    assert pairs(corpus) == [("Tide", POEM)]
    assert corpus.report.skipped[0].reason == "has no text"


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "poems.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorpusError, match="pip install pyarrow"):
        load(tmp_path / "poems.parquet")


def test_a_text_file_gives_its_title_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"The Lamp\n\n{STORY}\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text(f"“No,” she said.\n\n{STORY[::-1]}\n", encoding="utf-8")
    corpus = load(tmp_path, "stories")
    assert [document.title for document in corpus.documents] == ["The Lamp", ""]
    assert corpus.documents[0].text == STORY
    assert corpus.documents[1].text.startswith("“No,” she said.")


@pytest.mark.parametrize("start", ["# The Lamp #\n\n", '---\ntitle: "The Lamp"\ntags: [sea]\n---\n\n'])
def test_markdown_gives_its_heading_or_front_matter(tmp_path: Path, start: str) -> None:
    (tmp_path / "a.md").write_text(start + STORY, encoding="utf-8")
    assert pairs(load(tmp_path, "stories")) == [("The Lamp", STORY)]


def test_a_gutenberg_book_is_its_own_text(tmp_path: Path) -> None:
    book = (
        "\ufeffThe Project Gutenberg eBook of The Lamp\n\nTitle: The Lamp\n\nAuthor: Nobody\n\n"
        "*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP ***\n\nProduced by A. Volunteer and\nothers\n\n\n"
        f"{STORY}\n\n*** END OF THE PROJECT GUTENBERG EBOOK THE LAMP ***\n\nSection 1. General Terms of Use\n"
    )
    (tmp_path / "pg1.txt").write_text(book, encoding="utf-8")
    assert pairs(load(tmp_path, "stories")) == [("The Lamp", STORY)]


def test_a_file_of_many_pieces_between_end_marks(tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text(f"{STORY}<|endoftext|>{POEM}<|endoftext|>", encoding="utf-8")
    corpus = load(tmp_path, "stories")
    assert [(document.source.partition("/")[2], document.text) for document in corpus.documents] == [
        ("all.txt#1", STORY),
        ("all.txt#2", POEM),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_is_believed(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_text(POEM, encoding=encoding)
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": STORY}) + "\n", encoding=encoding)
    assert pairs(load(tmp_path)) == [("", POEM), ("", STORY)]


def test_a_folder_of_python_is_read_in_an_order_of_names(tmp_path: Path) -> None:
    for name in ("b/z.py", "a.py", "b.py", ".git/hook.py", "b/x.pyc"):
        file = tmp_path / "src" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"def {name[0]}():\n    return '{name}' * {len(name)}\n", encoding="utf-8")
    corpus = load(tmp_path / "src", "code")
    assert [document.source for document in corpus.documents] == ["src/a.py", "src/b/z.py", "src/b.py"]
    assert corpus.documents[0].text == "def a():\n    return 'a.py' * 4"
    assert "endings: .pyc" in corpus.report.skipped[0].reason


def test_the_report_adds_up(tmp_path: Path) -> None:
    rows = [{"text": POEM}, {"text": POEM.upper()}, {"text": "Élan\nvital \ufffd"}, {"text": " \n"}]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = load(tmp_path).report
    assert (report.documents, report.files, report.exact_duplicates, report.blank) == (2, 1, 1, 1)
    assert (report.characters, report.bytes) == (len(POEM) + 12, len(POEM) + 15)
    assert (report.words, report.shortest, report.longest) == (10, 12, len(POEM))
    assert (report.median, report.longest_line, report.damaged) == ((12 + len(POEM)) / 2, 18, 1)
    assert not report.tokens_counted
    assert "by heart" in report.warnings[0]


def test_a_tokeniser_counts_where_one_is_given(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text(POEM, encoding="utf-8")
    report = load_corpus(GENRES["poetry"], [tmp_path], count=len).report
    assert (report.tokens, report.tokens_counted) == (len(POEM), True)


def test_a_copy_of_the_folder_has_the_same_hash_and_another_text_has_not(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    for number in range(12):
        (one / f"{number}.txt").write_text(
            f"Verse {chr(97 + number) * 3} of {chr(98 + number) * 4}", encoding="utf-8"
        )
    shutil.copytree(one, other)
    assert load(one).hash == load(other).hash
    (other / "3.txt").write_text(POEM, encoding="utf-8")
    assert load(one).hash != load(other).hash


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(texts=st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=8), shuffle=st.randoms())
def test_loading_depends_on_the_files_alone(texts: list[str], shuffle: object, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, text in enumerate(texts):
        (folder / f"{number}.jsonl").write_text(json.dumps({"text": text}), encoding="utf-8")
    paths = sorted(folder.iterdir())
    shuffle.shuffle(paths)  # type: ignore[attr-defined]  # hypothesis gives a Random
    try:
        first = load_corpus(GENRES["poetry"], paths)
    except CorpusError:
        return
    again = load_corpus(GENRES["poetry"], sorted(paths))
    assert (first.documents, first.hash) == (again.documents, again.hash)
