"""The five kernels of a GPT-2 block for a few rows, in Triton: bytes of weights decide, so each reads them once.

With `PDL` a kernel is launched while the one before it still runs; it reads its weights, which nothing changes, and
waits for the other only then (programmatic dependent launch, Hopper and later). Every kernel waits, since one that
did not would let the next see memory that is not written yet.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait


@triton.jit
def _tanh_gelu(x):
    return x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))


@triton.jit(do_not_specialize=["layer"])
def product_kernel(
    x_ptr, weight_ptr, bias_ptr, norm_weight_ptr, norm_bias_ptr, out_ptr, stream_ptr,
    keys_ptr, values_ptr, branch_keys_ptr, branch_values_ptr, rows_ptr,
    epsilon, outputs, layer, heads, capacity, branch_rows, branch_capacity,
    INPUTS: tl.constexpr, PADDED: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, WIDTH: tl.constexpr,
    NORM: tl.constexpr, GELU: tl.constexpr, ADD: tl.constexpr, CACHE: tl.constexpr, BIAS: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """Rows (ROWS, INPUTS) times BLOCK outputs of a weight (outputs, INPUTS).

    NORM: rows are layer-normed first. GELU: of the sum. ADD: the sum is added to `stream`. CACHE: the sum is queries,
    keys and values, of which the latter go into the caches, to where `rows` (5, ROWS) says.
    """
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    k = tl.arange(0, PADDED)
    valid_n, valid_k = n < outputs, k < INPUTS
    weight = tl.load(
        weight_ptr + n[:, None].to(tl.int64) * INPUTS + k[None, :],
        mask=valid_n[:, None] & valid_k[None, :], other=0.0, eviction_policy="evict_first",
    )  # fmt: skip
    bias = tl.zeros((BLOCK,), tl.float32)
    if BIAS:
        bias = tl.load(bias_ptr + n, mask=valid_n, other=0.0).to(tl.float32)
    if NORM:
        norm_weight = tl.load(norm_weight_ptr + k, mask=valid_k, other=0.0).to(tl.float32)
        norm_bias = tl.load(norm_bias_ptr + k, mask=valid_k, other=0.0).to(tl.float32)
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    for row in tl.static_range(ROWS):
        x = tl.load(x_ptr + row * INPUTS + k, mask=valid_k, other=0.0).to(tl.float32)
        if NORM:
            mean = tl.sum(x, 0) / INPUTS
            off = tl.where(valid_k, x - mean, 0.0)
            scale = tl.rsqrt(tl.sum(off * off, 0) / INPUTS + epsilon)
            x = off * scale * norm_weight + norm_bias
        y = tl.sum(weight.to(tl.float32) * x[None, :], 1) + bias
        if GELU:
            y = _tanh_gelu(y)
        if ADD:
            at = stream_ptr + row * outputs + n
            tl.store(at, tl.load(at, mask=valid_n, other=0.0) + y, mask=valid_n)
        else:
            tl.store(out_ptr + row * outputs + n, y, mask=valid_n)
        if CACHE:
            d = heads * WIDTH
            seen = tl.load(rows_ptr + 2 * ROWS + row)
            branch = tl.load(rows_ptr + 3 * ROWS + row)
            own = tl.load(rows_ptr + 4 * ROWS + row)
            inner = n % d
            head, w = inner // WIDTH, inner % WIDTH
            of_trunk = ((layer * heads + head).to(tl.int64) * capacity + seen - 1) * WIDTH + w
            is_key, is_value = valid_n & (n >= d) & (n < 2 * d), valid_n & (n >= 2 * d)
            tl.store(keys_ptr + of_trunk, y, mask=is_key & (branch < 0))
            tl.store(values_ptr + of_trunk, y, mask=is_value & (branch < 0))
            block = ((layer * branch_rows + branch) * heads + head).to(tl.int64)
            of_branch = (block * branch_capacity + own - 1) * WIDTH + w
            tl.store(branch_keys_ptr + of_branch, y, mask=is_key & (branch >= 0))
            tl.store(branch_values_ptr + of_branch, y, mask=is_value & (branch >= 0))


@triton.jit(do_not_specialize=["layer"])
def attention_kernel(
    mixed_ptr, out_ptr, partial_ptr, arrived_ptr, keys_ptr, values_ptr, branch_keys_ptr, branch_values_ptr, rows_ptr,
    scale, layer, heads, capacity, branch_rows, branch_capacity, trunk_parts,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, PART: tl.constexpr, PARTS: tl.constexpr, PARTS_PADDED: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """One head of one row against PART positions of its trunk or its branch; who comes last puts the parts together."""
    head, row, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    w = tl.arange(0, WIDTH)
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    seen = tl.load(rows_ptr + 2 * ROWS + row)
    branch = tl.load(rows_ptr + 3 * ROWS + row)
    own = tl.load(rows_ptr + 4 * ROWS + row)
    in_trunk = part < trunk_parts
    first = tl.where(in_trunk, part, part - trunk_parts) * PART
    count = tl.where(in_trunk, seen, tl.where(branch >= 0, own, 0))
    p = first + tl.arange(0, PART)
    valid = p < count
    d = heads * WIDTH
    at_partial = partial_ptr + ((row * heads + head) * PARTS + part) * (WIDTH + 2)
    if first < count:
        of_trunk = (layer * heads + head).to(tl.int64) * capacity
        of_branch = ((layer * branch_rows + branch) * heads + head).to(tl.int64) * branch_capacity
        offset = (tl.where(in_trunk, of_trunk, of_branch) + p[:, None]) * WIDTH + w[None, :]
        q = tl.load(mixed_ptr + row * 3 * d + head * WIDTH + w).to(tl.float32) * scale
        from_trunk, from_branch = valid[:, None] & in_trunk, valid[:, None] & (part >= trunk_parts)
        key = tl.load(keys_ptr + offset, mask=from_trunk, other=0.0).to(tl.float32)
        key += tl.load(branch_keys_ptr + offset, mask=from_branch, other=0.0).to(tl.float32)
        value = tl.load(values_ptr + offset, mask=from_trunk, other=0.0).to(tl.float32)
        value += tl.load(branch_values_ptr + offset, mask=from_branch, other=0.0).to(tl.float32)
        scores = tl.where(valid, tl.sum(key * q[None, :], 1), float("-inf"))
        largest = tl.max(scores, 0)
        weights = tl.exp(scores - largest)
        tl.store(at_partial + w, tl.sum(value * weights[:, None], 0))
        tl.store(at_partial + WIDTH, largest)
        tl.store(at_partial + WIDTH + 1, tl.sum(weights, 0))
    else:
        tl.store(at_partial + w, tl.zeros((WIDTH,), tl.float32))
        tl.store(at_partial + WIDTH, float("-inf"))
        tl.store(at_partial + WIDTH + 1, 0.0)
    tl.debug_barrier()  # all threads' parts are written before one of them says so
    before = tl.atomic_add(arrived_ptr + row * heads + head, 1, sem="acq_rel")
    if before == PARTS - 1:
        each = tl.arange(0, PARTS_PADDED)
        here = partial_ptr + (row * heads + head) * PARTS * (WIDTH + 2) + each * (WIDTH + 2)
        largest = tl.load(here + WIDTH, mask=each < PARTS, other=float("-inf"), cache_modifier=".cg")
        total = tl.load(here + WIDTH + 1, mask=each < PARTS, other=0.0, cache_modifier=".cg")
        gathered = tl.load(
            here[:, None] + w[None, :], mask=each[:, None] < PARTS, other=0.0, cache_modifier=".cg"
        )
        share = tl.exp(largest - tl.max(largest, 0))
        whole = tl.sum(gathered * share[:, None], 0) / tl.sum(total * share, 0)
        tl.store(out_ptr + row * d + head * WIDTH + w, whole)
        tl.store(arrived_ptr + row * heads + head, 0)  # for the next layer


@triton.jit
def norm_kernel(
    x_ptr, norm_weight_ptr, norm_bias_ptr, out_ptr, epsilon, INPUTS: tl.constexpr, PADDED: tl.constexpr,
    PDL: tl.constexpr,
):  # fmt: skip
    """The final norm of one row."""
    row, k = tl.program_id(0), tl.arange(0, PADDED)
    valid = k < INPUTS
    weight = tl.load(norm_weight_ptr + k, mask=valid, other=0.0).to(tl.float32)
    bias = tl.load(norm_bias_ptr + k, mask=valid, other=0.0).to(tl.float32)
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    x = tl.load(x_ptr + row * INPUTS + k, mask=valid, other=0.0)
    mean = tl.sum(x, 0) / INPUTS
    off = tl.where(valid, x - mean, 0.0)
    scale = tl.rsqrt(tl.sum(off * off, 0) / INPUTS + epsilon)
    tl.store(out_ptr + row * INPUTS + k, off * scale * weight + bias, mask=valid)


@triton.jit
def embed_kernel(
    tokens_ptr, positions_ptr, token_embedding_ptr, position_embedding_ptr, out_ptr, INPUTS: tl.constexpr,
    PADDED: tl.constexpr, PDL: tl.constexpr,
):  # fmt: skip
    """Token and position of one row."""
    row, k = tl.program_id(0), tl.arange(0, PADDED)
    valid = k < INPUTS
    if PDL:
        gdc_launch_dependents()
        gdc_wait()
    token = tl.load(tokens_ptr + row).to(tl.int64)
    position = tl.load(positions_ptr + row).to(tl.int64)
    x = tl.load(token_embedding_ptr + token * INPUTS + k, mask=valid, other=0.0).to(tl.float32)
    x += tl.load(position_embedding_ptr + position * INPUTS + k, mask=valid, other=0.0).to(tl.float32)
    tl.store(out_ptr + row * INPUTS + k, x, mask=valid)
