"""The engine itself, synchronous: one model, its caches, one thread that calls it.

The server and the in-process engine put their own concurrency round it; nothing here knows of processes or asyncio.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

import torch

from storyteller.engine.cancel import CancelSignal
from storyteller.engine.catalogue import find_model
from storyteller.engine.network.device import is_out_of_memory, one_thread, set_threads
from storyteller.engine.prompt.context import Prompt, assemble, block_of, prompt_of_ids, shown_text
from storyteller.engine.prompt.healing import continuing_mask
from storyteller.engine.protocol import Alternative, Began, Done, Loading, Notice, Probed, Ready
from storyteller.engine.sampling import build_sampler
from storyteller.engine.settings import SEARCHES, SamplerSettings
from storyteller.engine.writing.choir import Choir
from storyteller.engine.writing.decode import Decoding, likeliest
from storyteller.engine.writing.lanes import Interrupted
from storyteller.engine.writing.loaded import TO_PROCESSOR, LoadedModel
from storyteller.engine.writing.score import scored, token_logprobs
from storyteller.engine.writing.searching import Searching
from storyteller.engine.writing.speculation import Speculation
from storyteller.engine.writing.take import Take
from storyteller.errors import EngineError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storyteller.engine.protocol import (
        Generate,
        GenerateEvent,
        Load,
        Prepare,
        Probe,
        Score,
        Scored,
    )

MOST_TAKES: Final = 16
_WARM_UP: Final = 16  # tokens
_AHEAD: Final = (
    32  # tokens read at once for later: a Tab waits for no more of them than these (0.1 s, GPT-2 large)
)
_NO_MEMORY: Final = (
    "There is not enough memory to go on. Close other programs, ask for fewer takes, or open a smaller model."
)


class Core:
    """Opens a model and serves requests one at a time. Every method is called from the same thread.

    Only a `CancelSignal` may be touched from elsewhere.
    """

    def __init__(self) -> None:
        self._model: LoadedModel | None = None

    @property
    def opened(self) -> LoadedModel:
        """The model that is open.

        Raises:
            EngineError: none is.
        """
        if self._model is None:
            raise EngineError("No model is open. Open one first.")
        return self._model

    def load(self, request: Load) -> Iterator[Loading | Ready | Notice]:
        """Open a model; the last event is `Ready`. A model that is refused leaves the one before open.

        Raises:
            ModelError: the model is missing, damaged or not one we can run.
            AdapterError: an adapter of `request.adapters` cannot be used.
            EngineError: there is not enough memory.
        """
        yield Loading(id=request.id, stage="looking", fraction=0.0)
        found = find_model(request.model)
        set_threads(request.threads)
        model = LoadedModel(found, request.device, request.dtype, speculates=request.speculate)
        for adapter in request.adapters:
            model.keep_adapter(adapter)
        self._model = None  # two models may not fit
        yield from self._open(model, request.id)
        self._model = model
        yield Ready(
            id=request.id,
            model=found.name,
            path=str(found.path),
            model_hash=model.hash,
            device=model.placement.device.type,
            dtype=model.placement.dtype_name,
            window=model.config.n_positions,
            parameters=model.parameters,
            adapters=model.adapter_names,
            reason=found.reason,
        )
        self._warm_up(model)

    def generate(self, request: Generate, cancel: CancelSignal) -> Iterator[GenerateEvent]:
        """The events of one request: `Began`, then tokens, one `TakeDone` a take, and `Done` last, cancelled or not.

        Raises:
            UserError: the request cannot be served as it is.
            AdapterError: an adapter it names is missing or does not fit.
            EngineError: no model is open, or the machine ran out of memory for good.
        """
        started = time.perf_counter()
        model = self.opened
        _check(request)
        model.refresh()
        prompt = self._prompt_of(request, model)
        takes = _takes(request, model, prompt, started)
        choir = Choir(model, request, prompt)
        yield Began(
            id=request.id,
            prompt=shown_text(prompt, model.tokens),
            ids=prompt.ids,
            truncated=prompt.truncated,
            reused=min(len(prompt.ids), choir.reusable),
            seeds=tuple(take.seed for take in takes),
        )
        work = _work_for(request, model, takes, prompt, cancel)
        with one_thread():  # for the samplers; the lanes use more
            yield from self._surviving(work, model, request, prompt)
        cancelled = any(take.finish == "cancelled" for take in takes)
        yield Done(
            id=request.id,
            reason="cancelled" if cancelled and cancel.all_cancelled else "finished",
            tokens=work.sampled,
            seconds=time.perf_counter() - started,
        )

    def score(self, request: Score, cancel: CancelSignal | None = None) -> Scored:
        """Log-probabilities of a text of any length; once cancelled, of its beginning. Raises as `generate`."""
        model = self.opened
        ids = model.tokens.encode(request.text)
        if not ids:
            raise UserError("There is no text to score.")
        signal = cancel or CancelSignal()
        network = model.network_with(request.adapters)
        try:
            logprobs = token_logprobs(network, [model.tokens.eos, *ids], lambda: signal.all_cancelled)
        except (RuntimeError, MemoryError) as error:
            raise self._out_of_memory(error, model) from error
        return scored(request.id, ids, logprobs, model.tokens)

    def probe(self, request: Probe) -> Probed:
        """The most likely next tokens after a context. Raises as `generate`."""
        model = self.opened
        prompt = assemble(
            request.context, model.tokens, window=model.config.n_positions, max_tokens=1, heal=False
        )
        lanes = model.lanes_for(prompt.ids, model.network_with(request.adapters))
        try:
            lanes.show(prompt.ids)
            logits = lanes.logits_after(len(prompt.ids), len(prompt.ids))[0]
        except (RuntimeError, MemoryError) as error:
            raise self._out_of_memory(error, model) from error
        only = continuing_mask(model.tokens, prompt.typed)  # a space, which is half of the token asked for
        if only is not None:
            logits = logits.masked_fill(~only.to(logits.device), -torch.inf)
        size = len(prompt.typed)
        return Probed(
            id=request.id,
            alternatives=tuple(
                Alternative(found.token, found.text[size:], found.logprob)
                for found in likeliest(logits, max(0, request.top), model.tokens)
                if found.logprob > -torch.inf
            ),
        )

    def prepare(self, request: Prepare, cancel: CancelSignal) -> None:
        """Prefill ahead of a likely request; gives up between chunks once cancelled. Raises as `generate`.

        A cache that holds the prompt already keeps what follows it, since a take may be accepted.
        """
        model = self.opened
        window = model.config.n_positions
        prompt = assemble(request.context, model.tokens, window=window, max_tokens=request.max_tokens)
        ids, network = (*prompt.ids, *prompt.tail), model.network_with(request.adapters)
        lanes = model.lanes_for(ids, network)
        try:
            if lanes.reusable(ids) < len(ids):
                lanes.show(ids, lambda: cancel.all_cancelled)
        except Interrupted:
            return
        except (RuntimeError, MemoryError) as error:
            raise self._out_of_memory(error, model) from error
        self._read_ahead(request, prompt, model, cancel)

    def _read_ahead(self, request: Prepare, prompt: Prompt, model: LoadedModel, cancel: CancelSignal) -> None:
        """Where one take more will move the window, read what it moves to, into a cache of its own.

        Positions are learned, so a moved window is read anew: 700 tokens, at a Tab, or now. `prompt` stays in the
        other cache for another take.
        """
        window = model.config.n_positions
        growth = max(request.max_tokens, block_of(window) // 4)
        later = assemble(
            request.context, model.tokens, window=window, max_tokens=request.max_tokens, growth=growth
        )
        if later.ids == prompt.ids:
            return
        lanes = model.lanes("ahead", model.network_with(request.adapters))
        try:
            lanes.show(later.ids, lambda: cancel.all_cancelled, chunk=_AHEAD)
        except Interrupted:
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            model.forget_ahead()  # nobody asked for it

    def _prompt_of(self, request: Generate, model: LoadedModel) -> Prompt:
        window, most = model.config.n_positions, request.stop.max_tokens
        if request.ids is not None:
            return prompt_of_ids(request.ids, model.tokens, window=window, max_tokens=most)
        return assemble(request.context, model.tokens, window=window, max_tokens=most, heal=request.heal)

    def _open(self, model: LoadedModel, request_id: str) -> Iterator[Loading | Notice]:
        """Read the weights; where the device has no room for them, for the processor."""
        notes = model.placement.notes
        try:
            for fraction in model.open():
                yield Loading(id=request_id, stage=model.stage, fraction=fraction)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._fall_back(model, error)
        for note in dict.fromkeys((*notes, *model.placement.notes)):  # opening may have added some
            yield Notice(id=request_id, message=note)

    def _warm_up(self, model: LoadedModel) -> None:
        """Do once what the first of its kind is slow at, while nobody waits: 0.2 s of the first answer's time.

        Kernels are made at their first use, and the samplers look the vocabulary through.
        """
        build_sampler(SamplerSettings(), model.tokens, prompt_ids=(), seed=0)
        model.tokens.continuing(b" ")
        try:
            lanes = model.lanes("main", model.network)
            lanes.show([model.tokens.eos] * min(_WARM_UP, lanes.window - 1))
            lanes.split([1], 1)
            lanes.decode([model.tokens.eos])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            model.forget()  # the first request finds out again, and says so

    def _surviving(
        self,
        work: Decoding | Searching,
        model: LoadedModel,
        request: Generate,
        prompt: Prompt,
    ) -> Iterator[GenerateEvent]:
        """Run `work`; where the device runs out of memory, go on with it on the processor."""
        while True:
            try:
                if isinstance(work, Searching):
                    network = model.network_with(request.adapters)
                    yield from work.run(model.lanes_for(prompt.ids, network), prompt)
                else:
                    yield from work.run(Choir(model, request, prompt))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._fall_back(model, error)
                yield Notice(id=request.id, message=TO_PROCESSOR)
            else:
                return

    def _fall_back(self, model: LoadedModel, error: BaseException) -> None:
        """Move `model` to the processor, or give up."""
        if model.placement.device.type == "cpu":
            model.forget()
            raise EngineError(_NO_MEMORY) from error
        try:
            model.to_processor()
        except (RuntimeError, MemoryError) as again:
            if is_out_of_memory(again):
                self._model = None
                raise EngineError(_NO_MEMORY) from again
            raise

    def _out_of_memory(self, error: BaseException, model: LoadedModel) -> BaseException:
        """What to raise for `error`, met where nothing can go on from the middle."""
        if not is_out_of_memory(error):
            return error
        self._fall_back(model, error)
        return EngineError(f"{TO_PROCESSOR} Ask again.")


def _check(request: Generate) -> None:
    """Raise what tells the user that `request` contradicts itself."""
    if not 1 <= request.takes <= MOST_TAKES:
        raise UserError(f"{request.takes} takes were asked for; ask for 1 to {MOST_TAKES}.")
    if request.seeds and len(request.seeds) != request.takes:
        raise UserError(f"There are {len(request.seeds)} seeds, and {request.takes} takes were asked for.")
    if request.take_adapters and request.settings.method in SEARCHES:
        raise UserError(
            "A search finds all takes with one mix of adapters; sample, or ask for one after another."
        )


def _takes(request: Generate, model: LoadedModel, prompt: Prompt, started: float) -> list[Take]:
    first = request.seed if request.seed is not None else secrets.randbelow(1 << 31)
    return [
        Take(
            index,
            seed,
            build_sampler(
                request.settings, model.tokens, prompt_ids=prompt.ids, seed=seed, peaks=model.peaks
            ),
            model.tokens,
            request.stop,
            typed=prompt.typed,
            started=started,
        )
        for index, seed in enumerate(request.seeds or range(first, first + request.takes))
    ]


def _work_for(
    request: Generate, model: LoadedModel, takes: list[Take], prompt: Prompt, cancel: CancelSignal
) -> Decoding | Searching:
    if request.settings.method in SEARCHES:
        return Searching(request, takes, model.tokens, cancel)
    guessing = Speculation(prompt.ids, model.judgement) if model.speculates else None
    return Decoding(request, takes, model.tokens, cancel, guessing)
