"""What a writer's own work adds to a corpus."""

from pathlib import Path

import pytest

from storyteller import paths
from storyteller.cli.learned_from import kept_spans, manuscripts, withdrawal
from storyteller.errors import CorpusError
from storyteller.feedback.consent import Scope
from storyteller.feedback.datasets import TooLittleFeedback
from storyteller.feedback.keeping import keep_provenance
from storyteller.feedback.log import FeedbackLog
from storyteller.feedback.purge import Selection, purge
from storyteller.genres import find_genre
from storyteller.training.corpus.load import load_corpus
from storyteller.training.examples import read_examples
from tests.stubs.feedback_story import Story, agreed_log

POETRY = find_genre("poetry")


def test_too_little_feedback_is_said(home: Path) -> None:
    with pytest.raises(TooLittleFeedback, match="of 50"):
        kept_spans(POETRY, record=True)
    with pytest.raises(TooLittleFeedback, match="of 50"):
        kept_spans(POETRY, record=False)


def test_manuscripts_are_those_of_the_genre_that_are_there_and_allowed(home: Path, tmp_path: Path) -> None:
    log = agreed_log()
    story = Story(log)
    here, elsewhere, gone, private = (tmp_path / name for name in ("a.md", "b.md", "c.md", "d.md"))
    for path in (here, elsewhere, private):
        path.write_text("words\n")
    for path, genre in ((here, "poetry"), (elsewhere, "stories"), (gone, "poetry"), (private, "poetry")):
        story.offer("x", document=str(path), genre=genre)
    log.set_consent(Scope.of_document(str(private)), on=False)
    found = manuscripts(POETRY)
    assert (found.paths, found.own, found.left_out) == ((here,), {}, 0)
    assert "One manuscript is learned whole" in " ".join(found.remarks())


def test_what_the_model_wrote_is_left_out_of_a_manuscript_where_that_is_known(
    home: Path, tmp_path: Path
) -> None:
    log = agreed_log()
    known, changed = tmp_path / "known.md", tmp_path / "changed.md"
    text = "I wrote this. The model did. I changed that, though.\n"
    story = Story(log)
    for path in (known, changed):
        path.write_text(text)
        story.offer("x", document=str(path), genre="poetry")
        assert keep_provenance(log, str(path), "poetry", text, "13m15a24e1m")
    changed.write_text(text + "And this came from elsewhere.\n")  # so that no span is sure any more
    found = manuscripts(POETRY)
    assert found.own == {str(known): "I wrote this. I changed that, though.\n"}
    assert found.left_out == len("Themodeldid.")
    assert [remark.split(" ")[0] for remark in found.remarks()] == ["12", "One"]
    corpus = load_corpus(POETRY, found.paths, instead=found.own)
    assert [document.text.count("The model did.") for document in corpus.documents] == [1, 0]


def test_no_manuscript_at_all_is_said(home: Path) -> None:
    with pytest.raises(CorpusError, match="--data"):
        manuscripts(POETRY)


def write_kept_spans() -> None:
    story = Story(agreed_log())
    for number in range(60):
        story.kept(f"a span of words number {number}", genre="poetry", prompt=f"Before {number}")


def recorded_hashes() -> list[str]:
    with FeedbackLog().reading() as connection:
        assert connection is not None
        return [row["hash"] for row in connection.execute("SELECT hash FROM dataset")]


def test_kept_spans_are_recorded_as_a_data_set_so_that_a_purge_finds_what_was_made_of_it() -> None:
    write_kept_spans()
    dataset = kept_spans(POETRY, record=True)
    assert dataset.counts["rows"] >= 50
    assert read_examples(dataset.data, list_of_bytes, eos=0, model_hash="abc123")
    assert recorded_hashes() == [dataset.hash]


def test_what_was_purged_since_is_known_when_it_is_asked_for() -> None:
    write_kept_spans()
    gone = withdrawal(kept_spans(POETRY, record=True))
    assert not gone()
    purge(FeedbackLog(), Selection(everything=True))
    assert gone()
    assert not withdrawal(None)()


def test_a_look_at_kept_spans_writes_nothing() -> None:
    write_kept_spans()
    looked_at = kept_spans(POETRY, record=False)
    assert recorded_hashes() == []
    assert not paths.datasets_dir().exists()
    assert kept_spans(POETRY, record=True) == looked_at


def list_of_bytes(text: str) -> list[int]:
    return list(text.encode())
