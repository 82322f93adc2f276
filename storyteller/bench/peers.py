"""Other engines, timed as their own users run them: transformers' `generate`, llama.cpp's decode loop.

Each runs in a process of its own, with the threads that ours would use and the cheapest sampling it has.
"""

from __future__ import annotations

import statistics
import time
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storyteller.bench.figures import Converted, Row
from storyteller.bench.machine import resident_gb
from storyteller.bench.prompts import EDITS, edited, prompt_ids, seed_of, tokens_per_s
from storyteller.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from storyteller.bench.figures import Job, Peer

_NEEDED: dict[Peer, tuple[str, ...]] = {"transformers": ("transformers",), "llama.cpp": ("llama_cpp", "gguf")}
_INSTALLED_BY: dict[Peer, str] = {
    "transformers": "pip install transformers",
    "llama.cpp": "pip install llama-cpp-python gguf",
}
_BATCH = 512  # llama.cpp's own choice


def require(peer: Peer) -> None:
    """See that `peer` is installed.

    Raises:
        UserError: it is not; says how it comes here.
    """
    missing = [name for name in _NEEDED[peer] if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{peer} cannot be measured without {' and '.join(missing)}: {_INSTALLED_BY[peer]}.",
            title=f"{peer} is not installed",
        )


def convert(job: Job) -> Converted:
    """The model in llama.cpp's format, made unless the run has it already."""
    from storyteller.engine.gguf_file import write_gguf

    path = gguf_path(job)
    if not path.is_file():
        unfinished = path.with_suffix(".part")
        write_gguf(Path(job.model), unfinished, job.dtype)
        unfinished.rename(path)
    return Converted(path=str(path))


def gguf_path(job: Job) -> Path:
    """Where the run keeps the model in llama.cpp's format."""
    return Path(job.scratch) / f"{job.dtype}.gguf"


def measure_llama_cpp(job: Job) -> Iterator[Row]:
    """llama-cpp-python's `Llama.generate`, which samples in C and keeps a common prefix as ours does."""
    from llama_cpp import Llama

    from storyteller.engine.network.device import set_threads

    threads = set_threads(job.threads)
    started = time.perf_counter()
    model: Any = Llama(
        str(gguf_path(job)),
        n_ctx=1024,
        n_batch=_BATCH,
        n_threads=threads,
        n_threads_batch=threads,
        verbose=False,
    )
    load_s = time.perf_counter() - started
    vocabulary: int = model.n_vocab()

    def ask(ids: Sequence[int], tokens: int) -> list[float]:
        asked = time.perf_counter()
        drawn = model.generate(ids, top_k=40, top_p=1.0, min_p=0.0, temp=1.0, repeat_penalty=1.0)
        return [time.perf_counter() - asked for _ in islice(drawn, tokens)]

    open_s = load_s + ask(prompt_ids(16, vocabulary), 4)[0]
    for context in job.contexts:
        ids = prompt_ids(context, vocabulary, seed_of(context, 1))
        model.reset()
        fresh = ask(ids, job.tokens)
        edits = [ask(edited(ids, number, vocabulary), 1)[0] for number in range(EDITS)]
        yield Row(
            who="llama.cpp",
            device="cpu",
            dtype=job.dtype,
            context=context,
            takes=1,
            tokens_per_s=tokens_per_s(fresh),
            first_token_s=fresh[0],
            after_edit_s=statistics.median(edits),
            load_s=load_s,
            open_s=open_s,
            resident_gb=resident_gb(),
        )


def measure_transformers(job: Job) -> Iterator[Row]:
    """`generate` with its default cache, eager, as people run it."""
    import torch
    from transformers import GPT2LMHeadModel, logging

    from storyteller.engine.network.device import set_threads

    set_threads(job.threads)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call] # transformers is half typed
    started = time.perf_counter()
    model: Any = GPT2LMHeadModel.from_pretrained(job.model, dtype=getattr(torch, job.dtype))
    model.to(job.device).train(mode=False)
    load_s = time.perf_counter() - started
    vocabulary: int = model.config.vocab_size
    open_s = load_s + _generated(model, prompt_ids(16, vocabulary), 4)[0]
    for context in job.contexts:
        ids = prompt_ids(context, vocabulary, seed_of(context, 1))
        _generated(model, prompt_ids(context, vocabulary), 4)
        fresh = _generated(model, ids, job.tokens)
        yield Row(
            who="transformers",
            device=job.device,
            dtype=job.dtype,
            context=context,
            takes=1,
            tokens_per_s=tokens_per_s(fresh),
            first_token_s=fresh[0],
            load_s=load_s,
            open_s=open_s,
            memory_gb=torch.cuda.max_memory_allocated() / 1e9 if job.device == "cuda" else 0.0,
            resident_gb=resident_gb(),
        )


def _generated(model: Any, ids: Sequence[int], tokens: int) -> list[float]:
    """Seconds from the call to each token of one sampled continuation."""
    import torch
    from transformers.generation.streamers import BaseStreamer

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

    prompt = torch.tensor([ids], device=model.device)
    stamps = Stamps()
    started = time.perf_counter()
    with torch.inference_mode():
        model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=True,
            top_k=40,
            pad_token_id=model.config.eos_token_id or 0,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            streamer=stamps,
        )
    return [stamp - started for stamp in stamps.times]
