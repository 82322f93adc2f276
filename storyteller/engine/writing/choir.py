"""All that the takes of one request are written with: a group of takes for each mix of adapters, stepped by one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.prompt.context import Prompt
from storyteller.engine.writing.lanes import decode_together
from storyteller.engine.writing.voices import Voices
from storyteller.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from storyteller.engine.cancel import CancelSignal
    from storyteller.engine.protocol import Generate
    from storyteller.engine.sampling.on_device import DeviceDraw
    from storyteller.engine.writing.ahead import Ahead
    from storyteller.engine.writing.lanes import Lanes
    from storyteller.engine.writing.loaded import LoadedModel

MOST_GROUPS: Final = 8  # each has a cache of its own: 0.2 GB, GPT-2 large in bfloat16


class Choir:
    """The takes of one request, by lanes numbered as if all were one group; what they are grouped by is not seen.

    `show` the prompt to the takes under way, `begin` lanes for them, then `step`. Takes of one mix share the prompt's
    cache; a take whose mix no other has writes on in it.
    """

    def __init__(self, model: LoadedModel, request: Generate, prompt: Prompt) -> None:
        """Look up the mixes of `request`.

        Raises:
            AdapterError: an adapter it names is missing or does not fit.
            UserError: there are more different mixes than are kept at once, or not one for each take.
        """
        mixes = request.take_adapters or (request.adapters,) * request.takes
        if len(mixes) != request.takes:
            raise UserError(f"There are adapters for {len(mixes)} takes, and {request.takes} were asked for.")
        self._model = model
        self._settings = request.settings
        self._prompt = prompt
        self._network_of = [model.network_with(mix) for mix in mixes]  # by take
        if len(set(self._network_of)) > MOST_GROUPS:
            raise UserError(f"Takes can have up to {MOST_GROUPS} different mixes of adapters in one request.")
        self._groups: list[Voices] = []
        self._group_of: dict[int, int] = {}  # by take
        self._places: list[tuple[int, int]] = []  # each lane's group and its number there
        self.tail = prompt.tail

    @property
    def device(self) -> torch.device:
        """Where they run."""
        return self._network_of[0].device

    @property
    def reusable(self) -> int:
        """How many tokens of the prompt the caches hold already: of several mixes, those of the one that holds least."""
        ids = (*self._prompt.ids, *self.tail)
        return min(self._model.reusable(ids, network) for network in set(self._network_of))

    def show(self, takes: Sequence[int], cancel: CancelSignal) -> dict[int, list[dict[str, Tensor]]]:
        """Read the prompt and the unfinished word after it, once for each mix among `takes`.

        Returns:
            for each of `takes` and each position from the prompt's end to the word's, the logits (vocab,) by voice.

        Raises:
            Interrupted: all was cancelled.
        """
        networks = list(dict.fromkeys(self._network_of[take] for take in takes))
        self._group_of = {take: networks.index(self._network_of[take]) for take in takes}
        mains = self._model.lanes_for_each((*self._prompt.ids, *self.tail), networks)
        self._groups = [self._voices(main, group) for group, main in enumerate(mains)]
        opening = [voices.show(cancel) for voices in self._groups]
        return {take: opening[group] for take, group in self._group_of.items()}

    def begin(
        self, takes: Sequence[int], held: Sequence[Sequence[int]], room: int, cancel: CancelSignal
    ) -> None:
        """Begin a lane for each of `takes`, which were shown the prompt; lane i holds `held[i]` after it.

        Where several takes have one mix, that must be a beginning of the unfinished word. `room` tokens will be
        decoded in each lane, about.

        Raises:
            Interrupted: all was cancelled.
        """
        self._places = []
        members: list[list[Sequence[int]]] = [[] for _ in self._groups]
        for take, ids in zip(takes, held, strict=True):
            group = self._group_of[take]
            self._places.append((group, len(members[group])))
            members[group].append(ids)
        for voices, own in zip(self._groups, members, strict=True):
            if len(own) == 1:
                voices.resume(own[0], cancel)
            elif own:
                voices.split(list(map(len, own)), room)

    def step(self, tokens: Sequence[Sequence[int]], cancel: CancelSignal) -> list[list[dict[str, Tensor]]]:
        """Append some tokens to every lane; for each lane and each of its tokens, the logits (vocab,) after it by voice.

        Raises:
            Interrupted: all was cancelled while a full window was read again.
        """
        order = sorted(range(len(tokens)), key=self._places.__getitem__)  # group after group, as logits come
        given: dict[int, list[Sequence[int]]] = {}  # by group
        for lane in order:
            given.setdefault(self._places[lane][0], []).append(tokens[lane])
        for group, several in given.items():
            self._groups[group].make_room(len(several), cancel)
        asked = [(lanes, several) for group, several in given.items() for lanes in self._groups[group].lanes]
        logits = decode_together(asked).cpu()
        pieces = iter(torch.split(logits, [sum(map(len, several)) for _, several in asked]))
        positions: list[dict[str, Tensor]] = []
        for voices in map(self._groups.__getitem__, given):
            positions += voices.by_position([next(pieces) for _ in voices.lanes])
        said = iter(positions)
        rows: list[list[dict[str, Tensor]]] = [[]] * len(tokens)
        for lane in order:
            rows[lane] = [next(said) for _ in tokens[lane]]
        return rows

    @property
    def alone(self) -> bool:
        """Whether there is no second opinion."""
        return all(voices.alone for voices in self._groups)

    def room(self, lane: int) -> int:
        """Tokens that `lane` can take beside its next one before the window slides."""
        group, number = self._places[lane]
        return self._groups[group].room(number)

    @property
    def room_ahead(self) -> int:
        """Tokens that a single lane can take on by itself; 0 where it cannot, or second opinions are asked for."""
        return self._groups[self._places[0][0]].room_ahead if len(self._places) == 1 else 0

    def run_ahead(self, token: int, draw: DeviceDraw, chances: Tensor) -> Ahead:
        """As `Lanes.run_ahead`."""
        return self._groups[self._places[0][0]].run_ahead(token, draw, chances)

    def drop(self, lane: int, count: int, left: Sequence[int]) -> None:
        """Take `count` tokens off `lane`, which leaves it `left` after the prompt."""
        group, number = self._places[lane]
        self._groups[group].drop(number, count, left)

    def retire(self, lane: int) -> None:
        """Decode `lane` no more; the last one takes its number."""
        group, number = self._places[lane]
        self._groups[group].retire(number)
        last = max(place for place in self._places if place[0] == group)
        self._places[self._places.index(last)] = group, number  # as the group's own last lane does
        self._places[lane] = self._places[-1]
        self._places.pop()

    def save_memory(self) -> None:
        """Let go of all caches but the first: takes are to be written one after another, each with that one."""
        self._groups, self._places = [], []
        self._model.forget_groups(1)

    def _voices(self, main: Lanes, group: int) -> Voices:
        """The model itself and the second opinions the settings ask for, each with a cache of its own."""
        model, prompt, settings = self._model, self._prompt, self._settings
        negative = base = None
        if settings.guidance_scale != 1.0:
            ids = model.tokens.encode(settings.negative_prompt)[-(main.window // 2) :]
            unwanted = Prompt((model.tokens.eos, *ids), prompt.tail, prompt.typed, fixed=1 + len(ids))
            negative = model.lanes("negative", main.network, group), unwanted
        if settings.adapter_contrast and main.network is not model.network:
            base = model.lanes("base", model.network, group), prompt
        return Voices(main, prompt, negative=negative, base=base)
