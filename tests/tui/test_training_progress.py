"""What a run's events add up to, and the words for it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storyteller.training.events import (
    AnyEvent,
    Checkpointed,
    Evaluated,
    Paused,
    Planned,
    Resumed,
    Said,
    Sampled,
    Stepped,
    Stopped,
    from_line,
    to_line,
)
from storyteller.tui.training.curve import smoothed, thinned
from storyteller.tui.training.progress import Progress
from storyteller.tui.training.words import (
    count,
    duration,
    farewell,
    figure_pieces,
    last_lines,
    room_words,
    source_words,
    standing_sentence,
    top_pieces,
)
from tests.stubs import training_events
from tests.stubs.train_run import Run

PLAN = Run("poetry", {"steps": "10"}).plan


def stepped(step: int, loss: float = 3.0) -> Stepped:
    return training_events.stepped(step, steps=10, loss=loss, tokens_per_s=1_940.4)


def heard(*events: AnyEvent) -> Progress:
    progress = Progress()
    for event in events:
        progress = progress.after(event)
    return progress


def measured(step: int, perplexity: float, *, best: bool = True) -> Evaluated:
    return Evaluated(step=step, perplexity=perplexity, best=best)


FINISHED = training_events.finished(10)


def test_the_line_of_figures() -> None:
    progress = heard(PLAN, measured(0, 61.8), stepped(1), measured(1, 34.2), stepped(2))
    words = [piece.text for piece in figure_pieces(progress, going=True)]
    assert words == [
        "base 61.8 → 34.2",
        "best at 1",
        "step 2 of 10",
        "loss 3.00",
        "1,940 tok/s",
        "9.1 GB",
        "4 min left",
    ]
    progress = progress.after(Paused(paused=True))
    assert figure_pieces(progress, going=True)[-1].text == "paused"
    assert [piece.text for piece in figure_pieces(heard(PLAN), going=True)] == ["measuring the base"]
    assert [piece.text for piece in figure_pieces(Progress(), going=True)] == ["reading the texts"]


def test_what_is_learned_from() -> None:
    left, right = top_pieces("poetry", heard(PLAN))
    assert left[0].text == "poetry ← 412 texts, 96 k tokens, 21 held out"
    assert right[0].text == "gpt2-large · bf16 · rank 16"


def test_a_worse_measurement_is_not_the_best() -> None:
    progress = heard(PLAN, measured(0, 60), measured(5, 40), measured(10, 44, best=False))
    assert (progress.base, progress.perplexity) == (60, 40)
    assert progress.best is not None
    assert progress.best.step == 5


def test_another_plan_is_another_run() -> None:
    progress = heard(PLAN, measured(0, 60), stepped(1), FINISHED, PLAN)
    assert (progress.losses, progress.held_out, progress.ended) == ([], [], False)


def test_a_resumed_run_goes_on_with_its_curves() -> None:
    first: list[AnyEvent] = [
        PLAN,
        measured(0, 60),
        stepped(1),
        stepped(2),
        Checkpointed(step=2),
        stepped(3),
        measured(3, 50),
    ]
    progress = heard(*first, Stopped(step=3), PLAN, Resumed(step=2), stepped(3, 2.5))
    assert progress.losses == [(1, 3.0), (2, 3.0), (3, 2.5)]
    assert progress.held_out == [(0, 60)]
    assert not progress.ended
    assert progress.base == 60


def test_a_run_that_resumes_without_a_plan_too() -> None:
    progress = heard(PLAN, stepped(1), stepped(2), Stopped(step=2), Resumed(step=1), stepped(2, 2.0))
    assert progress.losses == [(1, 3.0), (2, 2.0)]
    assert progress.stopped is None


def test_a_step_done_again_is_there_once() -> None:
    assert heard(PLAN, stepped(1), stepped(2), stepped(2, 1.0)).losses == [(1, 3.0), (2, 1.0)]


def test_samples_and_sentences_are_kept_within_bounds() -> None:
    events: list[AnyEvent] = [PLAN]
    events += [Sampled(step=step, prompt="a", text="b") for step in range(500)]
    events += [Said(message=str(number)) for number in range(500)]
    progress = heard(*events)
    assert len(progress.samples) <= 201
    assert progress.samples[-1].step == 499
    assert len(progress.said) <= 101
    assert progress.said[-1] == "499"


def test_the_rooms_words() -> None:
    progress = heard(PLAN, stepped(4))
    assert room_words("poetry", progress, going=True) == "training poetry 40 %"
    assert room_words("poetry", progress, going=False) == ""
    assert farewell("poetry", progress.after(FINISHED), "^G", here=False) == (
        "poetry learned: ^G to write with it."
    )
    assert "without a result" in farewell("poetry", heard(PLAN), "^G", here=False)


@pytest.mark.parametrize(
    ("asked", "said"),
    [("pause", "It pauses after this step."), ("stop", "what it learned is kept"), ("", "")],
)
def test_what_was_asked_for_is_said_until_it_is_done(asked: str, said: str) -> None:
    sentence = standing_sentence("poetry", heard(PLAN), going=True, asked=asked, trouble="")
    assert said in sentence
    assert bool(said) == bool(sentence)


def test_a_run_that_ended_without_a_word() -> None:
    progress = heard(PLAN, stepped(4), Checkpointed(step=4))
    sentence = standing_sentence("poetry", progress, going=False, asked="", trouble="")
    assert "go on from step 4" in sentence


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (240, "4 min"),
        (7_800, "2 h 10 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_counts() -> None:
    assert [count(number, "text") for number in (0, 1, 412, 96_400, 12_000_000)] == [
        "0 texts",
        "1 text",
        "412 texts",
        "96 k texts",
        "12 M texts",
    ]


def test_a_source_is_shown_below_home() -> None:
    home = Path("/home/ada")
    assert source_words(home / "poems", shipped=False, home=home) == "~/poems"
    assert source_words(Path("/srv/poems"), shipped=False, home=home) == "/srv/poems"
    assert "ship" in source_words(Path("/x/corpora/stories"), shipped=True, home=home)


def test_the_end_of_what_was_said() -> None:
    assert last_lines("a\n\nb\nc\nd\n") == "b c d"


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=300), st.integers(1, 50))
def test_thinned_points_keep_the_mean_and_the_last_step(values: list[float], most: int) -> None:
    points = list(enumerate(values, 1))
    thin = thinned(points, most)
    assert len(thin) <= most
    assert thin[-1][0] == len(values)
    assert min(values) - 1e-9 <= min(value for _, value in thin)
    assert max(value for _, value in thin) <= max(values) + 1e-9


def test_a_smoothed_curve_follows_and_leaves_out_what_is_no_number() -> None:
    assert smoothed([(1, 4.0)]) == [(1, 4.0)]
    constant = smoothed([(step, 3.0) for step in range(100)])
    assert all(math.isclose(value, 3.0) for _, value in constant)
    assert smoothed([(1, 2.0), (2, math.nan)]) == [(1, 2.0), (2, 2.0)]


def test_a_line_that_is_no_event_is_none() -> None:
    assert from_line(b"a library talks") is None
    assert from_line(b'{"event": "unheard of"}') is None
    assert from_line(to_line(PLAN)) == Planned(
        **{name: getattr(PLAN, name) for name in PLAN.__struct_fields__}
    )
