"""The five kernels of a layer, the ones round all layers, and nothing else: few rows against weights read once.

One token reads every weight, so a product is as fast as memory is read: each program asks for all weights of its
outputs at once, 16 bytes a thread and load, before it waits for the rows they are multiplied with. Rows are read
again by every program; they stay in the L2 cache. Sums are float32.

Everything that changes from step to step is read from `command` (int64, on the device), so that one captured graph
serves every step: see `step.CudaStep` for its layout.

With PDL (programmatic dependent launch) a kernel starts while the one before it still runs, and only
`griddepcontrol.wait` orders them: before it a kernel touches weights alone, and every kernel waits, so that whatever
an earlier one wrote is there.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait

# Places in `command`.
TRUNK_KEYS = tl.constexpr(0)
TRUNK_CAPACITY = tl.constexpr(2)
BRANCH_KEYS = tl.constexpr(3)
BRANCH_CAPACITY = tl.constexpr(5)
BRANCH_ROWS = tl.constexpr(6)
KEPT_HIDDEN = tl.constexpr(7)
FIRST_ROW = tl.constexpr(8)
# Places in a row of it, of which there are ROW_SIZE.
TOKEN = tl.constexpr(0)
POSITION = tl.constexpr(1)
SEEN = tl.constexpr(2)
BRANCH = tl.constexpr(3)
OWN = tl.constexpr(4)
ROW_SIZE = tl.constexpr(5)

NOTHING = tl.constexpr(float("-inf"))


@triton.jit
def embed(command, tokens, positions, x, WIDTH: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr):
    """Fill x (rows, WIDTH) float32: the embedding of each row's token and position. One program a row."""
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    row = tl.program_id(0)
    entry = command + FIRST_ROW + row * ROW_SIZE
    token, position = tl.load(entry + TOKEN), tl.load(entry + POSITION)
    columns = tl.arange(0, BLOCK)
    inside = columns < WIDTH
    said = tl.load(tokens + token * WIDTH + columns, mask=inside).to(tl.float32)
    placed = tl.load(positions + position * WIDTH + columns, mask=inside).to(tl.float32)
    tl.store(x + row * WIDTH + columns, said + placed, mask=inside)


@triton.jit(do_not_specialize=["layer"])  # 0, 1 and 16 would be compiled apart
def product(
    command,
    source,
    scores,
    norm_weight,
    norm_bias,
    weight,
    scales,
    bias,
    out,
    layer,
    epsilon,
    ROWS: tl.constexpr,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    BLOCK: tl.constexpr,
    CHUNK: tl.constexpr,
    BITS: tl.constexpr,
    NORM: tl.constexpr,
    BIAS: tl.constexpr,
    SINK: tl.constexpr,
    HEADS: tl.constexpr,
    HEAD_WIDTH: tl.constexpr,
    SPLITS: tl.constexpr,
    CACHE: tl.constexpr,
    PDL: tl.constexpr,
):
    """Rows times weight (OUTPUTS, INPUTS) plus bias; a program makes BLOCK outputs of every row.

    Rows come from `source` (ROWS, INPUTS), normalised where NORM; where SPLITS, from the SPLITS parts
    (ROWS, SPLITS, INPUTS) that attention left there, weighed by `scores` (ROWS, SPLITS, HEADS). SINK: "store" into
    `out` (ROWS, OUTPUTS), "gelu" the same after the activation, "add" onto what is there, "qkv": queries into `out`,
    keys and values into the caches. BITS 16 for floats; 8 and 4: see `weights.CudaLinear`.
    """
    if PDL:
        gdc_launch_dependents()
    outputs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = outputs < OUTPUTS
    kept = tl.minimum(outputs, OUTPUTS - 1)
    tiles, gains, shifts = (), (), ()
    for chunk in tl.static_range(INPUTS // CHUNK):
        tiles = tiles + (_tile(weight, kept, chunk, INPUTS, CHUNK, BITS),)
        if NORM:
            columns = chunk * CHUNK + tl.arange(0, CHUNK)
            gains = gains + (tl.load(norm_weight + columns),)
            shifts = shifts + (tl.load(norm_bias + columns),)
    added = tl.zeros((BLOCK,), tl.float32)
    if BIAS:
        added = tl.load(bias + kept).to(tl.float32)
    if BITS == 8:
        factor = tl.load(scales + kept)
    if PDL:
        gdc_wait()
    for row in tl.static_range(ROWS):
        parts = ()
        for chunk in tl.static_range(INPUTS // CHUNK):
            columns = chunk * CHUNK + tl.arange(0, CHUNK)
            parts = parts + (_inputs(source, scores, row, columns, INPUTS, HEADS, HEAD_WIDTH, SPLITS),)
        mean, spread = 0.0, 1.0
        if NORM:
            mean, spread = _moments(parts, epsilon, INPUTS, CHUNK)
        if BITS == 4:
            sums = tl.zeros((BLOCK, CHUNK // 128, 64), tl.float32)
        else:
            sums = tl.zeros((BLOCK, CHUNK), tl.float32)
        for chunk in tl.static_range(INPUTS // CHUNK):
            part = parts[chunk]
            if NORM:
                part = (part - mean) * spread * gains[chunk].to(tl.float32) + shifts[chunk].to(tl.float32)
            if BITS == 4:
                sums += _in_four_bits(tiles[chunk], part, scales, kept, chunk, INPUTS, CHUNK)
            else:
                sums += tiles[chunk].to(tl.float32) * part[None, :]
        if BITS == 4:
            total = tl.sum(tl.sum(sums, 2), 1)
        else:
            total = tl.sum(sums, 1)
        if BITS == 8:
            total *= factor
        total += added
        if SINK == "qkv":
            _to_cache(command, out, total, row, layer, OUTPUTS // 3, BLOCK, HEADS, HEAD_WIDTH, CACHE)
        else:
            target = out + row * OUTPUTS + outputs
            if SINK == "add":
                total += tl.load(target, mask=inside)
            if SINK == "gelu":
                bent = 0.7978845608028654 * (total + 0.044715 * total * total * total)
                total = total * tl.sigmoid(2 * bent)
            tl.store(target, total.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["layer"])
def attention(
    command,
    queries,
    out,
    scores,
    layer,
    scale,
    HEADS: tl.constexpr,
    WIDTH: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK: tl.constexpr,
    BRANCHES: tl.constexpr,
    CACHE: tl.constexpr,
    PDL: tl.constexpr,
):
    """One query against a part of what it may look at, trunk first, then its branch. A program a part, head and row.

    `out` (rows, SPLITS, HEADS * WIDTH) float32 takes what the part gathered, `scores` (rows, SPLITS, HEADS) the log
    of the part's summed weights, -inf for one without positions. Source: Dao et al. 2023, Flash-Decoding.
    """
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    split, head, row = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    entry = command + FIRST_ROW + row * ROW_SIZE
    seen, own = tl.load(entry + SEEN).to(tl.int32), tl.load(entry + OWN).to(tl.int32)
    each = tl.cdiv(seen + own, SPLITS)
    begin = split * each
    end = tl.minimum(begin + each, seen + own)
    columns = tl.arange(0, WIDTH)
    size = tl.load(command + TRUNK_CAPACITY) * WIDTH
    keys = _address(command + TRUNK_KEYS, CACHE) + (layer * HEADS + head) * size
    values = _address(command + TRUNK_KEYS + 1, CACHE) + (layer * HEADS + head) * size
    if BRANCHES:
        branch = tl.maximum(tl.load(entry + BRANCH), 0)
        place = ((layer * tl.load(command + BRANCH_ROWS) + branch) * HEADS + head) * WIDTH
        place = place * tl.load(command + BRANCH_CAPACITY)
        own_keys = _address(command + BRANCH_KEYS, CACHE) + place
        own_values = _address(command + BRANCH_KEYS + 1, CACHE) + place
    top = tl.full((), NOTHING, tl.float32)
    mass = tl.full((), 0.0, tl.float32)
    gathered = tl.zeros((WIDTH,), tl.float32)
    start = begin
    while start < end:
        places = start + tl.arange(0, BLOCK)
        inside = places < end
        shared = (inside & (places < seen))[:, None]
        where = places[:, None] * WIDTH + columns[None, :]
        key = tl.load(keys + where, mask=shared, other=0.0)
        value = tl.load(values + where, mask=shared, other=0.0)
        if BRANCHES:
            mine = (inside & (places >= seen))[:, None]
            where = (places - seen)[:, None] * WIDTH + columns[None, :]
            key += tl.load(own_keys + where, mask=mine, other=0.0)
            value += tl.load(own_values + where, mask=mine, other=0.0)
        # Nothing can be computed without the query, and no load crosses a barrier: all before are under way together.
        tl.debug_barrier()
        query = tl.load(queries + (row * HEADS + head) * WIDTH + columns) * scale
        score = tl.where(inside, tl.sum(key.to(tl.float32) * query[None, :], 1), NOTHING)
        higher = tl.maximum(top, tl.max(score, 0))
        fading = tl.exp(top - higher)
        weights = tl.exp(score - higher)
        mass = mass * fading + tl.sum(weights, 0)
        gathered = gathered * fading + tl.sum(weights[:, None] * value.to(tl.float32), 0)
        top = higher
        start += BLOCK
    part = row * SPLITS + split
    tl.store(out + (part * HEADS + head) * WIDTH + columns, gathered / tl.where(mass > 0, mass, 1.0))
    tl.store(scores + part * HEADS + head, top + tl.log(tl.where(mass > 0, mass, 1.0)))


@triton.jit
def final_norm(
    command, x, norm_weight, norm_bias, hidden, epsilon,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Fill hidden (rows, WIDTH) float32: x normalised; kept for row 0 at its place in the trunk too, where asked to."""
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    inside = columns < WIDTH
    value = tl.load(x + row * WIDTH + columns, mask=inside, other=0.0)
    value -= tl.sum(value, 0) / WIDTH
    spread = tl.rsqrt(tl.sum(tl.where(inside, value * value, 0.0), 0) / WIDTH + epsilon)
    value = value * spread * tl.load(norm_weight + columns, mask=inside, other=0.0).to(tl.float32)
    value += tl.load(norm_bias + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(hidden + row * WIDTH + columns, value, mask=inside)
    kept = tl.load(command + KEPT_HIDDEN)
    if kept != 0:
        place = tl.load(command + FIRST_ROW + SEEN) - 1
        tl.store(kept.to(tl.pointer_type(tl.float32)) + place * WIDTH + columns, value, mask=inside)


@triton.jit
def _address(entry, ELEMENT: tl.constexpr):
    """The pointer that `command` holds there; torch's tensors begin at multiples of 16 bytes and more."""
    return tl.multiple_of(tl.load(entry).to(tl.pointer_type(ELEMENT)), 16)


@triton.jit
def _tile(weight, outputs, chunk, INPUTS: tl.constexpr, CHUNK: tl.constexpr, BITS: tl.constexpr):
    """The weights of `outputs` (n,) and one chunk of inputs: (n, CHUNK), or in four bits (n, CHUNK / 128, 64) pairs."""
    if BITS == 4:
        pairs: tl.constexpr = CHUNK // 128
        places = tl.arange(0, pairs)[:, None] * 64 + tl.arange(0, 64)[None, :]
        where = outputs[:, None, None] * (INPUTS // 2) + chunk * (CHUNK // 2) + places[None, :, :]
    else:
        where = outputs[:, None] * INPUTS + chunk * CHUNK + tl.arange(0, CHUNK)[None, :]
    return tl.load(weight + where, eviction_policy="evict_first")


@triton.jit
def _in_four_bits(tile, part, scales, outputs, chunk, INPUTS: tl.constexpr, CHUNK: tl.constexpr):
    """One chunk's products (n, CHUNK / 128, 64): the low and high halves of bytes are neighbouring groups of 64."""
    pairs: tl.constexpr = CHUNK // 128
    groups: tl.constexpr = INPUTS // 64
    low, high = tl.split(tl.trans(tl.reshape(part, (pairs, 2, 64)), (0, 2, 1)))  # (pairs, 64) each
    codes = tile.to(tl.int32)
    group = chunk * (CHUNK // 64) + tl.arange(0, pairs) * 2
    line = scales + outputs[:, None, None] * (2 * groups) + group[None, :, None]  # (n, pairs, 1)
    weight = (codes & 15).to(tl.float32) * tl.load(line).to(tl.float32) + tl.load(line + groups).to(
        tl.float32
    )
    sums = weight * low[None, :, :]
    line += 1
    weight = (codes >> 4).to(tl.float32) * tl.load(line).to(tl.float32) + tl.load(line + groups).to(
        tl.float32
    )
    return sums + weight * high[None, :, :]


@triton.jit
def _inputs(
    source, scores, row: tl.constexpr, columns,
    INPUTS: tl.constexpr, HEADS: tl.constexpr, HEAD_WIDTH: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """`columns` of a row, float32; where SPLITS, the parts that attention left, weighed by their scores."""
    if SPLITS == 0:
        return tl.load(source + row * INPUTS + columns).to(tl.float32)
    else:
        heads = columns // HEAD_WIDTH
        score = scores + row * SPLITS * HEADS + heads
        top = tl.load(score)
        for split in tl.static_range(1, SPLITS):
            top = tl.maximum(top, tl.load(score + split * HEADS))
        top = tl.where(top == NOTHING, 0.0, top)
        mass = tl.zeros_like(top)
        value = tl.zeros_like(top)
        for split in tl.static_range(SPLITS):
            weight = tl.exp(tl.load(score + split * HEADS) - top)
            mass += weight
            value += weight * tl.load(source + (row * SPLITS + split) * INPUTS + columns)
        return value / tl.where(mass > 0, mass, 1.0)


@triton.jit
def _moments(parts, epsilon, WIDTH: tl.constexpr, CHUNK: tl.constexpr):
    """Mean and inverse deviation of a row of WIDTH numbers, given in chunks."""
    sums = tl.zeros((CHUNK,), tl.float32)
    for chunk in tl.static_range(WIDTH // CHUNK):
        sums += parts[chunk]
    mean = tl.sum(sums, 0) / WIDTH
    squares = tl.zeros((CHUNK,), tl.float32)
    for chunk in tl.static_range(WIDTH // CHUNK):
        squares += (parts[chunk] - mean) * (parts[chunk] - mean)
    return mean, tl.rsqrt(tl.sum(squares, 0) / WIDTH + epsilon)


@triton.jit
def _to_cache(
    command, out, total, row: tl.constexpr, layer,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, HEADS: tl.constexpr, HEAD_WIDTH: tl.constexpr, CACHE: tl.constexpr,
):  # fmt: skip
    """BLOCK numbers of queries, keys or values, all of one head, to where attention looks for them."""
    first = tl.program_id(0) * BLOCK
    part = first // WIDTH
    first -= part * WIDTH
    steps = tl.arange(0, BLOCK)
    if part == 0:
        tl.store(out + row * WIDTH + first + steps, total)
    else:
        entry = command + FIRST_ROW + row * ROW_SIZE
        seen, branch, own = tl.load(entry + SEEN), tl.load(entry + BRANCH), tl.load(entry + OWN)
        head = first // HEAD_WIDTH
        if branch < 0:
            place = (layer * HEADS + head) * tl.load(command + TRUNK_CAPACITY) + seen - 1
            there = _address(command + TRUNK_KEYS + part - 1, CACHE)
        else:
            line = (layer * tl.load(command + BRANCH_ROWS) + branch) * HEADS + head
            place = line * tl.load(command + BRANCH_CAPACITY) + own - 1
            there = _address(command + BRANCH_KEYS + part - 1, CACHE)
        there += place * HEAD_WIDTH + first - head * HEAD_WIDTH + steps
        tl.store(there, total.to(CACHE), mask=seen + own > 0)
