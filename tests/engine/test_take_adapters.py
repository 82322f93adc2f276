"""Takes of one request with different adapters: each says what it would say alone, from one call for all."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
import torch

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.network.adapters import load_adapter, mix
from storyteller.engine.network.cache import Branches, Trunk
from storyteller.engine.network.step import JoinedStep, Part, Rows, read
from storyteller.engine.protocol import AdapterWeight, Began, Context, Generate, Notice, TakeDone, Token
from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.engine.writing import loaded
from storyteller.engine.writing.choir import MOST_GROUPS
from storyteller.engine.writing.decode import ONE_BY_ONE
from storyteller.engine.writing.draft import Judgement
from storyteller.errors import UserError
from tests.engine.test_few_bits import opened
from tests.stubs.tiny_gpt2 import Room, open_network, takes_of, write_adapter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from storyteller.engine.network.model import Network
    from storyteller.engine.network.native.engine import NativeEngine
    from storyteller.engine.network.step import Cache

PLAIN: Final = SamplerSettings(loop_guard=False, banned_tokens=(0,))
SETTINGS: Final = {
    "greedy": SamplerSettings(temperature=0.0, loop_guard=False, banned_tokens=(0,)),
    "chance": PLAIN,
    "guidance": SamplerSettings(
        guidance_scale=1.5, negative_prompt="The wind", loop_guard=False, banned_tokens=(0,)
    ),
    "contrast": SamplerSettings(adapter_contrast=0.5, loop_guard=False, banned_tokens=(0,)),
    "loops are left": SamplerSettings(temperature=0.0, rewind_budget=200),
}
SEA: Final = "The old sea"


class Eager(Judgement):
    """A judge who always wants as many guesses as there may be."""

    def worth(self, size: int, most: int, lanes: int) -> int:
        return most


@pytest.fixture
def folders(tiny_model: Path, tmp_path: Path) -> tuple[str, str]:
    """Two adapters, of different ranks."""
    config = open_network(tiny_model).config
    return (
        str(write_adapter(tmp_path / "noir", config, rank=4, seed=1)),
        str(write_adapter(tmp_path / "verse", config, rank=20, seed=2)),
    )


@pytest.fixture
def mixes(folders: tuple[str, str]) -> list[tuple[AdapterWeight, ...]]:
    """The base, an adapter, the other, both, and the first two again: what six takes are written with."""
    noir, verse = folders
    one, other = (AdapterWeight(noir),), (AdapterWeight(verse, 0.7),)
    return [(), one, other, (*one, *other), (), one]


@pytest.fixture(params=["compiled", "operators"])
def make_room(
    request: pytest.FixtureRequest, tiny_model: Path, native: NativeEngine, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Room]:
    """Opens the tiny model, with the compiled step and without."""
    engine = native if request.param == "compiled" else None
    monkeypatch.setattr(loaded, "native_engine", lambda *_, **__: engine)
    monkeypatch.setattr(loaded, "native_failure", lambda: "none here" if engine is None else None)
    return partial(Room, tiny_model)


def ids_of(takes: list[TakeDone]) -> list[tuple[int, ...]]:
    return [take.ids for take in takes]


def each_alone(
    room: Room, mixes: Sequence[tuple[AdapterWeight, ...]], text: str = SEA, **request: Any
) -> list[tuple[int, ...]]:
    """What every mix says as the only take, seed after seed."""
    return [
        takes_of(room.generate(text, seed=1 + take, adapters=adapters, **request))[0].ids
        for take, adapters in enumerate(mixes)
    ]


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_every_take_says_what_it_says_alone(
    make_room: Callable[[], Room], mixes: list[tuple[AdapterWeight, ...]], settings: SamplerSettings
) -> None:
    expected = each_alone(make_room(), mixes, settings=settings, max_tokens=20)
    events = make_room().generate(
        SEA, takes=len(mixes), take_adapters=tuple(mixes), settings=settings, max_tokens=20
    )
    assert ids_of(takes_of(events)) == expected
    assert len(set(expected[:4])) == 4


@pytest.mark.parametrize("text", ["The old sea and the lighth", "The old sea, “Wh", "The door open"])
def test_unfinished_words_are_healed_by_each_mix(
    make_room: Callable[[], Room], mixes: list[tuple[AdapterWeight, ...]], text: str
) -> None:
    expected = each_alone(make_room(), mixes, text, settings=PLAIN)
    events = make_room().generate(text, takes=len(mixes), take_adapters=tuple(mixes), settings=PLAIN)
    assert ids_of(takes_of(events)) == expected


def test_full_windows_slide(make_room: Callable[[], Room], folders: tuple[str, str]) -> None:
    mixes = [(AdapterWeight(folder),) for folder in folders]
    asked: dict[str, Any] = {"settings": PLAIN, "max_tokens": 90}
    expected = each_alone(make_room(), mixes, **asked)
    assert min(map(len, expected)) == 90  # in a window of 64
    events = make_room().generate(SEA, takes=2, take_adapters=tuple(mixes), **asked)
    assert ids_of(takes_of(events)) == expected


def test_takes_end_at_different_times(
    make_room: Callable[[], Room], mixes: list[tuple[AdapterWeight, ...]]
) -> None:
    asked: dict[str, Any] = {
        "settings": SamplerSettings(loop_guard=False),
        "stop": StopRules(max_tokens=40, stop=("a", "e")),
    }
    expected = each_alone(make_room(), mixes, **asked)
    assert len(set(map(len, expected))) > 2
    events = make_room().generate(SEA, takes=len(mixes), take_adapters=tuple(mixes), **asked)
    assert ids_of(takes_of(events)) == expected


@pytest.mark.parametrize("gone", [0, 1, 2, 4, 5])
def test_a_cancelled_take_leaves_the_others_as_they_would_be(
    make_room: Callable[[], Room], mixes: list[tuple[AdapterWeight, ...]], gone: int
) -> None:
    expected = each_alone(make_room(), mixes, settings=PLAIN)
    cancel = CancelSignal()
    request = Generate(
        id="g", context=Context(text=SEA), seed=1, takes=len(mixes), take_adapters=tuple(mixes),
        settings=PLAIN, stop=StopRules(max_tokens=12),
    )  # fmt: skip
    events = []
    for event in make_room().core.generate(request, cancel):
        events.append(event)
        if sum(isinstance(found, Token) and found.take == gone for found in events) == 4:
            cancel.cancel(gone)
    takes = takes_of(events)
    assert takes[gone].finish == "cancelled"
    assert takes[gone].ids == expected[gone][: len(takes[gone].ids)]
    assert [take.ids for take in takes if take.take != gone] == [
        ids for take, ids in enumerate(expected) if take != gone
    ]


def test_guesses_change_no_text(
    make_room: Callable[[], Room], mixes: list[tuple[AdapterWeight, ...]]
) -> None:
    song = "The sea, the old sea, and the old man. " * 2
    asked: dict[str, Any] = {"settings": SETTINGS["greedy"], "max_tokens": 60}
    expected = each_alone(make_room(), mixes[1:4], song, **asked)
    room = make_room()
    room.core.opened.judgement = Eager()
    events = room.generate(song, takes=3, take_adapters=tuple(mixes[1:4]), **asked)
    assert ids_of(takes_of(events)) == expected
    assert room.core.opened.judgement.guessed > 0


@pytest.mark.parametrize("owner", [Branches, Trunk])
def test_takes_that_do_not_fit_together_are_written_one_by_one(
    make_room: Callable[[], Room],
    mixes: list[tuple[AdapterWeight, ...]],
    monkeypatch: pytest.MonkeyPatch,
    owner: type,
) -> None:
    expected = each_alone(make_room(), mixes, settings=PLAIN)
    room = make_room()
    original, calls = owner.__init__, [0]  # type: ignore[misc] # one of two classes

    def fail(self: object, *args: object, **named: object) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise MemoryError
        original(self, *args, **named)

    monkeypatch.setattr(owner, "__init__", fail)
    events = room.generate(SEA, takes=len(mixes), take_adapters=tuple(mixes), settings=PLAIN)
    assert [event.message for event in events if isinstance(event, Notice)] == [ONE_BY_ONE]
    assert ids_of(takes_of(events)) == expected
    assert {group for _, group in room.core.opened._lanes} == {0}


def test_all_mixes_are_read_by_one_call(
    tiny_model: Path, native: NativeEngine, monkeypatch: pytest.MonkeyPatch,
    mixes: list[tuple[AdapterWeight, ...]],
) -> None:  # fmt: skip
    monkeypatch.setattr(loaded, "native_engine", lambda *_, **__: native)
    room = Room(tiny_model, speculate=False)
    room.generate(SEA, takes=len(mixes), take_adapters=tuple(mixes), settings=PLAIN, max_tokens=1)
    counts: list[int] = []
    original = native.library.step

    def counted(*arguments: Any) -> None:
        counts.append(arguments[-2])
        original(*arguments)

    monkeypatch.setattr(native.library, "step", counted)
    room.generate(SEA, takes=len(mixes), take_adapters=tuple(mixes), settings=PLAIN, max_tokens=5)
    assert counts == [len(mixes)] * 4  # the prompt's last position said the first token


def test_a_prompt_is_read_once_for_each_mix_and_kept(
    make_room: Callable[[], Room], mixes: list[tuple[AdapterWeight, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    room = make_room()
    ask = partial(room.generate, SEA, takes=6, settings=PLAIN, max_tokens=1, heal=False)
    read_: list[int] = []
    original = Trunk.extend

    def watched(trunk: Trunk, ids: Any) -> torch.Tensor:
        read_.append(len(ids))
        return original(trunk, ids)

    monkeypatch.setattr(Trunk, "extend", watched)
    events = ask(take_adapters=tuple(mixes))
    began = next(event for event in events if isinstance(event, Began))
    size = len(began.ids)
    assert read_ == [size - 1, size, size, size]  # the warm-up read the first token
    assert began.reused == 0
    read_.clear()
    for again in (tuple(mixes), tuple(reversed(mixes))):  # whatever the order, and for one of them alone
        events = ask(take_adapters=again)
        assert next(event.reused for event in events if isinstance(event, Began)) == size
    ask(adapters=mixes[2])
    assert read_ == []


def test_caches_of_many_groups_are_not_kept(tiny_room: Room, folders: tuple[str, str]) -> None:
    mixes = tuple((AdapterWeight(folders[0], 1.0 + take / 4),) for take in range(MOST_GROUPS))
    tiny_room.generate(SEA, takes=MOST_GROUPS, take_adapters=mixes, settings=PLAIN)
    model = tiny_room.core.opened
    assert {group for _, group in model._lanes} == set(range(MOST_GROUPS))
    tiny_room.generate(SEA, settings=PLAIN)
    assert len({group for _, group in model._lanes}) == 4
    with pytest.raises(UserError, match="8 different mixes"):
        tiny_room.generate(
            SEA, takes=MOST_GROUPS + 1, take_adapters=(*mixes, (AdapterWeight(folders[1]),)), settings=PLAIN
        )


def test_seeds_are_given_one_by_one(make_room: Callable[[], Room], mixes: list[Any]) -> None:
    room = make_room()
    events = room.generate(SEA, takes=3, seeds=(7, 7, 5), take_adapters=((), (), mixes[1]), settings=PLAIN)
    takes = takes_of(events)
    assert [take.seed for take in takes] == [7, 7, 5]
    assert next(event.seeds for event in events if isinstance(event, Began)) == (7, 7, 5)
    assert takes[0].ids == takes[1].ids == takes_of(room.generate(SEA, seed=7, settings=PLAIN))[0].ids


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"take_adapters": ((),)}, "adapters for 1 takes, and 2 were"),
        ({"seeds": (1, 2, 3)}, "3 seeds, and 2 takes"),
        ({"take_adapters": ((), ()), "settings": SamplerSettings(method="beam")}, "A search"),
        ({"take_adapters": ((), ()), "settings": SamplerSettings(method="contrastive")}, "A search"),
    ],
)
def test_requests_that_contradict_themselves(tiny_room: Room, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tiny_room.generate(SEA, takes=2, **fields)


# The joined call


def parts_of(networks: list[Network], sizes: list[tuple[int, ...]]) -> tuple[list[Part], list[Part]]:
    """The same rows against the same caches, twice: of each network a trunk, or branches of several sizes."""
    both: tuple[list[Part], list[Part]] = ([], [])
    for parts in both:
        for number, (network, several) in enumerate(zip(networks, sizes, strict=True)):
            trunk = Trunk(network)
            trunk.extend([5 + number, 6, 7, 8, 9][: 3 + number % 3])
            tokens = [
                [(11 * row + i + number) % 397 for i in range(count)] for row, count in enumerate(several)
            ]
            if len(several) == 1:
                part = trunk.part(tokens[0])
            else:
                branches = Branches(network, trunk, rows=len(several), capacity=1)
                branches.extend([[row] for row in range(len(several))])
                part = branches.part(tokens)
            assert part is not None
            parts.append(part)
    return both


def few_or_all_bits(folder: Path, native: NativeEngine, weights: str) -> Network:
    match weights:
        case "int8":
            return opened(folder, 8, native)
        case "int4":
            return opened(folder, 4, native, torch.bfloat16)
        case _:
            return open_network(folder, getattr(torch, weights), native=native)


@pytest.mark.parametrize("weights", ["float32", "bfloat16", "int8", "int4"])
@torch.inference_mode()
def test_a_joined_step_is_its_parts_bit_for_bit(
    make_model: Callable[..., Path], native: NativeEngine, tmp_path: Path, weights: str
) -> None:
    base = few_or_all_bits(make_model(n_embd=64), native, weights)
    adapters = [
        load_adapter(write_adapter(tmp_path / f"{rank}", base.config, rank=rank, seed=rank), base.config)
        for rank in (4, 17)
    ]
    adapted = [mix(base, [(adapter, 1.0)]) for adapter in adapters]
    networks = [adapted[0], base, adapted[1], mix(base, [(adapters[0], 0.5), (adapters[1], 1.0)]), base]
    together, alone = parts_of(networks, [(1,), (2, 1), (1, 1, 1), (2,), (3,)])
    assert isinstance(base.step, JoinedStep)
    joined = read(together)
    for states, part in zip(joined, alone, strict=True):
        assert torch.equal(states, part.step(part.rows, part.trunk, part.branches))
    for mine, theirs in zip(together, alone, strict=True):
        for ours, wanted in zip(caches_of(mine), caches_of(theirs), strict=True):
            assert torch.equal(ours, wanted)
    assert len({tuple(states[0].tolist()) for states in joined}) == len(joined)


def caches_of(part: Part) -> list[torch.Tensor]:
    """Keys and values written so far."""
    found = [part.trunk.keys[..., : max(part.rows.seen)], part.trunk.values[..., : max(part.rows.seen), :]]
    if part.branches is not None:
        found += [part.branches.keys, part.branches.values]
    return found


class Narrow:
    """A step that takes three rows at once and says which: of each its token."""

    keys_by_position, most_rows, worthwhile = True, 3, 100

    def __init__(self, *, joins: bool) -> None:
        self.calls: list[list[int]] = []
        self._joins = joins

    def for_network(self, network: Network) -> None:
        """Unused."""

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden

    def joins(self, other: object) -> bool:
        return self._joins

    def joined(self, parts: list[Part]) -> torch.Tensor:
        self.calls.append([token for part in parts for token in part.rows.tokens])
        return torch.tensor(self.calls[-1], dtype=torch.float32)[:, None]

    def __call__(self, rows: Rows, trunk: Cache, branches: Cache | None) -> torch.Tensor:
        self.calls.append(list(rows.tokens))
        return torch.tensor(rows.tokens, dtype=torch.float32)[:, None]


@pytest.mark.parametrize(
    ("joins", "calls"),
    [
        (True, [[1, 2], [3, 4, 5], [6], [7, 8, 9]]),
        (False, [[1], [2], [3, 4, 5], [6], [7, 8, 9]]),
    ],
)
@torch.inference_mode()
def test_more_rows_than_a_call_takes_are_cut(tiny_model: Path, joins: bool, calls: list[list[int]]) -> None:
    step, cache = Narrow(joins=joins), Trunk(open_network(tiny_model)).cache
    parts = [Part(step, Rows.of_trunk(ids, 0), cache, None) for ids in ([1], [2], [3, 4, 5, 6], [7, 8, 9])]
    hidden = read(parts)
    assert [states.flatten().tolist() for states in hidden] == [[1], [2], [3, 4, 5, 6], [7, 8, 9]]
    assert step.calls == calls
