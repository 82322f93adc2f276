"""safety 37: no device, no memory at load, no memory in the middle: smaller batch, then the processor, and it is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from storyteller.engine.network import device, weights
from storyteller.engine.network.cache import Branches, Trunk
from storyteller.engine.network.device import Placement
from storyteller.engine.network.native.engine import native_engine
from storyteller.engine.protocol import Context, Done, Notice, Prepare, Probe, Ready, Rewound, Score, Token
from storyteller.engine.settings import SamplerSettings
from storyteller.engine.writing import loaded
from storyteller.engine.writing.decode import ONE_BY_ONE
from storyteller.engine.writing.loaded import TO_PROCESSOR, LoadedModel
from storyteller.errors import EngineError
from tests.stubs.tiny_gpt2 import Room, takes_of, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from storyteller.engine.network.native.engine import NativeEngine
    from storyteller.engine.protocol import GenerateEvent

PLAIN = SamplerSettings(loop_guard=False, banned_tokens=(0,))
NO_MEMORY = "CUDA out of memory. Tried to allocate 20.00 GiB."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def pretend_a_gpu(room: Room) -> LoadedModel:
    """Let the engine believe that what it decodes with is not the processor."""
    model = room.core.opened
    model.placement = replace(model.placement, device=torch.device("cuda"))
    return model


def fail_on(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, calls: set[int]) -> list[int]:
    """Raise what a device out of memory raises at these calls of `owner.method`, counted from 1."""
    original: Callable[..., Any] = getattr(owner, method)
    count = [0]

    def wrapped(self: object, *args: object, **named: object) -> object:
        count[0] += 1
        if count[0] in calls:
            raise torch.OutOfMemoryError(NO_MEMORY)
        return original(self, *args, **named)

    monkeypatch.setattr(owner, method, wrapped)
    return count


def messages(events: Sequence[object]) -> list[str]:
    return [event.message for event in events if isinstance(event, Notice)]


def streamed(events: list[GenerateEvent], take: int) -> str:
    text = ""
    for event in events:
        if isinstance(event, Token) and event.take == take:
            text += event.text
        elif isinstance(event, Rewound) and event.take == take:
            text = text[: len(text) - event.characters]
    return text


@pytest.mark.parametrize("step", [1, 2, 9])
def test_takes_that_do_not_fit_together_are_written_one_by_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    expected = takes_of(Room(folder).generate("The old sea", takes=3, settings=PLAIN))
    room = Room(folder)
    fail_on(monkeypatch, Branches, "extend", set(range(step, 100)))
    events = room.generate("The old sea", takes=3, settings=PLAIN)
    assert messages(events) == [ONE_BY_ONE]
    assert [take.ids for take in takes_of(events)] == [take.ids for take in expected]
    for take in takes_of(events):
        assert streamed(events, take.take) == take.text
    assert isinstance(events[-1], Done)


def test_lanes_that_cannot_even_be_begun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = takes_of(Room(folder).generate("The old sea", takes=2, settings=PLAIN))
    room = Room(folder)
    fail_on(monkeypatch, Branches, "__init__", set(range(1, 100)))
    events = room.generate("The old sea", takes=2, settings=PLAIN)
    assert messages(events) == [ONE_BY_ONE]
    assert [take.ids for take in takes_of(events)] == [take.ids for take in expected]


@pytest.mark.parametrize("call", [1, 2, 5])
def test_a_device_that_fails_is_left_for_the_processor(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    expected = takes_of(Room(folder).generate("The old sea", settings=PLAIN))
    room = Room(folder)
    model = pretend_a_gpu(room)
    fail_on(monkeypatch, Trunk, "extend", {call})
    events = room.generate("The old sea", settings=PLAIN)
    assert messages(events) == [TO_PROCESSOR]
    assert takes_of(events)[0].ids == expected[0].ids
    assert streamed(events, 0) == takes_of(events)[0].text
    assert model.placement.device.type == "cpu"
    assert not messages(room.generate("The old sea", settings=PLAIN))


def test_the_processor_goes_on_with_every_thread(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def watched(threads: int, *, wait: bool) -> NativeEngine | None:
        asked.append(threads)
        return native_engine(threads, wait=wait)

    before = torch.get_num_threads()
    monkeypatch.setattr(device, "_chosen", 0)
    monkeypatch.setattr(device, "_usable_cores", lambda: 2)
    monkeypatch.setattr(loaded, "native_engine", watched)
    try:
        room = Room(folder, threads=2)
        pretend_a_gpu(room)
        fail_on(monkeypatch, Trunk, "extend", {1})
        assert messages(room.generate("The old sea", settings=PLAIN)) == [TO_PROCESSOR]
    finally:
        torch.set_num_threads(before)
    assert asked == [2, 2]


def test_first_a_smaller_batch_and_then_the_processor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = takes_of(Room(folder).generate("The old sea", takes=2, settings=PLAIN))
    room = Room(folder)
    pretend_a_gpu(room)
    fail_on(monkeypatch, Branches, "extend", {4})
    fail_on(monkeypatch, Trunk, "extend", {4})
    events = room.generate("The old sea", takes=2, settings=PLAIN)
    assert messages(events) == [ONE_BY_ONE, TO_PROCESSOR]
    assert [take.ids for take in takes_of(events)] == [take.ids for take in expected]


def test_no_memory_on_the_processor_is_an_error_and_the_next_request_works(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(folder)
    with monkeypatch.context() as patch:
        fail_on(patch, Trunk, "extend", {1})
        with pytest.raises(EngineError, match="not enough memory"):
            room.generate("The old sea", settings=PLAIN)
    assert takes_of(room.generate("The old sea", settings=PLAIN))


def test_a_python_memory_error_counts_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(folder)

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Trunk, "extend", fail)
    with pytest.raises(EngineError, match="not enough memory"):
        room.generate("The old sea", settings=PLAIN)


def test_a_device_without_room_for_the_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = weights.load_network
    tried: list[str] = []

    def reluctant(path: Path, config: Any, placement: Placement, *others: Any) -> Any:
        tried.append(placement.device.type)
        if placement.device.type == "cuda":
            raise torch.OutOfMemoryError(NO_MEMORY)
        return (yield from original(path, config, placement, *others))

    monkeypatch.setattr(loaded, "load_network", reluctant)
    monkeypatch.setattr(loaded, "place", lambda *_: Placement(torch.device("cuda"), torch.float16))
    room = Room(folder)
    assert tried == ["cuda", "cpu"]
    assert messages(room.status) == [TO_PROCESSOR]
    ready = room.status[-1]
    assert isinstance(ready, Ready)
    assert (ready.device, ready.dtype) == ("cpu", "float32")
    assert takes_of(room.generate("The sea"))


@pytest.mark.parametrize(("dtype", "bits"), [("int8", 8), ("int4", 4)])
def test_few_bits_stay_few_on_the_processor(
    folder: Path, monkeypatch: pytest.MonkeyPatch, dtype: Any, bits: int
) -> None:
    room = Room(folder, dtype=dtype)
    expected = takes_of(room.generate("The old sea", settings=PLAIN))
    model = pretend_a_gpu(room)
    fail_on(monkeypatch, Trunk, "extend", {2})
    room.core.opened.forget()
    events = room.generate("The old sea", settings=PLAIN)
    assert messages(events) == [TO_PROCESSOR]
    assert (model.placement.device.type, model.placement.bits) == ("cpu", bits)
    assert takes_of(events)[0].ids == expected[0].ids


def test_no_room_for_the_weights_anywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Iterator[float]:
        yield 0.5
        raise RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        )

    monkeypatch.setattr(loaded, "load_network", full)
    with pytest.raises(EngineError, match="not enough memory"):
        Room(folder)


def test_other_requests_say_to_ask_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from storyteller.engine.cancel import CancelSignal

    asks: list[Callable[[Room], object]] = [
        lambda room: room.core.score(Score(id="s", text="The sea")),
        lambda room: room.core.probe(Probe(id="p", context=Context(text="The sea"))),
        lambda room: room.core.prepare(Prepare(id="p", context=Context(text="The sea")), CancelSignal()),
    ]
    for ask in asks:
        room = Room(folder)
        model = pretend_a_gpu(room)
        with monkeypatch.context() as patch:
            fail_on(patch, Trunk, "extend", {1})
            with pytest.raises(EngineError, match="goes on on the processor"):
                ask(room)
        assert model.placement.device.type == "cpu"
        ask(room)


def test_an_error_of_another_kind_is_not_taken_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(folder)

    def fail(*_: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(Trunk, "extend", fail)
    with pytest.raises(RuntimeError, match="mat1"):
        room.generate("The sea")
