"""Samplers: pure functions from logits and history to logits, one idea a file, and the take that runs them in order.

`pipeline` says in which order and why; `take.TakeSampler` is what the engine drives:

    sampler = build_sampler(settings, tokenizer, prompt_ids=ids, seed=seed, device=device)
    choice = sampler.sample(logits)
    sampler.accept(choice.token)
    back = sampler.go_back()  # a Rewind: drop as many tokens from the cache and the text
"""

from storyteller.engine.sampling.bias import allow_only, ban_tokens, leave_alone, logit_bias
from storyteller.engine.sampling.cutoffs import epsilon_cutoff, eta_cutoff
from storyteller.engine.sampling.diversity import diversity_penalty
from storyteller.engine.sampling.draw import draw, greedy, uniform
from storyteller.engine.sampling.dry import dry
from storyteller.engine.sampling.guidance import adapter_contrast, guidance
from storyteller.engine.sampling.loops import find_loop
from storyteller.engine.sampling.min_p import min_p, top_a
from storyteller.engine.sampling.mirostat import mirostat
from storyteller.engine.sampling.ngram import no_repeat_ngram
from storyteller.engine.sampling.penalties import frequency_presence_penalty, repetition_penalty
from storyteller.engine.sampling.phrases import PhraseGuard
from storyteller.engine.sampling.pipeline import row_adjustment
from storyteller.engine.sampling.rules import resolve
from storyteller.engine.sampling.tail_free import tail_free
from storyteller.engine.sampling.take import Choice, Rewind, TakeSampler, TakeState, build_sampler
from storyteller.engine.sampling.temperature import dynamic_temperature, temperature
from storyteller.engine.sampling.top_k import top_k
from storyteller.engine.sampling.top_p import top_p
from storyteller.engine.sampling.typical import typical
from storyteller.engine.sampling.xtc import xtc

__all__ = [
    "Choice",
    "PhraseGuard",
    "Rewind",
    "TakeSampler",
    "TakeState",
    "adapter_contrast",
    "allow_only",
    "ban_tokens",
    "build_sampler",
    "diversity_penalty",
    "draw",
    "dry",
    "dynamic_temperature",
    "epsilon_cutoff",
    "eta_cutoff",
    "find_loop",
    "frequency_presence_penalty",
    "greedy",
    "guidance",
    "leave_alone",
    "logit_bias",
    "min_p",
    "mirostat",
    "no_repeat_ngram",
    "repetition_penalty",
    "resolve",
    "row_adjustment",
    "tail_free",
    "temperature",
    "top_a",
    "top_k",
    "top_p",
    "typical",
    "uniform",
    "xtc",
]
