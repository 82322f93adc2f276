"""Texts as tokens: nothing is lost, nothing is learned that is measured on, and ends of texts are learned."""

from __future__ import annotations

from collections import Counter
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from storyteller.engine.prompt.tokens import Tokens, load_tokens
from storyteller.errors import CorpusError
from storyteller.training.data import Windows, measured_windows, tokenise
from tests.stubs.tiny_gpt2 import VOCAB
from tests.stubs.tiny_training import documents, verses

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EOS = 0


@pytest.fixture(scope="module")
def tokens(model: Path) -> Tokens:
    return load_tokens(model, vocab_size=VOCAB, eos=EOS)


def encode(text: str) -> list[int]:
    """Characters as ids."""
    return [ord(character) for character in text]


def sides(texts: Sequence[str]) -> tuple[set[str], set[str]]:
    """The texts learned from and those held out."""
    pieces = tokenise(documents(texts), encode, EOS, whole=True)
    read, held_out = (
        {"".join(map(chr, piece[:-1])) for piece in side} for side in (pieces.read, pieces.held_out)
    )
    return read, held_out


lengths = st.lists(st.integers(1, 40), min_size=1, max_size=12)


# Windows


@given(lengths, st.integers(1, 30), st.integers(0, 5), st.integers(0, 3))
def test_every_token_is_a_target_once_an_epoch(sizes: list[int], seq: int, seed: int, epoch: int) -> None:
    total = sum(sizes)
    seq = min(seq, total)
    numbers = iter(range(total))
    windows = Windows([[next(numbers) for _ in range(size)] for size in sizes], seq, seed)
    read, targets = windows.rows(epoch * windows.per_epoch, windows.per_epoch)
    assert read.shape == targets.shape == (windows.per_epoch, seq)
    counts = Counter(targets.flatten().tolist())
    assert set(counts) == set(range(total))
    # What the last window lacks it takes from the beginning: fewer tokens than a window are read twice.
    assert set(counts.values()) <= {1, 2}
    assert sum(count - 1 for count in counts.values()) < seq


@given(lengths, st.integers(1, 10), st.integers(0, 30))
def test_a_window_follows_the_stream_of_its_epoch(sizes: list[int], seq: int, number: int) -> None:
    pieces = [[100 * index + place for place in range(size)] for index, size in enumerate(sizes)]
    window = Windows(pieces, seq, 0)[number].tolist()
    ends = {piece[-1] for piece in pieces}
    for before, after in pairwise(window):
        assert after == before + 1 or (before in ends and after % 100 == 0)


def test_window_n_is_the_same_whenever_it_is_asked_for() -> None:
    pieces = [list(range(100 * index, 100 * index + 37)) for index in range(9)]
    windows = Windows(pieces, 16, 3)
    forwards = [windows[number].tolist() for number in range(70)]
    again = Windows(pieces, 16, 3)
    assert [again[number].tolist() for number in reversed(range(70))] == forwards[::-1]
    read, targets = windows.rows(5, 3)
    assert torch.equal(read, torch.tensor(forwards[5:8])[:, :-1])
    assert torch.equal(targets, torch.tensor(forwards[5:8])[:, 1:])


def test_epochs_and_seeds_differ_in_order_and_in_cuts() -> None:
    pieces = [list(range(100 * index, 100 * index + 37)) for index in range(9)]
    windows, other = Windows(pieces, 16, 3), Windows(pieces, 16, 4)
    first = [windows[number].tolist() for number in range(windows.per_epoch)]
    second = [windows[windows.per_epoch + number].tolist() for number in range(windows.per_epoch)]
    third = [other[number].tolist() for number in range(windows.per_epoch)]
    assert first != second != third != first
    assert {tuple(window) for window in first} != {tuple(window) for window in second}


@given(lengths, st.integers(1, 20))
def test_every_held_out_token_is_measured_once(sizes: list[int], seq: int) -> None:
    numbers = iter(range(1, sum(sizes) + 1))
    pieces = [[next(numbers) for _ in range(size)] for size in sizes]
    windows = measured_windows(pieces, seq, EOS)
    targets = list(chain.from_iterable(window[1:].tolist() for window, _ in windows))
    assert targets == list(chain.from_iterable(pieces))
    assert all(len(window) == count + 1 <= seq + 1 for window, count in windows)
    assert windows[0][0][0] == EOS


# What is held out


def test_a_text_stays_on_its_side_when_texts_are_added() -> None:
    texts = verses(240)
    for few, more in ((60, 61), (60, 120), (120, 240)):
        read, held_out = sides(texts[:few])
        read_later, held_out_later = sides(texts[:more])
        assert read <= read_later
        assert held_out <= held_out_later
    assert 5 <= len(held_out_later) <= 40


@given(st.integers(5, 40), st.integers(0, 1000))
def test_a_text_is_never_on_both_sides_and_none_is_lost(count: int, first: int) -> None:
    texts = [f"Poem {number}, which says a little of itself." for number in range(first, first + count)]
    read, held_out = sides(texts)
    assert read | held_out == set(texts)
    assert not read & held_out
    assert 1 <= len(held_out) <= count / 2


def test_order_of_the_texts_does_not_move_them() -> None:
    texts = verses(20)
    assert sides(texts) == sides(texts[::-1])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_texts_are_divided_between_paragraphs(count: int) -> None:
    texts = [
        "\n\n".join(f"Text {text}, paragraph {number}: it goes on for a while." for number in range(40))
        for text in range(count)
    ]
    pieces = tokenise(documents(texts), encode, EOS, whole=True)
    assert (pieces.documents, pieces.held_out_documents) == (count, count)
    for text, read, held_out in zip(texts, pieces.read, pieces.held_out, strict=True):
        start, rest = "".join(map(chr, read)), "".join(map(chr, held_out[:-1]))
        assert start + "\n\n" + rest == text
        assert rest.startswith("Text ")
        assert 0.02 < len(rest) / len(text) < 0.12
        assert EOS not in read  # it was cut there
        assert held_out[-1] == EOS  # it ends there


def test_of_much_that_is_held_out_some_is_measured_on_from_all_over_and_counted_as_it_is() -> None:
    texts = [f"{number:04d} " + "abc " * 150 for number in range(4000)]
    pieces = tokenise(documents(texts), encode, EOS, whole=True)
    assert pieces.held_out_tokens == 30_000
    assert pieces.held_out_documents == len(pieces.held_out) == 59  # not the four hundred that are held out
    numbers = [int("".join(map(chr, piece[:4]))) for piece in pieces.held_out]
    assert min(numbers) < 500
    assert max(numbers) > 3500
    assert pieces.documents + 400 == pytest.approx(4000, rel=0.1)


def test_of_few_long_texts_that_are_held_out_each_is_measured_on() -> None:
    texts = [f"{number:04d} " + "abc " * 5000 for number in range(20)]
    pieces = tokenise(documents(texts), encode, EOS, whole=True)
    held_out = 20 - pieces.documents
    assert held_out > 1
    assert [len(piece) for piece in pieces.held_out] == [30_000 // held_out] * held_out


def in_two(text: str) -> str:
    """What is held out of one text."""
    (held_out,) = tokenise(documents([text]), encode, EOS, whole=True).held_out
    return "".join(map(chr, held_out[:-1]))


def test_a_last_word_after_a_blank_line_is_not_all_that_is_held_out() -> None:
    story = "\n".join(f"Line {number} of it." for number in range(60))
    assert in_two(f"{story}\n\nTHE END").startswith("Line ")
    assert (
        in_two(f"{story}\n\n{story[: len(story) // 4]}\n\nTHE END")
        == f"{story[: len(story) // 4]}\n\nTHE END"
    )


def test_one_long_paragraph_is_divided_at_a_line() -> None:
    text = "\n".join(f"Line {number} of it." for number in range(60))
    pieces = tokenise(documents([text]), encode, EOS, whole=True)
    assert len(pieces.read) == len(pieces.held_out) == 1
    assert "".join(map(chr, pieces.held_out[0][:-1])).startswith("Line ")


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["a"],
        ["one line"],
        [""] * 9,
        ["x"] * 9,
        ["no place to divide it, however long " * 9],
        verses(1)[:1],
    ],
)
def test_too_little_is_refused_with_what_to_do(texts: list[str]) -> None:
    with pytest.raises(CorpusError, match=r"too few to learn from .* storyteller corpus add"):
        tokenise(documents([text[:60] for text in texts]), encode, EOS, whole=True)


# Safety 60: ends


def test_60_the_end_of_a_text_is_a_target_and_its_label_is_not_masked(tokens: Tokens) -> None:
    pieces = tokenise(documents(verses(20)), tokens.encode, tokens.eos, whole=True)
    for side in (pieces.read, pieces.held_out):
        assert all(piece[-1] == tokens.eos and piece.count(tokens.eos) == 1 for piece in side)
    windows = Windows(pieces.read, 16, 0)
    _, targets = windows.rows(0, windows.per_epoch)  # the loop masks none of them
    assert (targets == tokens.eos).sum() >= len(pieces.read)


def test_60_fragments_carry_no_end(tokens: Tokens) -> None:
    pieces = tokenise(documents(verses(20)), tokens.encode, tokens.eos, whole=False)
    blank_line = tokens.encode("\n\n")
    for piece in chain(pieces.read, pieces.held_out):
        assert tokens.eos not in piece
        assert list(piece[-len(blank_line) :]) == list(blank_line)


def test_60_an_undivided_text_among_few_keeps_its_end() -> None:
    long = "\n\n".join(f"Paragraph {number} of the long text." for number in range(40))
    pieces = tokenise(documents([long, "A short one, in a single line."]), encode, EOS, whole=True)
    assert [piece[-1] == EOS for piece in pieces.read] == [False, True]


def test_60_ids_are_those_of_the_prompt(tokens: Tokens) -> None:
    texts = [*verses(20), "“Who is there?” 日本語の海。\n\n\tA tab; <|endoftext|> as text."]
    pieces = tokenise(documents(texts), tokens.encode, tokens.eos, whole=True)
    learned = {tuple(piece[:-1]) for piece in chain(pieces.read, pieces.held_out)}
    assert learned == {tuple(tokens.encode(text)) for text in texts}
    assert {tokens.decode(list(ids)) for ids in learned} == set(texts)


def test_the_hash_is_of_texts_and_of_ends() -> None:
    texts = verses(20)
    first = tokenise(documents(texts), encode, EOS, whole=True).hash
    assert tokenise(documents(texts), encode, EOS, whole=True).hash == first
    assert tokenise(documents(texts), encode, EOS, whole=False).hash != first
    assert tokenise(documents([*texts[:-1], texts[-1] + "."]), encode, EOS, whole=True).hash != first
