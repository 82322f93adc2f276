"""The engine's own part of its bench: open a model, ask it, and take the time. Runs in a process of its own."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Final

import torch

from storyteller.bench.figures import OURS, Bandwidth, Opened, Row
from storyteller.bench.machine import bandwidth, resident_gb
from storyteller.bench.prompts import EDITS, edited, prompt_ids, seed_of, tokens_per_s
from storyteller.engine.cancel import CancelSignal
from storyteller.engine.core import Core
from storyteller.engine.network.device import set_threads
from storyteller.engine.protocol import Generate, Load, Ready, Token
from storyteller.engine.settings import SamplerSettings, StopRules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storyteller.bench.figures import Job

_SHORT: Final = 16  # tokens of the first prompt


def open_cold(job: Job) -> Opened:
    """Open the model, with nothing of it cached in this process's home."""
    core, ready, load_s, _ = _open(job)
    _ask(core, prompt_ids(_SHORT, core.opened.config.vocab_size), tokens=4)
    return Opened(
        device=ready.device,
        device_name=torch.cuda.get_device_name() if ready.device == "cuda" else "processor",
        dtype=ready.dtype,
        window=ready.window,
        threads=torch.get_num_threads(),
        cold_load_s=load_s,
    )


def measure_bandwidth(job: Job) -> Bandwidth:
    """How fast memory can be read here."""
    set_threads(job.threads)
    return Bandwidth(device=job.device, bytes_per_s=bandwidth(job.device))


def measure_ours(job: Job) -> Iterator[Row]:
    """Decoding, first tokens and edits at each context and number of takes of `job`."""
    core, ready, load_s, warm_s = _open(job)
    vocabulary = core.opened.config.vocab_size
    open_s = warm_s + _ask(core, prompt_ids(_SHORT, vocabulary), tokens=4)[0]
    for context in job.contexts:
        for takes in job.takes:
            ids = prompt_ids(context, vocabulary, seed_of(context, takes))
            fresh = _ask(core, ids, tokens=job.tokens, takes=takes)
            yield Row(
                who=OURS,
                device=ready.device,
                dtype=ready.dtype,
                context=context,
                takes=takes,
                tokens_per_s=tokens_per_s(fresh, takes),
                first_token_s=fresh[0],
                after_edit_s=_after_edit(core, ids, vocabulary) if takes == 1 else None,
                bytes_per_token=_bytes_per_token(core, context) if takes == 1 else 0.0,
                load_s=load_s,
                open_s=open_s,
                memory_gb=torch.cuda.max_memory_allocated() / 1e9 if ready.device == "cuda" else 0.0,
                resident_gb=resident_gb(),
            )


def _open(job: Job) -> tuple[Core, Ready, float, float]:
    """An open model, the seconds until it was ready, and those until it had done what it does after that, unasked."""
    core = Core()
    request = Load(
        id="bench",
        model=job.model,
        device=job.device,
        dtype=job.dtype,  # type: ignore[arg-type] # checked by `place`
        threads=job.threads,
        speculate=False,  # a guess that is right makes two tokens come at once
    )
    started = time.perf_counter()
    ready, load_s = None, 0.0
    for event in core.load(request):
        if isinstance(event, Ready):
            ready, load_s = event, time.perf_counter() - started
    assert ready is not None  # noqa: S101 - a load ends with it, or raises
    return core, ready, load_s, time.perf_counter() - started


def _ask(core: Core, ids: Sequence[int], *, tokens: int, takes: int = 1) -> list[float]:
    """Seconds from the request to each of its tokens, of all takes, in order."""
    request = Generate(
        id="bench",
        ids=tuple(ids),
        takes=takes,
        seed=0,
        settings=SamplerSettings(top_k=40, loop_guard=False, banned_tokens=(core.opened.tokens.eos,)),
        stop=StopRules(max_tokens=tokens),
    )
    started = time.perf_counter()
    return [
        time.perf_counter() - started
        for event in core.generate(request, CancelSignal())
        if isinstance(event, Token)
    ]


def _after_edit(core: Core, ids: Sequence[int], vocabulary: int) -> float:
    """Seconds to the first token after an edit of `ids`, which the cache holds: the median of several."""
    return statistics.median(
        _ask(core, edited(ids, number, vocabulary), tokens=1)[0] for number in range(EDITS)
    )


def _bytes_per_token(core: Core, context: int) -> float:
    """What one take must read for one token: every weight once, and the keys and values of `context` tokens."""
    network, config = core.opened.network, core.opened.config
    cache = 2 * config.n_layer * config.n_embd * context * network.position_embedding.element_size()
    return float(network.weight_bytes + cache)
