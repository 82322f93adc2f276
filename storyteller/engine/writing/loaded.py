"""A model in memory with everything that belongs to it: tokenizer, caches, adapters and their mixes."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.catalogue import find_adapters, model_hash, shelf_stamp
from storyteller.engine.network.adapters import load_adapter, mix
from storyteller.engine.network.device import (
    all_threads,
    decodes_alone,
    on_processor,
    one_thread,
    place,
    release_memory,
    without_few_bits,
)
from storyteller.engine.network.few_bits import FewBits, calibration_text
from storyteller.engine.network.model_config import load_config
from storyteller.engine.network.native.engine import native_engine, native_failure
from storyteller.engine.network.native.peaks import NativePeaks
from storyteller.engine.network.quantised_cache import cache_path
from storyteller.engine.network.weights import load_network, parameter_count
from storyteller.engine.prompt.tokens import load_tokens
from storyteller.engine.writing.draft import Judgement
from storyteller.engine.writing.lanes import Lanes
from storyteller.errors import AdapterError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from storyteller.engine.catalogue import Found
    from storyteller.engine.network.adapters import Adapter
    from storyteller.engine.network.device import Placement
    from storyteller.engine.network.model import Network
    from storyteller.engine.network.native.engine import NativeEngine
    from storyteller.engine.protocol import AdapterWeight, Dtype
    from storyteller.engine.sampling.peaks import PeakFinder

_MIXES: Final = (
    8  # networks with adapters kept ready, all of a request among them; each costs its low-rank products
)
_KEPT_GROUPS: Final = 4  # whose caches stay for the next request
_STRONGEST: Final = 16.0
READING: Final = "reading the weights"
TO_PROCESSOR: Final = "The device has no memory left, so the model goes on on the processor, more slowly."


class LoadedModel:
    """One model. `open` its weights after making it; everything cheap that can refuse it is done by then.

    Attributes:
        placement: where it runs; `to_processor` changes it, and `open` where few bits would not be fast.
        stage: what `open` is at, for the writer who waits.
        speculates: whether tokens are guessed ahead.
        judgement: how guesses fared so far.
        peaks: what finds the largest logits faster than torch, where there is such a thing.
    """

    def __init__(self, found: Found, device: str, dtype: Dtype, *, speculates: bool = True) -> None:
        """Read what is small: configuration, tokenizer, which adapters there are.

        Raises:
            ModelError: the folder holds no model that can be run.
            UserError: there is no such kind of device.
        """
        self.found = found
        self.speculates = speculates
        self.judgement = Judgement()
        self.config = load_config(found.path)
        self.tokens = load_tokens(found.path, vocab_size=self.config.vocab_size, eos=self.config.eos)
        self.parameters = parameter_count(self.config)
        self.hash = model_hash(found.path)
        self.placement: Placement = place(device, dtype, self.parameters)
        self.stage = READING
        self._dtype = dtype
        self._network: Network | None = None
        self._awaits_step = False
        self.peaks: PeakFinder | None = None
        self._lanes: dict[tuple[str, int], Lanes] = {}  # by role and group of takes
        self._shelf = shelf_stamp()  # before the look, so that what comes during it is seen the next time
        self._adapter_folders = find_adapters(found.path)
        self._kept: dict[str, Path] = {}  # folders that were named, which win over the shelf
        self._adapters: dict[str, Adapter] = {}
        self._mixes: dict[tuple[tuple[str, float], ...], Network] = {}

    def open(self) -> Generator[float, None, None]:
        """Read the weights to where `placement` says; yields the fraction done.

        Raises:
            ModelError: a weights file is missing, damaged or does not fit the configuration.
            RuntimeError: no memory is left.
        """
        alone = decodes_alone(self.placement.device, self.parameters)
        native = self._native()
        if native is None and self._dtype == "auto":
            self.placement = without_few_bits(self.placement)
        few_bits = self._few_bits(native)
        making = few_bits is not None and not few_bits.is_stored
        self.stage = f"making {self.placement.bits}-bit weights, once" if making else READING
        with one_thread() if alone and few_bits is None else nullcontext():
            self._network = yield from load_network(
                self.found.path, self.config, self.placement, native, few_bits
            )
        failed = few_bits.finish() if few_bits is not None else None
        if failed is not None:
            self.placement = replace(self.placement, notes=(*self.placement.notes, failed))

    def _few_bits(self, native: NativeEngine | None) -> FewBits | None:
        bits = self.placement.bits
        if bits is None:
            return None
        text = calibration_text() if bits == 4 else ""
        path = cache_path(self.hash, bits)
        return FewBits(self.config, self.placement, native, path, self.tokens.encode(text))

    def _native(self) -> NativeEngine | None:
        """The compiled step for where the model runs. A small model does not wait for it to be compiled."""
        if self.placement.device.type != "cpu":
            return None
        small = decodes_alone(self.placement.device, self.parameters) and self.placement.bits is None
        native = native_engine(torch.get_num_threads(), wait=not small)
        self._awaits_step = native is None and native_failure() is None
        self.peaks = None if native is None else NativePeaks(native.library)
        return native

    def refresh(self) -> None:
        """Read a small model again, in a tenth of a second, once the step that it did not wait for is compiled."""
        if self._awaits_step and native_engine(torch.get_num_threads(), wait=False) is not None:
            self.forget()
            for _ in self.open():
                pass

    def to_processor(self) -> None:
        """Let go of the device and read the weights again for the processor.

        Raises:
            ModelError: as `open`.
            RuntimeError: no memory is left there either.
        """
        device = self.placement.device
        self.placement = on_processor(self._dtype, self.parameters, TO_PROCESSOR)
        self._network = None
        self.forget()
        release_memory(device)
        with all_threads():  # a step keeps as many as it was opened with, and samplers have one
            for _ in self.open():
                pass

    def forget(self) -> None:
        """Drop every cache and mix; the next request reads its whole prompt."""
        self._lanes.clear()
        self._mixes.clear()

    @property
    def network(self) -> Network:
        """The model without adapters."""
        assert self._network is not None  # noqa: S101 - `open` comes first
        return self._network

    @property
    def adapter_names(self) -> tuple[str, ...]:
        """Adapters that can be asked for by name."""
        return tuple(sorted(self._adapter_folders))

    def lanes(self, role: str, network: Network, group: int = 0) -> Lanes:
        """The cache kept for `role` (the model itself, a second opinion) of a group of takes, speaking with `network`."""
        key = role, group
        if key not in self._lanes:
            self._lanes[key] = Lanes(network, self.tokens.eos)
        self._lanes[key].use(network)
        return self._lanes[key]

    def lanes_for(self, ids: Sequence[int], network: Network) -> Lanes:
        """The model's own cache; where another holds more of `ids`, as one that was read ahead of time, that in its place."""
        return self.lanes_for_each(ids, [network])[0]

    def lanes_for_each(self, ids: Sequence[int], networks: Sequence[Network]) -> list[Lanes]:
        """The same for groups of takes, one for each of `networks`, which differ."""
        self.forget_groups(max(len(networks), _KEPT_GROUPS))
        for group, network in enumerate(networks):
            key = "main", group
            best = max(
                self._holders(network),
                key=lambda held: (self._lanes[held].reusable(ids), held == key),
                default=key,
            )
            if best != key:
                self._exchange(key, best)
        return [self.lanes("main", network, group) for group, network in enumerate(networks)]

    def reusable(self, ids: Sequence[int], network: Network) -> int:
        """How many of `ids` the cache that `lanes_for` would find holds already."""
        return max((self._lanes[key].reusable(ids) for key in self._holders(network)), default=0)

    def _holders(self, network: Network) -> list[tuple[str, int]]:
        return [
            (role, group)
            for (role, group), lanes in self._lanes.items()
            if role in {"main", "ahead"} and lanes.network is network
        ]

    def _exchange(self, one: tuple[str, int], other: tuple[str, int]) -> None:
        before = self._lanes.pop(one, None)
        self._lanes[one] = self._lanes.pop(other)
        if before is not None:
            self._lanes[other] = before

    def forget_groups(self, count: int) -> None:
        """Drop the caches of all groups of takes but the first `count`."""
        self._lanes = {key: lanes for key, lanes in self._lanes.items() if key[1] < count}

    def forget_ahead(self) -> None:
        """Drop what was read ahead of time."""
        self._lanes.pop(("ahead", 0), None)

    def keep_adapter(self, folder: str) -> None:
        """Make the adapter in `folder` resident, under the folder's name.

        Raises:
            AdapterError: it cannot be used.
        """
        path = _path(folder)
        self._adapter_folders[path.name] = self._kept[path.name] = path
        self._adapters[path.name] = load_adapter(path, self.config)

    def network_with(self, adapters: Sequence[AdapterWeight]) -> Network:
        """The model with a mix of adapters; the same mix in any order is the same network.

        Raises:
            AdapterError: one is not here, cannot be used, or has a weight that makes no sense.
        """
        weights: dict[str, float] = {}
        for adapter in adapters:
            if not math.isfinite(adapter.weight) or abs(adapter.weight) > _STRONGEST:
                raise AdapterError(
                    f"{adapter.name!r} has a weight of {adapter.weight}; use a number up to {_STRONGEST:g}."
                )
            weights[adapter.name] = weights.get(adapter.name, 0.0) + adapter.weight
        key = tuple(sorted((name, weight) for name, weight in weights.items() if weight))
        if not key:
            return self.network
        self._look_at_shelf()
        network = self._mixes.pop(key, None)
        if network is None:
            network = mix(self.network, [(self._adapter(name), weight) for name, weight in key])
            while len(self._mixes) >= _MIXES:
                del self._mixes[next(iter(self._mixes))]
        self._mixes[key] = network  # the last is the one used last
        return network

    def _look_at_shelf(self) -> None:
        """Know what was published since the last look; of what has another version in use now, nothing is kept.

        What is gone from the shelf and was written with goes on: it is in memory, and a page may be in the middle of it.
        """
        stamp = shelf_stamp()
        if stamp == self._shelf:
            return
        self._shelf = stamp
        gone = {name: path for name, path in self._adapter_folders.items() if name in self._adapters}
        folders = gone | find_adapters(self.found.path) | self._kept
        moved = {name for name, path in self._adapter_folders.items() if folders.get(name) != path}
        self._adapter_folders = folders
        for name in moved:
            self._adapters.pop(name, None)
        self._mixes = {
            key: network for key, network in self._mixes.items() if moved.isdisjoint(name for name, _ in key)
        }

    def _adapter(self, name: str) -> Adapter:
        if name not in self._adapters:
            self._adapters[name] = load_adapter(self._folder_of(name), self.config)
        return self._adapters[name]

    def _folder_of(self, name: str) -> Path:
        if name in self._adapter_folders:
            return self._adapter_folders[name]
        if _path(name).is_dir():
            return _path(name)
        here = ", ".join(self.adapter_names) or "there are none for this model"
        raise AdapterError(f"There is no adapter {name!r} for {self.found.name}. Here: {here}.")


def _path(name: str) -> Path:
    return Path(name).expanduser() if name.startswith("~/") else Path(name)
