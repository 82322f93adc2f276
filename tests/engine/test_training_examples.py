"""Kept spans as sequences: what stood before them is read and not learned."""

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from storyteller.errors import CorpusError
from storyteller.training.data import IGNORED
from storyteller.training.examples import Example, MixedWindows, read_examples

EOS = 0


def row(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "id": "x",
        "prompt": "ab",
        "prompt_ids": [1, 2],
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
    other, edited = read_examples(
        row() + row(completion_ids=None, eos=True), encode, eos=EOS, model_hash="that"
    )
    assert other == Example(tuple(encode("abcd")), 2)
    assert edited == Example((*encode("abcd"), EOS), 2)
    (own,) = read_examples(row(completion_ids=None), encode, eos=EOS, model_hash="this")
    assert own == Example((1, 2, *encode("cd")), 2)


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
    text = list(range(1000, 1050))
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
