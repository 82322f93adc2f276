"""What a run was asked for, and all that is known of it before the base is opened."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import msgspec
import torch

from storyteller.engine.model_folder import model_hash
from storyteller.engine.network.device import place, set_threads
from storyteller.engine.network.model_config import ModelConfig, load_config
from storyteller.engine.network.weights import parameter_count
from storyteller.engine.prompt.tokens import Tokens, load_tokens
from storyteller.training.data import Pieces, Windows, tokenise
from storyteller.training.estimate import adapter_size, estimate
from storyteller.training.events import Planned
from storyteller.training.examples import Example, MixedWindows, read_examples
from storyteller.training.settings import Settings, Wanted, check, resolved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storyteller.engine.catalogue import Found
    from storyteller.genres import Genre
    from storyteller.training.corpus.document import Document

_LARGE: Final = 1_000_000_000  # parameters


class Asked(msgspec.Struct, frozen=True):
    """What a checkpoint goes with: a run is only resumed if all of it is the same."""

    settings: Settings
    base_hash: str
    data_hash: str
    name: str = ""  # of the adapter; runs begun before this was asked for have none
    datasets: tuple[str, ...] = ()  # so that a purge finds the run


@dataclass(frozen=True)
class Request:
    """A run that was asked for.

    Attributes:
        name: of the adapter.
        warnings: what is to be said of the texts beforehand.
        kept_spans: an `sft` data set of the feedback log, learned beside the documents.
        datasets: its hash, so that a purge finds the adapters that were made of it.
        withdrawn: whether any of them was purged since, asked before the adapter is put to use.
        save_every: steps from one checkpoint to the next; None: every two minutes.
    """

    genre: Genre
    name: str
    found: Found
    documents: Sequence[Document]
    wanted: Wanted = field(default_factory=Wanted)
    device: str = "auto"
    dtype: str = "auto"
    threads: int = 0
    warnings: tuple[str, ...] = ()
    kept_spans: bytes = b""
    datasets: tuple[str, ...] = ()
    withdrawn: Callable[[], bool] = lambda: False
    save_every: int | None = None


class Preparation:
    """Everything known before the base is opened; all that `--dry-run` needs.

    Raises where it is made:
        TrainingError, CorpusError, ModelError, UserError: it cannot be done as asked.
    """

    def __init__(self, request: Request) -> None:
        check(request.wanted)
        self.request = request
        self.threads = set_threads(request.threads)
        self.config: ModelConfig = load_config(request.found.path)
        self.parameters = parameter_count(self.config)
        # Few-bit weights are for writing; a base that learns is held in floats, or by bitsandbytes.
        wanted = "auto" if request.dtype in {"int8", "int4"} else request.dtype
        # As a large model would be: products of many rows gain from bfloat16 in small models too (starter: 1.9 times).
        placement = place(request.device, wanted, max(self.parameters, _LARGE))  # type: ignore[arg-type] # checked there
        dtype = torch.float32 if placement.device.type == "mps" else placement.dtype
        if dtype == torch.float16:
            dtype = torch.float32  # gradients of half-precision floats vanish without a scaler
        self.device = placement.device
        self.notes = placement.notes
        self.tokens: Tokens = load_tokens(
            request.found.path, vocab_size=self.config.vocab_size, eos=self.config.eos
        )
        self.pieces: Pieces = tokenise(
            request.documents, self.tokens.encode, self.tokens.eos, whole=request.genre.end_documents
        )
        kept = request.kept_spans
        self.examples: tuple[Example, ...] = (
            read_examples(kept, self.tokens.encode, eos=self.tokens.eos, model_hash=self.base_hash)
            if kept
            else ()
        )
        self.settings = resolved(
            request.wanted,
            parameters=self.parameters,
            window=self.config.n_positions,
            tokens=self.pieces.tokens,
            dtype=str(dtype).removeprefix("torch."),
            kept=len(self.examples),
        )
        self.windows = self._windows()

    def _windows(self) -> Windows:
        seq, seed, examples = self.settings.seq, self.settings.seed, self.examples
        if not examples:
            return Windows(self.pieces.read, seq, seed)
        mixed = MixedWindows(self.pieces.read, seq, seed, examples, self.tokens.eos)
        if mixed.taken < len(examples):
            beside = f"{mixed.taken:,} of {len(examples):,} kept spans are learned beside them"
            self.notes += (f"Each time through the texts {beside}, so that at least half is text.",)
        return mixed

    @cached_property
    def base_hash(self) -> str:
        """Of the model that is learned beside."""
        return model_hash(self.request.found.path)

    @cached_property
    def data_hash(self) -> str:
        """Of everything that is learned from."""
        kept = self.request.kept_spans
        return hashlib.sha256(self.pieces.hash.encode() + kept).hexdigest() if kept else self.pieces.hash

    @cached_property
    def asked(self) -> Asked:
        """What a checkpoint of this run goes with."""
        return Asked(self.settings, self.base_hash, self.data_hash, self.request.name, self.request.datasets)

    @property
    def micro_batch(self) -> int:
        """Sequences at once to begin with: on a processor more would save nothing."""
        wanted = self.request.wanted.micro_batch
        few = max(1, 1024 // self.settings.seq) if self.device.type == "cpu" else 8
        return min(wanted or few, self.settings.batch)

    def plan(self) -> Planned:
        """What will be done."""
        settings, pieces = self.settings, self.pieces
        seconds, memory_gb = estimate(
            self.config,
            settings,
            self.micro_batch,
            self.device,
            held_out=pieces.held_out_tokens,
            recompute=self.request.wanted.recompute,
        )
        return Planned(
            genre=self.request.genre.name,
            base=self.request.found.name,
            device=self.device.type,
            dtype=settings.quantise or settings.dtype,
            documents=pieces.documents,
            held_out_documents=pieces.held_out_documents,
            tokens=pieces.tokens,
            held_out_tokens=pieces.held_out_tokens,
            steps=settings.steps,
            epochs=round(settings.steps * settings.batch / self.windows.per_epoch, 2),
            batch=settings.batch,
            micro_batch=self.micro_batch,
            seq=settings.seq,
            rank=settings.rank,
            alpha=settings.alpha,
            dropout=settings.dropout,
            rate=settings.rate,
            parameters=adapter_size(self.config, settings.rank),
            seconds=seconds,
            memory_gb=memory_gb,
            warnings=(*self.request.warnings, *self.notes),
        )
