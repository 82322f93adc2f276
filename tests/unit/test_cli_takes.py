"""What `continue` prints as takes grow: in order, once, and never anything that is taken back later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from storyteller.cli.takes import TakePrinter, json_line, may_be_taken_back, settled_sentences
from storyteller.engine.prompt.sentences import last_sentence_end
from storyteller.engine.protocol import Rewound, TakeDone, Token
from storyteller.engine.sampling.loops import LONGEST_PERIOD, find_loop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.engine.protocol import Finish


class Paper:
    """Where a printer writes."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        assert text
        self.text += text


def token(take: int, text: str, number: int | None = None) -> Token:
    return Token(
        id="r", take=take, text=text, token=hash(text) % 1000 if number is None else number, logprob=-1.0
    )


def done(take: int, text: str, finish: Finish = "length", ids: Sequence[int] = ()) -> TakeDone:
    return TakeDone(
        id="r", take=take, text=text, ids=tuple(ids), logprobs=(), finish=finish, seed=7 + take, seconds=1.0,
        first_token_s=0.1,
    )  # fmt: skip


def printer(takes: int = 1, prompt: Sequence[int] = ()) -> tuple[TakePrinter, Paper]:
    paper = Paper()
    printed = TakePrinter(takes, paper.write)
    printed.begin(prompt)
    return printed, paper


def test_one_take_is_printed_as_it_grows_and_ended_with_a_newline() -> None:
    printed, paper = printer()
    printed.handle(token(0, " a lamp", 1))
    assert paper.text == " a lamp"
    printed.handle(token(0, " burned", 2))
    assert paper.text == " a lamp burned"
    printed.handle(done(0, " a lamp burned low"))
    assert paper.text == " a lamp burned low\n"


def test_a_take_that_ends_its_line_gets_no_second_newline() -> None:
    printed, paper = printer()
    printed.handle(done(0, "The end.\n"))
    assert paper.text == "The end.\n"


def test_an_empty_take_is_an_empty_line() -> None:
    printed, paper = printer()
    printed.handle(done(0, ""))
    assert paper.text == "\n"


def test_several_takes_come_one_after_another_with_a_line_above_each() -> None:
    printed, paper = printer(takes=2)
    printed.handle(token(0, "one", 1))
    printed.handle(token(1, "uno", 2))
    assert paper.text == "==> take 1 of 2 <==\none"
    printed.handle(done(0, "one"))
    assert paper.text == "==> take 1 of 2 <==\none\n\n==> take 2 of 2 <==\nuno"
    printed.handle(token(1, " dos", 3))
    assert paper.text.endswith("uno dos")
    printed.handle(done(1, "uno dos"))
    assert paper.text == "==> take 1 of 2 <==\none\n\n==> take 2 of 2 <==\nuno dos\n"


def test_takes_that_end_before_their_turn_wait_for_it() -> None:
    printed, paper = printer(takes=3)
    printed.handle(done(2, "three"))
    printed.handle(done(1, "two"))
    assert paper.text == "==> take 1 of 3 <==\n"
    printed.handle(done(0, "one"))
    assert [line for line in paper.text.splitlines() if not line.startswith("==>")] == [
        "one",
        "",
        "two",
        "",
        "three",
    ]


def test_what_may_still_be_cut_waits() -> None:
    paper = Paper()
    printed = TakePrinter(1, paper.write, settled=lambda text: text.rfind(".") + 1)
    printed.begin(())
    for number, text in enumerate(["One.", " Two", " is", " long.", " Thr"]):
        printed.handle(token(0, text, number))
    assert paper.text == "One. Two is long."
    printed.handle(done(0, "One. Two is long."))
    assert paper.text == "One. Two is long.\n"


def test_a_model_cannot_print_control_characters_safety_44() -> None:  # safety 44
    printed, paper = printer()
    printed.handle(token(0, "a\x1b]0;owned\x07b", 1))
    printed.handle(token(0, "\x1b", 2))
    printed.handle(token(0, "[31m\x9b\u202e", 3))
    printed.handle(done(0, "a\x1b]0;owned\x07b\x1b[31m\x9b\u202e"))
    assert paper.text == "a]0;ownedb[31m\n"


def test_a_loop_is_not_printed_before_the_engine_leaves_it() -> None:
    printed, paper = printer()
    for number, text in [(1, "He"), (2, " ran"), (3, " on")] * 3:
        printed.handle(token(0, text, number))
    assert paper.text == "He ran on"
    printed.handle(Rewound(id="r", take=0, characters=2 * len("He ran on"), tokens=6, reason="loop"))
    printed.handle(token(0, " home", 9))
    printed.handle(done(0, "He ran on home"))
    assert paper.text == "He ran on home\n"


def test_without_a_loop_guard_a_loop_is_printed_as_it_comes() -> None:
    paper = Paper()
    printed = TakePrinter(1, paper.write, loops_are_left=False)
    printed.begin(())
    for number, text in [(1, "ha"), (1, "ha"), (1, "ha")]:
        printed.handle(token(0, text, number))
    assert paper.text == "hahaha"


def test_a_take_that_nobody_could_foresee_is_said_again_whole() -> None:
    printed, paper = printer()
    printed.handle(token(0, "a lamp", 1))
    printed.handle(done(0, "no lamp"))
    assert paper.text == "a lamp\n\nno lamp\n"


def test_may_be_taken_back_counts_the_longest_repeat_at_the_end() -> None:
    assert may_be_taken_back([]) == 0
    assert may_be_taken_back([1, 2, 3]) == 0
    assert may_be_taken_back([1, 2, 1]) == 1
    assert may_be_taken_back([5, 1, 2, 1, 2, 1, 2]) == 4


@given(
    st.lists(st.integers(0, 3), max_size=60),
    st.lists(st.integers(0, 3), min_size=1, max_size=20),
    st.integers(1, 20),
)
def test_a_loop_never_begins_before_what_is_held_back(
    before: list[int], phrase: list[int], times: int
) -> None:
    ids = before + phrase * times
    for length in range(1, len(ids) + 1):
        start = find_loop(ids[:length])
        if start is not None:  # the engine goes back now
            assert start >= length - may_be_taken_back(ids[:length])
            return


@given(
    st.lists(
        st.sampled_from(["He", "ran", ".", "!", '"', ")", " ", "\n", "3", "Mr", "。", "」", "\u2026"]),
        max_size=40,
    ).map("".join),
    st.integers(0, 80),
)
def test_a_settled_sentence_is_never_cut(text: str, length: int) -> None:
    assert settled_sentences(text[:length]) <= last_sentence_end(text)


def test_a_sentence_is_settled_once_a_blank_follows_it() -> None:
    assert settled_sentences("It rained. He ran") == len("It rained.")
    assert settled_sentences("It rained.") == 0
    assert settled_sentences("It cost 3.") == 0


@given(st.lists(st.integers(0, 2), min_size=1, max_size=120), st.lists(st.integers(0, 2), max_size=5))
def test_what_is_printed_is_never_taken_back_however_often_loops_are_left(
    choices: list[int], prompt: list[int]
) -> None:
    printed, paper = printer(prompt=prompt)
    ids: list[int] = []
    for choice in choices:
        ids.append(choice)
        printed.handle(token(0, f"{choice}.", choice))
        start = find_loop([*prompt, *ids], len(prompt))
        if start is not None:
            back = len(ids) - (start - len(prompt))
            printed.handle(Rewound(id="r", take=0, characters=2 * back, tokens=back, reason="a loop"))
            del ids[len(ids) - back :]
        assert "".join(f"{token}." for token in ids).startswith(paper.text)
    text = "".join(f"{token}." for token in ids)
    printed.handle(done(0, text))
    assert paper.text == text + "\n"


def test_the_period_is_the_engines() -> None:
    from storyteller.cli import takes

    assert takes.LONGEST_PERIOD == LONGEST_PERIOD


EVENTS = st.lists(
    st.tuples(st.integers(0, 2), st.text(alphabet="ab \n.", min_size=0, max_size=4), st.integers(0, 5)),
    max_size=40,
)


@given(EVENTS, st.permutations([0, 1, 2]))
def test_all_takes_end_up_printed_in_order_whatever_the_order_of_events(
    events: list[tuple[int, str, int]], endings: list[int]
) -> None:
    printed, paper = printer(takes=3)
    texts = ["", "", ""]
    for take, text, number in events:
        printed.handle(token(take, text, number))
        texts[take] += text
    for take in endings:
        printed.handle(done(take, texts[take]))
    blocks = [
        f"==> take {number} of 3 <==\n{text}" + ("" if text.endswith("\n") else "\n")
        for number, text in enumerate(texts, 1)
    ]
    assert paper.text == "\n".join(blocks)


def test_a_json_line_has_stable_keys_in_order() -> None:
    line = json_line(done(1, "“no”\n\x1b", "stop", [4, 5]))
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert list(json.loads(line)) == [
        "take", "text", "ids", "logprobs", "finish", "seconds", "first_token_s", "seed",
    ]  # fmt: skip
    assert json.loads(line)["text"] == "“no”\n\x1b"
    assert json.loads(line)["seed"] == 8
    assert "\x1b" not in line
