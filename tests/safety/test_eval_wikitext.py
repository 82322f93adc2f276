"""The gate of perplexity: GPT-2 large over WikiText-2 is what the field finds.

The rows are checked everywhere; the figures where STORYTELLER_GPT2_LARGE and STORYTELLER_WIKITEXT name the model's
folder and the raw test file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from storyteller.evaluation.texts import wikitext
from tests.stubs.command import in_process

MODEL, FILE = os.environ.get("STORYTELLER_GPT2_LARGE"), os.environ.get("STORYTELLER_WIKITEXT")


def test_wikitext_is_joined_as_its_data_set_joins_it_safety_59() -> None:
    raw = " \n = Robert Boulter = \n \n He was an actor .\u2028 \x0b So . \n"
    rows = ["", " = Robert Boulter = \n", "", " He was an actor .\u2028 \x0b So . \n"]
    assert wikitext(raw) == "\n\n".join(rows)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.skipif(not (MODEL and FILE), reason="needs GPT-2 large and WikiText-2")
@pytest.mark.parametrize(("stride", "figure"), [("1024", 19.44), ("512", 16.44)])
def test_gpt2_large_over_wikitext_2_safety_59(stride: str, figure: float) -> None:
    assert MODEL
    assert FILE
    asked = ["--model", str(Path(MODEL)), "--wikitext", FILE, "--stride", stride, "--json"]
    found = json.loads(in_process("eval", "perplexity", *asked).out)
    assert found["tokens"] + found["skipped"] == 287_644
    assert abs(found["perplexity"] - figure) < 0.01
