"""Asks the model at the caret, puts its takes on the page and keeps those of every spot. The room calls; the page shows.

What a request that was left behind still brings changes what is kept of its takes, never the page.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from storyteller.engine.protocol import AdapterWeight, Began, Context, Generate, Ready
from storyteller.engine.settings import SamplerSettings
from storyteller.feedback.records import AdapterUse, GenerationRecord
from storyteller.manuscript.offer import Offer
from storyteller.manuscript.takes import TakeTree
from storyteller.tui.live import LiveTake
from storyteller.tui.prompt import context_before
from storyteller.uuid7 import uuid7

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storyteller.engine.protocol import TakeDone
    from storyteller.manuscript.takes import ShownTake
    from storyteller.tui.editor.page import Page
    from storyteller.tui.manner import Manner
    from storyteller.tui.witness import Witness


@dataclass
class Spot:
    """One generation of the feedback log: a place, a prompt, a manner and a mix. Asked again, it counts its takes on."""

    generation: str
    anchor: int
    context: Context
    manner: Manner
    adapters: tuple[AdapterWeight, ...]
    takes: int = 0


@dataclass
class Asking:
    """A request that is being served."""

    request: Generate
    spot: Spot
    lanes: list[LiveTake]
    asked_at: float
    began: Began | None = None
    first_token_ms: float | None = None


class Prompter:
    """The takes of one document. `document` names it in the log; `model` is what answers now."""

    def __init__(
        self, page: Page, witness: Witness, *, document: str, rng: random.Random | None = None
    ) -> None:
        self.page = page
        self.witness = witness
        self.document = document
        self.model: Ready | None = None
        self.adapters: tuple[AdapterWeight, ...] = ()
        self.tree = TakeTree()
        self.shown: LiveTake | None = None  # the take on the page
        self._hidden: LiveTake | None = None  # the take that was hidden last
        self._open: dict[str, Asking] = {}  # requests that are being served, by id, the latest last
        self.rate = 0.0  # tokens a second, lately
        self._spot: Spot | None = None
        self._live: dict[str, LiveTake] = {}  # by id
        self._by_offer: dict[Offer, LiveTake] = {}  # an offer is equal to itself only
        self._rng = rng or random.Random()

    # Asking

    @property
    def asking(self) -> Asking | None:
        """The latest request that is being served."""
        return next(reversed(self._open.values()), None)

    def ask(self, manner: Manner, *, takes: int = 1, show: bool = True, beside: bool = False) -> Asking:
        """Prepare a request for a continuation at the caret; with `show` its first take is on the page from now on.

        The caller sends `request` and reports what comes. Earlier requests are forgotten, so cancel them first;
        unless this one goes `beside` them.
        """
        if not beside:
            self._hidden = None
            for generation in list(self._open):
                self.closed(generation)
        anchor, context = self.page.settled_cursor, self.context(manner)
        request = Generate(
            id=uuid7(),
            context=context,
            takes=takes,
            settings=manner.settings,
            stop=manner.stop,
            seed=self._rng.getrandbits(31),
            adapters=self.adapters,
        )
        self.leave()
        spot = self._spot_of(anchor, context, manner)
        lanes = [self._new_take(request, lane, spot) for lane in range(takes)]
        asking = self._open[request.id] = Asking(request, spot, lanes, time.monotonic())
        if show:
            self._put_on_page(lanes[0])
        return asking

    def context(self, manner: Manner) -> Context:
        """What the model would be shown for a continuation at the caret."""
        page = self.page
        return context_before(page.exact_text, page.settled_cursor, header=manner.header)

    def leave(self) -> None:
        """What is on the page goes out of sight without a judgement."""
        if self.shown is not None:
            self.concealed(self.shown)
            self.shown = None
        self.page.hide_offer()

    def concealed(self, take: LiveTake) -> None:
        """A take is seen no more; it is among the takes of its spot."""
        self.witness.concealed(take)
        self._keep(take)

    def hide(self) -> bool:
        """Out of sight, and streaming on into the takes. False where nothing streams on the page."""
        take = self.shown
        if take is None or not self._streams(take) or not self.page.hide_offer():
            return False
        start = len(take.offer.kept)
        self.witness.did("dismiss", take, start, len(take.offer.whole), hidden=True)
        self.leave()
        self._hidden = take
        return True

    @property
    def hidden(self) -> LiveTake | None:
        """The take that streams on out of sight and comes back when it is asked for; none once the text moved on."""
        take = self._hidden
        return take if take is not None and self.page.offer is take.offer and self._streams(take) else None

    def unhide(self) -> bool:
        """What was hidden is on the page again; False where there is nothing, or the text moved on."""
        take, self._hidden = self._hidden, None
        if take is None or self.page.offer is not take.offer or not self.page.show_offer():
            return False
        self.shown = take
        if take.offer.whole:
            self.witness.showed(take)
        return True

    def given_back(self, take: LiveTake) -> None:
        """A piece of `take` is provisional again, so it is on the page."""
        self.shown = take
        self.witness.showed(take)

    def retried(self) -> None:
        """The writer wants another take instead of the one on the page: the caret goes back to where that began."""
        if self.shown is not None:
            self.witness.did("retry", self.shown)
            if not self.shown.offer.kept:
                self.page.place_caret(self.shown.anchor)
            self.leave()

    # What the engine brings

    def began(self, began: Began) -> None:
        """The prompt is known."""
        asking = self._open.get(began.id)
        if asking is None:
            return
        asking.began = began
        for take, seed in zip(asking.lanes, began.seeds, strict=False):
            take.seed = seed
        self.witness.asked(self._record(asking, began))

    def grew(self, generation: str, lane: int, text: str, rate: float) -> None:
        """A take has more."""
        asking = self._open.get(generation)
        if asking is None:
            return
        take = asking.lanes[lane]
        self.rate = rate or self.rate
        if asking.first_token_ms is None:
            asking.first_token_ms = 1000 * (time.monotonic() - asking.asked_at)
        self.page.feed(take.offer, text)
        if take is self.shown and not take.on_page and self.page.offer_open:
            self.witness.showed(take)

    def rewound(self, generation: str, lane: int, characters: int) -> None:
        """A take lost its end."""
        asking = self._open.get(generation)
        if asking is not None:
            self.page.rewind(asking.lanes[lane].offer, characters)

    def ended(self, done: TakeDone) -> None:
        """A take is complete."""
        asking = self._open.get(done.id)
        if asking is not None:
            take = asking.lanes[done.take]
            self.gathered()  # those of one request stay in their order, whichever ends first
            take.end(done)
            self._complete(take, done.text)

    def closed(self, generation: str) -> bool:
        """Nothing more comes for a request. Whether it brought anything."""
        asking = self._open.pop(generation, None)
        if asking is None:
            return True
        for take in asking.lanes:
            if take.finish is None:
                take.finish = "cancelled"
                self._complete(take, None)
        if asking.began is not None:
            self.witness.asked(self._record(asking, asking.began, ended=True))
        if self.shown in asking.lanes and self.shown is not None and not self.shown.offer.whole:
            self.leave()
        return any(take.offer.whole for take in asking.lanes)

    # Takes of a spot

    @property
    def spot(self) -> int:
        """Where the takes in question are offered: where the one on the page began, or the caret."""
        if self.shown is not None and not self.shown.offer.kept:
            return self.shown.anchor
        return self.page.settled_cursor

    def here(self) -> tuple[ShownTake, ...]:
        """The takes of this spot, oldest first."""
        return self.gathered().at(self.spot)

    def gathered(self) -> TakeTree:
        """Every take as it is now, what still grows among them."""
        growing = [take for asking in self._open.values() for take in asking.lanes]
        for take in growing if self.shown is None else (*growing, self.shown):
            self._keep(take)
        return self.tree

    def at_work_on(self, identifier: str) -> bool:
        """Whether a take is on the page, or grows."""
        on_page = self.shown is not None and self.shown.id == identifier
        return on_page or any(
            take.id == identifier and take.finish is None
            for asking in self._open.values()
            for take in asking.lanes
        )

    def forget(self, identifiers: Sequence[str]) -> None:
        """Takes leave the document's; what the log has about them stays."""
        for identifier in identifiers:
            self.tree.remove(identifier)
            self._live.pop(identifier, None)
        self.witness.forgot(identifiers)

    @property
    def place(self) -> tuple[int, int]:
        """Which of how many takes of its spot is on the page, from 1; 0 of so many without one."""
        takes = self.tree.at(self.spot)
        if self.shown is None:
            return 0, len(takes)
        for number, take in enumerate(takes, 1):
            if take.id == self.shown.id or take.text == self.shown.offer.whole:
                return number, len(takes)
        return len(takes) + 1, len(takes) + 1

    def step(self, by: int) -> bool:
        """Show the next (1) or previous (-1) take of this spot; False where there is no other."""
        self.here()
        current = self.shown
        find = self.tree.next if by > 0 else self.tree.previous
        target = find(self.spot, current.id if current else None)
        if target is None or (current is not None and target.text == current.offer.whole):
            return False
        if current is not None:
            self.witness.did("cycle", current)
        self.show(target)
        return True

    def show(self, kept: ShownTake) -> None:
        """Put a take that was kept on the page, at its spot."""
        take = self._live.get(kept.id) or self._revived(kept)
        take.anchor = kept.anchor
        self.offer(take)

    def offer(self, take: LiveTake) -> None:
        """Put a take on the page, at its spot."""
        self.leave()
        self.page.place_caret(take.anchor)
        self._put_on_page(take)
        self.witness.showed(take)

    def take_of(self, offer: Offer) -> LiveTake | None:
        """The take that was offered as `offer`."""
        return self._by_offer.get(offer)

    def edited(self, start: int, removed: int, added: int, *, written: bool) -> None:
        """The settled text changed: spots follow."""
        self.tree.shift(start, removed, added)
        self.witness.edited(start, removed, added, written=written)
        following: list[LiveTake | Spot] = [take for asking in self._open.values() for take in asking.lanes]
        following += [thing for thing in (self.shown, self._spot) if thing is not None]
        for thing in {id(thing): thing for thing in following}.values():
            if thing.anchor > start:
                thing.anchor = max(start + removed, thing.anchor) + added - removed

    # Inside

    def _streams(self, take: LiveTake) -> bool:
        return any(take in asking.lanes for asking in self._open.values())

    def _spot_of(self, anchor: int, context: Context, manner: Manner) -> Spot:
        asked = (anchor, context, manner, self.adapters)
        spot = self._spot
        if spot is None or (spot.anchor, spot.context, spot.manner, spot.adapters) != asked:
            spot = self._spot = Spot(uuid7(), *asked)
        return spot

    def _new_take(self, request: Generate, lane: int, spot: Spot) -> LiveTake:
        take = LiveTake(
            generation=spot.generation,
            index=spot.takes,
            offer=Offer(request.id, lane),
            anchor=spot.anchor,
            settings=request.settings,
            genre=spot.manner.genre,
            model=self.model.model if self.model else "",
            seed=(request.seed or 0) + lane,
        )
        spot.takes += 1
        self._by_offer[take.offer] = take
        return take

    def _revived(self, kept: ShownTake) -> LiveTake:
        try:
            settings = msgspec.convert(kept.settings, SamplerSettings, str_keys=True)
        except msgspec.ValidationError:  # kept by a version that knew other settings
            settings = SamplerSettings()
        return LiveTake(
            id=kept.id,
            generation=kept.generation,
            index=kept.index,
            offer=Offer(kept.generation, kept.index, text=kept.text, streaming=False),
            anchor=kept.anchor,
            settings=settings,
            genre=kept.genre,
            model=kept.model,
            seed=kept.seed,
            ids=kept.ids,
            finish=kept.finish,
        )

    def _put_on_page(self, take: LiveTake) -> None:
        old = take.offer
        take.offer = self.page.open_offer(
            old.generation, old.take, text=old.whole, streaming=take.finish is None
        )
        self._by_offer[take.offer] = take
        self.shown = take

    def _complete(self, take: LiveTake, text: str | None) -> None:
        self.page.finish(take.offer, text)
        self._keep(take)
        self.witness.ended(take)

    def _keep(self, take: LiveTake) -> None:
        if take.offer.whole:
            self._live[take.id] = take
            self.tree.add(take.for_tree())

    def _record(self, asking: Asking, began: Began, *, ended: bool = False) -> GenerationRecord:
        model = self.model
        return GenerationRecord(
            id=asking.spot.generation,
            session=self.witness.session,
            document=self.document,
            genre=asking.spot.manner.genre,
            cursor=asking.spot.anchor,
            model=model.model if model else "",
            model_hash=model.model_hash if model else "",
            adapters=tuple(AdapterUse(adapter.name, adapter.weight) for adapter in asking.request.adapters),
            settings=msgspec.to_builtins(asking.request.settings, str_keys=True),
            seed=asking.request.seed or 0,
            prompt=began.prompt,
            prompt_ids=began.ids,
            prompt_truncated=began.truncated,
            first_token_ms=asking.first_token_ms,
            total_ms=1000 * (time.monotonic() - asking.asked_at) if ended else None,
        )
