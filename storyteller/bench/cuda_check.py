"""Everything worth knowing about the CUDA step in one short run: is it right, how fast is it, where does the time go.

`python -m storyteller.bench.cuda_check --out DIR`. A stage that fails prints its traceback and the others go on; a
stage that would begin after `--seconds` is left out. The table comes last, and is in `DIR/cuda_check.json` too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import traceback
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from storyteller.bench.cuda_stages import (
    advance_seconds,
    differences,
    in_few_bits,
    kernel_table,
    plans,
    step_seconds,
    transformers_seconds,
)
from storyteller.bench.machine import bandwidth
from storyteller.bench.prompts import prompt_ids, seed_of
from storyteller.bench.shapes import model_of_shape
from storyteller.engine.cancel import CancelSignal
from storyteller.engine.core import Core
from storyteller.engine.network.cuda.step import cuda_step
from storyteller.engine.protocol import Generate, Load, Token
from storyteller.engine.settings import SamplerSettings, StopRules
from storyteller.engine.writing.lanes import Lanes
from storyteller.paths import starter_model_dir

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from storyteller.engine.network.model import Network
    from storyteller.engine.network.step import FusedStep
    from storyteller.engine.protocol import Dtype

_CONTEXTS: Final = (256, 900)
_TOKENS: Final = 100
_WARM_UP: Final = 8  # gaps: the first tokens capture graphs
_ROWS: Final = (1, 2, 4, 8)
_BITS: Final = (8, 4)
_MOST_OFF: Final = 1.5  # times as far from float32 as the operators are
_EXACT: Final = 1e-3  # as good as float32


class CudaCheck:
    """The stages, in order, and what they found."""

    def __init__(self, device: str, shape: str, seconds: float) -> None:
        self.figures: dict[str, float | str] = {}
        self._device, self._shape, self._seconds = device, shape, seconds
        self._started = time.perf_counter()
        self._core = Core()

    def run(self) -> None:
        """All stages. One that fails, or that there is no time for, is named in `figures`."""
        stages: dict[str, Callable[[], None]] = {
            "machine": self._machine,
            "starter": self._starter,
            "starter in four bits": self._starter_in_four_bits,
            "open": self._open,
            "same": self._same,
            "stream": self._stream,
            "steps": self._steps,
            "ahead": self._ahead,
            "transformers": self._transformers,
            "profile": self._profile,
            "few bits": self._few_bits,
            "variants": self._variants,
        }
        for name, stage in stages.items():
            started = time.perf_counter()
            if self._is_late:
                self.figures[f"{name}: left out"] = "no time"
                continue
            print(f"== {name}", flush=True)
            try:
                stage()
            except Exception as error:  # noqa: BLE001 - the other stages are still worth having
                traceback.print_exc()
                self.figures[f"{name}: FAILED"] = f"{type(error).__name__}: {error}"[:200]
            print(f"== {name}: {time.perf_counter() - started:.1f} s", flush=True)

    @property
    def _is_late(self) -> bool:
        return time.perf_counter() - self._started > self._seconds

    @property
    def _network(self) -> Network:
        return self._core.opened.network

    @property
    def _limit_s(self) -> float:
        """Seconds that reading every weight once takes at the measured bandwidth."""
        return self._network.weight_bytes / float(self.figures["read bytes/s"])

    def _machine(self) -> None:
        on_gpu = self._device == "cuda"
        self.figures["device"] = torch.cuda.get_device_name() if on_gpu else "processor"
        self.figures["torch"] = torch.__version__
        self.figures["read bytes/s"] = bandwidth(self._device)

    def _starter(self) -> None:
        """Greedy text of the starter in float32: by the operators, by the step, and by the step ahead of the host."""
        core = Core()
        _load(core, str(starter_model_dir()), self._device, "float32")
        ids = core.opened.tokens.encode("The old lighthouse keeper opened the door and")
        plain = _greedy(replace(core.opened.network, step=None), ids)
        self._note_same("starter: step = operators", plain, _greedy(core.opened.network, ids))
        settings = SamplerSettings(method="greedy", loop_guard=False, banned_tokens=(core.opened.tokens.eos,))
        said = [token for token, _ in _asked(core, ids, settings)]
        banned = _greedy(replace(core.opened.network, step=None), ids, banned=core.opened.tokens.eos)
        self._note_same("starter: ahead = operators", banned, said)

    def _starter_in_four_bits(self) -> None:
        """Made here, where nothing was kept before, which takes a text through the layers: it opens and writes."""
        core = Core()
        _load(core, str(starter_model_dir()), self._device, "int4")
        ids = core.opened.tokens.encode("The old lighthouse keeper opened the door and")
        print(core.opened.tokens.decode(_greedy(core.opened.network, ids)[:20]))
        self.figures["starter int4"] = type(core.opened.network.step).__name__

    def _note_same(self, name: str, expected: Sequence[int], got: Sequence[int]) -> None:
        pairs = zip(expected, got, strict=False)
        same = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(expected), len(got)))
        self.figures[name] = "yes" if list(expected) == list(got) else f"NO, first {same} of {len(expected)}"

    def _open(self) -> None:
        started = time.perf_counter()
        folder = model_of_shape(self._shape)
        made = time.perf_counter()
        _load(self._core, str(folder), self._device, "bfloat16")
        print(f"made in {made - started:.1f} s, opened in {time.perf_counter() - made:.1f} s")
        self.figures["step"] = type(self._network.step).__name__
        self.figures["limit ms/token"] = 1e3 * self._limit_s

    def _same(self) -> None:
        """Logits by the step and by the operators, beside float32, for rows of a trunk and of branches."""
        for rows in _ROWS:
            for branches in (False, True):
                step, operators = differences(self._network, rows, branches=branches)
                verdict = "yes" if step <= max(_MOST_OFF * operators, _EXACT) else "NO"  # NaN is no
                where = "branches" if branches else "trunk"
                self.figures[f"same: {rows} rows of {where}"] = (
                    f"{verdict}, off {step:.1e} by {operators:.1e}"
                )

    def _stream(self) -> None:
        """Time between tokens as a writer gets them."""
        eos = self._core.opened.tokens.eos
        free = SamplerSettings(top_k=40, loop_guard=False, banned_tokens=(eos,))
        kinds = {
            "top-k 40": free,
            "top-p 0.9": SamplerSettings(top_p=0.9, loop_guard=False, banned_tokens=(eos,)),
            "penalties": SamplerSettings(top_k=40, repetition_penalty=1.1, banned_tokens=(eos,)),
        }
        vocabulary = self._core.opened.config.vocab_size
        for context in _CONTEXTS:
            ids = prompt_ids(context, vocabulary, seed_of(context, 1))
            for kind, settings in kinds.items():
                _asked(self._core, ids, settings, tokens=_WARM_UP)
                gap = _gap([at for _, at in _asked(self._core, ids, settings)])
                self.figures[f"stream {context}, {kind}: ms/token"] = 1e3 * gap
                if settings is free:
                    self.figures[f"stream {context}: of the limit"] = self._limit_s / gap
            four = _gap([at for _, at in _asked(self._core, ids, free, takes=4)][3::4])
            self.figures[f"stream {context}, four takes: ms/step"] = 1e3 * four

    def _steps(self) -> None:
        """One step by itself, without sampler or events, and eager."""
        _needed(self._network.step)
        for rows in _ROWS:
            self.figures[f"step of {rows} rows: ms"] = 1e3 * step_seconds(self._network, rows)
        eager = replace(self._network, step=None)
        self.figures["operators, 1 row: ms"] = 1e3 * step_seconds(eager, 1)

    def _ahead(self) -> None:
        """A step, its logits and the draw as one graph, without events."""
        self.figures["ahead, top-k 40: ms"] = 1e3 * advance_seconds(self._network)

    def _transformers(self) -> None:
        seconds = transformers_seconds(self._shape, self._device, context=_CONTEXTS[0])
        self.figures["transformers: ms/token"] = 1e3 * seconds

    def _profile(self) -> None:
        """Kernels of some eager steps and of some ahead of the host."""
        eager = replace(self._network, step=None)
        print(kernel_table(lambda: step_seconds(eager, 1, times=3)))
        print(kernel_table(lambda: advance_seconds(self._network, times=3)))

    def _few_bits(self) -> None:
        for bits in _BITS:
            few = in_few_bits(self._network, bits)
            few = replace(few, step=_needed(cuda_step(few)))
            self.figures[f"int{bits}: step, ms"] = 1e3 * step_seconds(few, 1)
            self.figures[f"int{bits}: limit, ms"] = (
                1e3 * few.weight_bytes / float(self.figures["read bytes/s"])
            )

    def _variants(self) -> None:
        """The same kernels cut up in other ways."""
        for name, plan in plans().items():
            if self._is_late:  # each compiles kernels of its own
                self.figures["variants: left out from"] = name
                return
            try:
                network = replace(self._network, step=_needed(cuda_step(self._network, plan)))
                self.figures[f"variant {name}: ms"] = 1e3 * step_seconds(network, 1)
            except Exception as error:  # noqa: BLE001 - one too large for the card says nothing of the others
                self.figures[f"variant {name}: FAILED"] = f"{type(error).__name__}: {error}"[:120]


def _needed(step: FusedStep | None) -> FusedStep:
    if step is None:
        raise TypeError("the network has no step")
    return step


def _load(core: Core, model: str, device: str, dtype: Dtype) -> None:
    for _ in core.load(Load(id="check", model=model, device=device, dtype=dtype)):
        pass


@torch.inference_mode()
def _greedy(network: Network, ids: Sequence[int], *, banned: int | None = None) -> list[int]:
    """The likeliest tokens after `ids`, one at a time."""
    lanes = Lanes(network, 0)
    lanes.show(ids)
    lanes.split([len(ids) - 1], _TOKENS)
    token, said = ids[-1], []
    for _ in range(_TOKENS):
        logits = lanes.decode([token])[0].float()
        if banned is not None:
            logits[banned] = -torch.inf
        token = int(logits.argmax())
        said.append(token)
    return said


def _asked(
    core: Core, ids: Sequence[int], settings: SamplerSettings, *, tokens: int = _TOKENS, takes: int = 1
) -> list[tuple[int, float]]:
    """Each token of a request, and when it came."""
    request = Generate(
        id="check", ids=tuple(ids), takes=takes, seed=0, settings=settings, stop=StopRules(max_tokens=tokens)
    )
    return [
        (event.token, time.perf_counter())
        for event in core.generate(request, CancelSignal())
        if isinstance(event, Token)
    ]


def _gap(stamps: Sequence[float]) -> float:
    """The median time between two tokens, once warm."""
    return statistics.median(after - before for before, after in pairwise(stamps[_WARM_UP:]))


def main() -> None:
    """Run the stages and leave the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for cuda_check.json")
    parser.add_argument("--seconds", type=float, default=100.0, help="no stage begins after so many")
    parser.add_argument("--shape", default="gpt2-large")
    parser.add_argument("--device", default="cuda")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    check = CudaCheck(asked.device, asked.shape, asked.seconds)
    try:
        check.run()
    finally:  # of a run that is stopped half-way, half
        _leave(check.figures, asked.out)


def _leave(figures: dict[str, float | str], out: Path) -> None:
    (out / "cuda_check.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    width = max(map(len, figures), default=0)
    for name, figure in figures.items():
        shown = figure if isinstance(figure, str) else f"{figure:.4g}"
        print(f"{name:{width}}  {shown}")


if __name__ == "__main__":
    main()
