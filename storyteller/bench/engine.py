"""How fast the engine writes on this machine: beside what its memory allows, and beside transformers in the same run.

Every model is opened in a process of its own, so that load time and peak memory are its alone. Prompts are
pseudo-random ids: speed depends on shapes, not on what is said.
"""

from __future__ import annotations

import json
import math
import random
import resource
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from storyteller.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storyteller.engine.core import Core

Peer = Literal["transformers"]

EDIT_BOUND = 0.1  # of a fresh prefill: what the first token may take after the last word was changed
_PROBE_BYTES = 512 * 1024 * 1024


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one engine does at one context length.

    Attributes:
        who: `storyteller` or a peer's name.
        takes: written together.
        tokens_per_s: of all takes together, from the median time between steps.
        first_token_s: after a prompt of `context` tokens that nothing is known of.
        after_edit_s: after the same prompt with its last two tokens changed; None where a peer has no such thing.
        bound_tokens_per_s: what the measured memory bandwidth allows one take; 0 where it is not known.
        load_s: from a path to a model ready to be asked, imports not counted.
        memory_gb: the most the process ever held, weights files mapped from disk included.
    """

    who: str
    device: str
    dtype: str
    context: int
    takes: int
    tokens_per_s: float
    first_token_s: float
    after_edit_s: float | None = None
    bound_tokens_per_s: float = 0.0
    load_s: float = 0.0
    memory_gb: float = 0.0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a child process is asked to measure."""

    who: str
    model: str
    device: str
    dtype: str
    contexts: tuple[int, ...]
    takes: tuple[int, ...]
    tokens: int


def bench_engine(
    model: Path,
    *,
    device: str = "auto",
    dtypes: Sequence[str] = ("auto",),
    contexts: Sequence[int] = (256, 900),
    peers: Sequence[Peer] = (),
    tokens: int = 48,
    takes: Sequence[int] = (1, 2, 4),
) -> Iterator[Row]:
    """Measure `model` in each of `dtypes`, ours and then each peer, at each context length.

    Raises:
        EngineError: a measuring process failed.
    """
    for dtype in dtypes:
        for who in ("storyteller", *peers):
            job = Job(
                who=who,
                model=str(model),
                device=device,
                dtype=dtype,
                contexts=tuple(contexts),
                takes=tuple(takes) if who == "storyteller" else (1,),
                tokens=tokens,
            )
            yield from _in_child(job)


def main(
    model: Path,
    *,
    device: str = "auto",
    dtypes: Sequence[str] = ("auto",),
    contexts: Sequence[int] = (256, 900),
    peers: Sequence[Peer] = (),
    tokens: int = 48,
    as_json: bool = False,
) -> int:
    """Measure and print. Returns 1 where a peer in the run was faster, or an edit cost more than its share."""
    rows = []
    for row in bench_engine(
        model, device=device, dtypes=dtypes, contexts=contexts, peers=peers, tokens=tokens
    ):
        rows.append(row)
        if as_json:
            print(json.dumps(msgspec.to_builtins(row)), flush=True)
    if not as_json:
        print_table(rows)
    return 0 if meets_bounds(rows) else 1


def meets_bounds(rows: Sequence[Row]) -> bool:
    """Whether ours is at least as fast as every peer of the run, and an edit at most a tenth of a fresh prefill."""
    ours = {(row.dtype, row.context): row for row in rows if row.who == "storyteller" and row.takes == 1}
    edits = [
        row.after_edit_s < EDIT_BOUND * row.first_token_s
        for row in ours.values()
        if row.after_edit_s is not None and row.context >= 512
    ]
    peers = [row for row in rows if row.who != "storyteller" and (row.dtype, row.context) in ours]
    return all(edits) and all(ours[row.dtype, row.context].tokens_per_s >= row.tokens_per_s for row in peers)


def print_table(rows: Sequence[Row]) -> None:
    """The rows as a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("engine", no_wrap=True)
    for heading in ("length", "takes", "tok/s", "bound", "first", "edit", "load", "memory"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        share = f"{row.tokens_per_s / row.bound_tokens_per_s:.0%}" if row.bound_tokens_per_s else ""
        table.add_row(
            f"{row.who} {row.dtype}",
            str(row.context),
            str(row.takes),
            f"{row.tokens_per_s:.1f}",
            share if row.takes == 1 else "",
            f"{row.first_token_s:.3f}",
            "" if row.after_edit_s is None else f"{row.after_edit_s:.3f}",
            f"{row.load_s:.1f}",
            f"{row.memory_gb:.1f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"\nOn {', '.join(sorted({row.device for row in rows}))}. bound: share of what the memory's bandwidth allows. "
        "first: seconds to the first token of an unknown prompt; edit: of one whose last word was changed. "
        "load: seconds; memory: the most held, in GB.",
        style="dim",
    )


def prompt_ids(length: int, vocabulary: int, seed: int = 0) -> list[int]:
    """The same pseudo-random prompt for every engine."""
    rng = random.Random(seed)
    return [rng.randrange(1, vocabulary - 1) for _ in range(length)]


def _in_child(job: Job) -> Iterator[Row]:
    """Rows of `job`, measured in a fresh process, as they come."""
    command = [sys.executable, "-m", "storyteller.bench.engine"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None  # noqa: S101 - asked for above
        assert child.stdout is not None  # noqa: S101
        child.stdin.write(msgspec.json.encode(job))
        child.stdin.close()
        for line in child.stdout:
            yield msgspec.json.decode(line, type=Row)
    if child.returncode:
        raise EngineError(
            f"Measuring {job.who} in {job.dtype} failed with exit code {child.returncode}; its messages are above."
        )


def _measure(job: Job) -> Iterator[Row]:
    match job.who:
        case "storyteller":
            return _measure_ours(job)
        case "transformers":
            return _measure_transformers(job)
        case _:
            raise ValueError(f"no such engine: {job.who}")


def _measure_ours(job: Job) -> Iterator[Row]:
    from storyteller.engine.core import Core
    from storyteller.engine.protocol import Load, Ready

    core = Core()
    started = time.perf_counter()
    request = Load(id="bench", model=job.model, device=job.device, dtype=job.dtype)  # type: ignore[arg-type] # checked by `place`
    ready = list(core.load(request))[-1]
    load_s = time.perf_counter() - started
    assert isinstance(ready, Ready)  # noqa: S101 - the last event of a load
    _ask(core, prompt_ids(16, 1000), tokens=4, takes=1)  # kernels are chosen at their first use
    config = core.opened.config
    rows = []
    for context in job.contexts:
        for takes in job.takes if context + job.tokens <= ready.window else ():
            ids = prompt_ids(context, config.vocab_size, seed=takes)
            fresh = _ask(core, ids, tokens=job.tokens, takes=takes)
            edited = _ask(core, [*ids[:-2], ids[0], ids[1]], tokens=1, takes=takes)
            rows.append(
                Row(
                    who="storyteller",
                    device=ready.device,
                    dtype=ready.dtype,
                    context=context,
                    takes=takes,
                    tokens_per_s=takes / statistics.median(_gaps(fresh, takes)),
                    first_token_s=fresh[0],
                    after_edit_s=edited[0],
                    load_s=load_s,
                    memory_gb=_peak_memory(ready.device),
                )
            )
    bandwidth = _bandwidth(ready.device)  # last, since it needs memory of its own
    for row in rows:
        bound = bandwidth / _bytes_per_token(core, row.context)
        yield msgspec.structs.replace(row, bound_tokens_per_s=bound)


def _ask(core: Core, ids: Sequence[int], *, tokens: int, takes: int) -> list[float]:
    """Seconds from the request to each of its tokens, of all takes, in order."""
    from storyteller.engine.cancel import CancelSignal
    from storyteller.engine.protocol import Generate, Token
    from storyteller.engine.settings import SamplerSettings, StopRules

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


def _gaps(stamps: Sequence[float], takes: int) -> list[float]:
    """Seconds between steps: each ends with the token of its last take; the first two steps warm up."""
    steps = stamps[takes - 1 :: takes]
    return [after - before for before, after in pairwise(steps[2:])]


def _measure_transformers(job: Job) -> Iterator[Row]:
    """`generate` with its default cache, as people run it."""
    import torch
    from transformers import GPT2LMHeadModel, logging
    from transformers.generation.streamers import BaseStreamer

    from storyteller.engine.network.device import place
    from storyteller.engine.network.model_config import load_config
    from storyteller.engine.network.weights import parameter_count

    class Stamps(BaseStreamer):
        def __init__(self) -> None:
            self.times: list[float] = []
            self.prompt_seen = False

        def put(self, value: object) -> None:  # noqa: ARG002 - BaseStreamer's
            if self.prompt_seen:
                self.times.append(time.perf_counter())
            self.prompt_seen = True

        def end(self) -> None:
            pass

    logging.disable_progress_bar()  # type: ignore[no-untyped-call] # transformers is half typed
    config = load_config(Path(job.model))
    chosen = place(job.device, job.dtype, parameter_count(config))  # type: ignore[arg-type] # as above
    started = time.perf_counter()
    model: Any = GPT2LMHeadModel.from_pretrained(job.model, dtype=chosen.dtype)
    model.to(chosen.device).train(mode=False)
    load_s = time.perf_counter() - started
    settings: dict[str, Any] = {"do_sample": True, "top_k": 40, "pad_token_id": config.eos or 0}
    for context in job.contexts:
        if context + job.tokens > config.n_positions:
            continue
        ids = torch.tensor([prompt_ids(context, config.vocab_size)], device=chosen.device)
        mask = torch.ones_like(ids)
        with torch.inference_mode():
            model.generate(ids, attention_mask=mask, max_new_tokens=4, min_new_tokens=4, **settings)
            stamps = Stamps()
            started = time.perf_counter()
            model.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=job.tokens,
                min_new_tokens=job.tokens,
                streamer=stamps,
                **settings,
            )
        yield Row(
            who="transformers",
            device=chosen.device.type,
            dtype=chosen.dtype_name,
            context=context,
            takes=1,
            tokens_per_s=1 / statistics.median(_gaps(stamps.times, 1)),
            first_token_s=stamps.times[0] - started,
            load_s=load_s,
            memory_gb=_peak_memory(chosen.device.type),
        )


def _bytes_per_token(core: Core, context: int) -> float:
    """What one take must read for one token: every product once, and the keys and values of `context` tokens."""
    from storyteller.engine.network.model_config import product_shapes

    config = core.opened.config
    size = core.opened.network.dtype.itemsize
    products = sum(math.prod(shape) for shape in product_shapes(config).values()) * config.n_layer
    head = config.vocab_size * config.n_embd
    cache = 2 * config.n_layer * config.n_embd * context
    return size * (products + head + cache)


def _bandwidth(device: str) -> float:
    """Bytes a second that reading memory in order reaches: the best of some passes over half a gigabyte."""
    import torch

    data = torch.ones(_PROBE_BYTES // 4, device=device)
    best = math.inf
    for _ in range(5):
        started = time.perf_counter()
        float(data.sum())  # waits for the device
        best = min(best, time.perf_counter() - started)
    return _PROBE_BYTES / best


def _peak_memory(device: str) -> float:
    """Gigabytes: of the GPU where there is one, else of the process."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _child() -> None:
    """Measure the job on stdin; one row a line on stdout, and nothing else."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    for row in _measure(job):
        sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    _child()
