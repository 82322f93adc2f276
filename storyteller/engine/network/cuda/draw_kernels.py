"""A draw from the k most likely tokens as two kernels, where torch's operators are some forty.

Orders of floats are orders of unsigned numbers, so the k-th largest, and where a nucleus ends, are found a bit at a
time, by counting. The arithmetic is that of `sampling.on_device.DeviceDraw`, ties at the floor included.
"""

from __future__ import annotations

import triton
import triton.language as tl

from storyteller.engine.network.cuda.kernels import FIRST_ROW, NOTHING, POSITION, SEEN, TOKEN

SIGN = tl.constexpr(0x80000000)
ALL = tl.constexpr(0xFFFFFFFF)
NO_TOKEN = tl.constexpr(0x7FFFFFFF)


@triton.jit
def shortlist(
    logits, offsets, used, ids, scores, parts, vocab,
    BLOCK: tl.constexpr, SLOTS: tl.constexpr, K: tl.constexpr,
):  # fmt: skip
    """The K highest scores of BLOCK tokens, ties included, ids ascending, into SLOTS places; the rest are -inf.

    `parts` (programs, 3) float32: the largest logit, the sum of exponentials beside it, and how many scores there were.
    """
    block = tl.program_id(0)
    tokens = block * BLOCK + tl.arange(0, BLOCK)
    there = tokens < vocab
    logit = tl.load(logits + tokens, mask=there, other=NOTHING)
    logit = tl.where(tl.load(used + tokens, mask=there, other=0) != 0, logit, NOTHING)
    largest = tl.max(logit, 0)
    summed = tl.sum(tl.exp(logit - tl.where(largest == NOTHING, 0.0, largest)), 0)
    score = logit + tl.load(offsets + tokens, mask=there, other=0.0)
    order = _order(score)
    kept = (order >= _kth(order, K)) & (score > NOTHING)
    count = tl.sum(kept.to(tl.int32), 0)
    place = tl.cumsum(kept.to(tl.int32), 0) - 1
    fits = kept & (place < SLOTS)
    first = block * SLOTS
    tl.store(ids + first + place, tokens, mask=fits)
    tl.store(scores + first + place, score, mask=fits)
    slots = tl.arange(0, SLOTS)
    tl.store(scores + first + slots, NOTHING, mask=slots >= count)
    tl.store(parts + block * 3, largest)
    tl.store(parts + block * 3 + 1, summed)
    tl.store(parts + block * 3 + 2, count.to(tl.float32))


@triton.jit
def decide(
    logits, ids, scores, parts, chance, drawn, command, temperature, top_p, min_p_log, blocks,
    BLOCKS: tl.constexpr, SLOTS: tl.constexpr, K: tl.constexpr,
    GREEDY: tl.constexpr, TEMPERED: tl.constexpr, TOP_P: tl.constexpr, MIN_P: tl.constexpr,
):  # fmt: skip
    """Into `drawn` (2,) float64: a token, -1 where the host must decide, and its log-probability; `command` reads it next."""
    part = tl.arange(0, BLOCKS)
    larger = tl.load(parts + part * 3, mask=part < blocks, other=NOTHING)
    summed = tl.load(parts + part * 3 + 1, mask=part < blocks, other=0.0)
    most_kept = tl.max(tl.load(parts + part * 3 + 2, mask=part < blocks, other=0.0), 0)
    top = tl.max(larger, 0)
    log_total = top + tl.log(tl.sum(summed * tl.exp(larger - tl.where(top == NOTHING, 0.0, top)), 0))

    slot = tl.arange(0, BLOCKS * SLOTS)
    there = slot < blocks * SLOTS
    score = tl.load(scores + slot, mask=there, other=NOTHING)
    token = tl.load(ids + slot, mask=there & (score > NOTHING), other=NO_TOKEN)
    best = tl.max(score, 0)
    likeliest = tl.min(tl.where(score == best, token, NO_TOKEN), 0)
    chosen = likeliest
    if not GREEDY:
        kept = (_order(score) >= _kth(_order(score), K)) & (score > NOTHING)
        if TEMPERED:
            score = (score - best) / temperature
            best = 0.0
        if TOP_P:
            score = tl.where(kept, score, NOTHING)
            order = _order(score)
            normal = best + tl.log(tl.sum(tl.exp(score - best), 0))
            mass = tl.where(kept, tl.exp((score - normal).to(tl.float64)), 0.0)
            kept = kept & ((order > _nucleus(order, mass, top_p)) | (score == best))
        if MIN_P:
            kept = kept & (score >= best + min_p_log)
        weight = tl.where(kept, tl.exp((score - best).to(tl.float64)), 0.0)
        reached = tl.cumsum(weight, 0)
        beyond = kept & (reached > tl.load(chance) * tl.sum(weight, 0))
        chosen = tl.min(tl.where(beyond, token, NO_TOKEN), 0)
        chosen = tl.where(chosen == NO_TOKEN, likeliest, chosen)

    finite = (log_total - log_total == 0) & (best - best == 0)
    settled = finite & (most_kept <= SLOTS) & (chosen != NO_TOKEN)
    read = tl.where(settled, chosen, 0)
    logprob = tl.maximum(tl.load(logits + read) - log_total, -1e4)
    tl.store(drawn, tl.where(settled, chosen, -1).to(tl.float64))
    tl.store(drawn + 1, logprob.to(tl.float64))
    entry = command + FIRST_ROW
    tl.store(entry + TOKEN, read.to(tl.int64))
    tl.store(entry + POSITION, tl.load(entry + POSITION) + 1)
    tl.store(entry + SEEN, tl.load(entry + SEEN) + 1)


@triton.jit
def _order(score):
    """Unsigned numbers in the order of floats."""
    bits = (score + 0.0).to(tl.uint32, bitcast=True)  # -0 and 0 are equal
    return tl.where(bits >= SIGN, bits ^ ALL, bits | SIGN)


@triton.jit
def _kth(order, K: tl.constexpr):
    """The K-th largest of `order`."""
    floor = tl.full((), 0, tl.uint32)
    for step in tl.static_range(32):
        higher = floor | (1 << (31 - step))
        floor = tl.where(tl.sum((order >= higher).to(tl.int32), 0) >= K, higher, floor)
    return floor


@triton.jit
def _nucleus(order, mass, top_p):
    """The largest place above which there is at least `top_p` of all mass."""
    place = tl.full((), 0, tl.uint32)
    for step in tl.static_range(32):
        higher = place | (1 << (31 - step))
        place = tl.where(tl.sum(tl.where(order > higher, mass, 0.0), 0) >= top_p, higher, place)
    return place
