"""Folders that a person may not enter: looking for something in them is no fault of the program."""

from __future__ import annotations

import json
import re

from tests.stubs.confined import run_as_plain_user

_IMPORTS = """
import contextlib, io, json, os, sys
from pathlib import Path
from storyteller.cli import app, corpus, diagnosis, doctor, eval_, eval_sampled, pretrain, score, train
from storyteller.disk import is_folder, is_missing, is_there
from storyteller.engine.catalogue import find_model, list_models
from storyteller.training.pretraining import recipe

def closed(path):
    path.mkdir(parents=True)
    (path / "inside").mkdir()
    (path / "text.txt").write_text("A line.")
    path.chmod(0)
    return path
"""
_LOOKS = """
path = closed(Path.cwd() / "closed")
print(json.dumps([[look(path / name) for name in ("inside", "text.txt", "none")] for look in (is_there, is_folder, is_missing)]))
print(json.dumps([look(path) for look in (is_there, is_folder, is_missing)]))
"""
_MODELS = """
closed(Path(os.environ["STORYTELLER_HOME"]) / "data" / "models")
print(json.dumps([find_model(None).name, find_model("starter").name, [found.name for found in list_models()]]))
"""
# They are run once before the user changes, for what they import then is closed to another.
_COMMANDS_IN = """
def told(path):
    for words in (
        ["eval", "perplexity", path / "text.txt"],
        ["eval", "memorisation", "--corpus", path / "text.txt"],
        ["score", path / "text.txt"],
        ["train", "--genre", "poetry", "--data", path / "inside"],
        ["pretrain", "--recipe", path / "recipe.toml"],
        ["corpus", "clean", "poetry", "--out", path / "out.jsonl"],
    ):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            code = app.run([str(word) for word in words])
        yield json.dumps([code, said.getvalue()])

list(told(Path("/nosuch")))
"""
_DOCTOR = """
with contextlib.redirect_stdout(io.StringIO()):
    app.run(["doctor"])
"""


def test_what_is_in_a_closed_folder_is_neither_there_nor_missing() -> None:
    """safety 23"""
    inside, itself = run_as_plain_user(_IMPORTS, _LOOKS).splitlines()
    assert json.loads(inside) == [[False] * 3] * 3
    assert json.loads(itself) == [True, True, False]


def test_with_a_closed_models_folder_the_starter_opens() -> None:
    """safety 23"""
    chosen, named, listed = json.loads(run_as_plain_user(_IMPORTS, _MODELS))
    assert (chosen, named) == ("starter", "starter")
    assert "starter" in listed


def test_commands_say_that_a_file_cannot_be_read_or_written() -> None:
    """safety 23"""
    for line in run_as_plain_user(
        _IMPORTS + _COMMANDS_IN, 'print(*told(closed(Path.cwd() / "closed")), sep="\\n")'
    ).splitlines():
        code, said = json.loads(line)
        assert code == 2, said
        assert "ermission" in said, said


def test_the_doctor_says_which_folder_is_closed() -> None:
    """safety 23"""
    close = 'closed(Path(os.environ["STORYTELLER_HOME"]) / "state"); sys.exit(app.run(["doctor"]))'
    said = run_as_plain_user(_IMPORTS + _DOCTOR, close)
    assert "Amiss" in said
    assert re.search(r"state.*cannot be written", said)
