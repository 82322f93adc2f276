"""Kept spans as sequences: what stood before them is read and not learned."""

from collections import Counter
from pathlib import Path

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.network.model_config import load_config
from storyteller.engine.prompt.tokens import load_tokens
from storyteller.errors import CorpusError
from storyteller.training.data import IGNORED
from storyteller.training.examples import Example, MixedWindows, read_examples

EOS = 0


def row(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "id": "x",
        "prompt": "ab",
        "prompt_ids": [1, 2],
        "prompt_truncated": False,
        "completion": "cd",
        "completion_ids": [3, 4],
        "eos": False,
        "model_hash": "this",
    }
    return msgspec.json.encode(fields | changes) + b"\n"


def encode(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def test_the_sampled_ids_are_the_authority_for_the_model_that_sampled_them() -> None:
    (example,) = read_examples(row(), encode, eos=EOS, model_hash="this")
    assert example == Example((1, 2, 3, 4), 2)


def test_another_models_ids_are_made_anew_and_an_edited_span_too() -> None:
    other, edited, cut = read_examples(
        row() + row(completion_ids=None, eos=True) + row(prompt_truncated=True),
        encode, eos=EOS, model_hash="that",
    )  # fmt: skip
    assert other == Example((EOS, *encode("abcd")), 3)
    assert edited == Example((EOS, *encode("abcd"), EOS), 3)
    assert cut == Example(tuple(encode("abcd")), 2)  # its beginning is not that of a document


@pytest.mark.parametrize(
    ("prompt", "shown", "completion", "read"),
    [
        ("The old house", "The old", " was dark", "The old house"),  # part of a take; the last word was to be said again
        ("Once upon a ", "Once upon a", "night there", "Once upon a"),  # edited; the space belongs to the next word
        ("The ho", "The", "use was", "The"),  # the word that the caret stood in is learned as a whole
    ],
)  # fmt: skip
def test_what_stood_before_an_edited_span_is_there_to_its_last_letter(
    starter_model: Path, prompt: str, shown: str, completion: str, read: str
) -> None:
    tokens = load_tokens(starter_model, vocab_size=load_config(starter_model).vocab_size, eos=None)
    kept = row(
        prompt=prompt,
        prompt_ids=[tokens.eos, *tokens.encode(shown)],
        completion=completion,
        completion_ids=None,
    )
    (example,) = read_examples(kept, tokens.encode, eos=tokens.eos, model_hash="this")
    assert tokens.decode(example.ids) == prompt + completion
    assert tokens.decode(example.ids[: example.first]) == read
    assert example.ids[0] == tokens.eos


def test_a_line_that_is_no_row_is_named() -> None:
    with pytest.raises(CorpusError, match="Line 2"):
        read_examples(row() + b"{}\n", encode, eos=EOS, model_hash="this")


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=5),
    st.integers(8, 16),
    st.integers(0, 3),
)
def test_an_epoch_has_every_window_and_every_example_once_and_only_what_was_kept_counts(
    sizes: list[tuple[int, int]], seq: int, seed: int
) -> None:
    text = list(range(1000, 1100))
    examples = [
        Example(tuple(range(100 * i + 100, 100 * i + 100 + before + kept)), before)
        for i, (before, kept) in enumerate(sizes)
    ]
    windows = MixedWindows([text], seq, seed, examples, EOS)
    inputs, targets = windows.rows(0, windows.per_epoch)
    assert inputs.shape == targets.shape == (windows.per_epoch, seq)
    of_text = [token for token in targets.flatten().tolist() if token >= 1000]
    assert set(of_text) == set(text)
    for example in examples:
        wanted = list(example.ids[max(1, example.first) :])[-seq:]
        learned = [token for token in targets.flatten().tolist() if token in set(wanted)]
        assert learned == wanted
        assert not set(example.ids[: example.first]) & set(targets.flatten().tolist())
    assert windows.counted(0, windows.per_epoch) == int((targets != IGNORED).sum())
    again = MixedWindows([text], seq, seed, examples, EOS).rows(0, windows.per_epoch)
    assert torch.equal(inputs, again[0])


@given(st.integers(1, 40), st.integers(8, 40), st.integers(1, 4))
def test_at_least_half_of_every_epoch_is_text_and_the_examples_take_turns(
    count: int, seq: int, epochs: int
) -> None:
    text = list(range(1000, 1100))
    examples = [Example((EOS, number), 1) for number in range(100, 100 + count)]
    windows = MixedWindows([text], seq, 0, examples, EOS)
    _, targets = windows.rows(0, epochs * windows.per_epoch)
    of_text = int((targets[:, 0] >= 1000).sum())
    assert of_text == epochs * -(-len(text) // seq)
    read = Counter(targets[targets[:, 0] < 1000][:, 0].tolist())
    assert read.total() == epochs * min(count, of_text // epochs)
    counts = [read[number] for number in range(100, 100 + count)]
    assert max(counts) - min(counts) <= 1
