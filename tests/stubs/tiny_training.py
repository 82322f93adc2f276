"""Training runs of a second: a tiny GPT-2, a dozen verses, a few steps."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storyteller.engine.catalogue import Found
from storyteller.genres import shipped_genres
from storyteller.training.corpus.document import Document
from storyteller.training.events import Finished, Stepped, Stopped
from storyteller.training.preparation import Request
from storyteller.training.run import run_training
from storyteller.training.run_folder import RunFolder
from storyteller.training.settings import Wanted
from tests.stubs.command import Ended, in_process
from tests.stubs.tiny_gpt2 import WORDS, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    from storyteller.training.events import AnyEvent

GENRE = "poetry"
_OF_REQUEST = ("name", "genre", "save_every", "warnings", "datasets", "withdrawn")
STEPS = 6


def verses(count: int = 12) -> list[str]:
    """So many texts of eight lines; the first ones are the same however many are asked for."""
    vocabulary = WORDS.split()
    return [
        "\n".join(" ".join(random.Random(f"{text}/{line}").choices(vocabulary, k=6)) for line in range(8))
        for text in range(count)
    ]


def documents(texts: Sequence[str]) -> list[Document]:
    """`texts` as a corpus gives them."""
    return [Document(text, f"{number}.txt") for number, text in enumerate(texts)]


def make_request(model: Path, *, texts: Sequence[str] | None = None, **wanted: Any) -> Request:
    """A run of `STEPS` steps on the CPU in float32, measured after every step; fields of `Request` or of `Wanted`."""
    request = {field: wanted.pop(field) for field in _OF_REQUEST if field in wanted}
    settings: dict[str, Any] = {
        "rank": 2, "alpha": 8.0, "dropout": 0.05, "rate": 1e-2, "steps": STEPS, "batch": 4, "seq": 16, "patience": 0,
    }  # fmt: skip
    return Request(
        genre=request.pop("genre", shipped_genres()[GENRE]),
        name=request.pop("name", GENRE),
        found=Found(model, "tiny", "a test's"),
        documents=documents(verses() if texts is None else texts),
        wanted=Wanted(**settings | wanted),
        device="cpu",
        dtype="float32",
        threads=1,
        **request,
    )


class Told:
    """What a run said, and what is done when it says it."""

    def __init__(self, **at: Any) -> None:
        """`at`: from the tag of an event (`step`, `checkpointed`) to what is called with it."""
        self.events: list[AnyEvent] = []
        self._at = at

    def __call__(self, event: AnyEvent) -> None:
        self.events.append(event)
        act = self._at.get(str(event.__struct_config__.tag))
        if act is not None:
            act(event)

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def kinds(self) -> list[str]:
        """The tags of all events, in order."""
        return [str(event.__struct_config__.tag) for event in self.events]


def train_tiny(model: Path, told: Told | None = None, **given: Any) -> Finished | Stopped:
    """One whole run of `make_request`; what `run_training` takes goes to it."""
    options = {name: given.pop(name) for name in ("interrupted", "resume", "restart") if name in given}
    return run_training(
        make_request(model, **given), RunFolder(GENRE), told if told is not None else Told(), **options
    )


def without_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs write no samples and guess no speed, which would take most of their time."""
    monkeypatch.setattr("storyteller.training.run.sampler", lambda *_: None)
    monkeypatch.setattr("storyteller.training.estimate._rate", lambda *_: 1e9)


def weights_of(finished: object) -> bytes:
    """The file that a run published."""
    assert isinstance(finished, Finished)
    return (Path(finished.path) / "adapter_model.safetensors").read_bytes()


def interrupted_at(step: int, model: Path, **given: Any) -> Told:
    """A run that was stopped after `step` steps, with a checkpoint there."""
    told = Told()
    ended = train_tiny(model, told, interrupted=lambda: len(told.of(Stepped)) >= step, **given)
    assert ended == Stopped(step=step)
    return told


def fail_call(
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    calls: set[int],
    error: Callable[[], BaseException],
) -> None:
    """Have these calls of `owner.name`, from 1, raise."""
    original, count = getattr(owner, name), [0]

    def wrapped(*args: Any, **named: Any) -> Any:
        count[0] += 1
        if count[0] in calls:
            raise error()
        return original(*args, **named)

    monkeypatch.setattr(owner, name, wrapped)


def write_steady_model(folder: Path) -> Path:
    """One that drops nothing of its own, so that a step is the same however it is cut."""
    return write_model(folder, attn_pdrop=0.0, embd_pdrop=0.0, resid_pdrop=0.0)


def write_verses(folder: Path) -> Path:
    """A folder of `verses`, a file each."""
    folder.mkdir()
    for number, text in enumerate(verses()):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    return folder


def command_options(model: Path, texts: Path, **more: Any) -> list[str]:
    """Of a run as `make_request` has them, as words of a command line."""
    named = {
        "base": model, "data": texts, "rank": 2, "alpha": 8, "dropout": 0.05, "rate": 0.01, "steps": 40, "batch": 4,
        "seq": 16, "patience": 0, "save-every": 1, "device": "cpu", "dtype": "float32", "threads": 1,
    } | more  # fmt: skip
    return [word for name, value in named.items() for word in (f"--{name}", str(value))]


def train_here(*words: str) -> Ended:
    """`storyteller train --genre poetry …` in this process."""
    return in_process("train", "--genre", GENRE, *words)
