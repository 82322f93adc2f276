// Rows times weights: a tile of 16 outputs for all rows at once, so that a weight is read from memory one time only.
#pragma once
#include <algorithm>
#include "weights.hpp"

constexpr int AHEAD = 4096;  // bytes: how far ahead memory is asked for; a tile is shorter than the prefetcher's warm-up

template <int R>
static inline void tile_int8(const Weight& weight, int tile, const Row* rows, V* y) {
    int spans = weight.spans();
    const uint8_t* data = (const uint8_t*)weight.data + tile * weight.tile_bytes();
    V total[R] = {};
    for (int s = 0; s < spans; s++) {
        VI sums[R];
        for (int r = 0; r < R; r++) sums[r] = spread(-128 * rows[r].totals[s]);
        for (int j = 0; j < SPAN; j += 4, data += 64) {
            __builtin_prefetch(data + AHEAD);
            VB w = load<VB>(data);
            for (int r = 0; r < R; r++) sums[r] = dot4(sums[r], w, rows[r].codes + s * SPAN + j);
        }
        for (int r = 0; r < R; r++) total[r] += __builtin_convertvector(sums[r], V) * rows[r].scales[s];
    }
    V scale = load<V>((const float*)weight.scales + tile * LANES);
    for (int r = 0; r < R; r++) y[r] = total[r] * scale;
}

template <int R>
static inline void tile_int4(const Weight& weight, int tile, const Row* rows, V* y) {
    int spans = weight.spans(), per_group = weight.group / SPAN, groups = weight.groups();
    const uint8_t* data = (const uint8_t*)weight.data + tile * weight.tile_bytes();
    const uint16_t* scales = (const uint16_t*)weight.scales + long(tile) * groups * 2 * LANES;
    for (int r = 0; r < R; r++) y[r] = V{};
    for (int g = 0, s = 0; g < groups; g++, scales += 2 * LANES) {
        V total[R] = {};
        int end = s + per_group < spans ? s + per_group : spans;
        for (; s < end; s++) {
            VI sums[R] = {};
            for (int j = 0; j < SPAN; j += 8, data += 64) {
                __builtin_prefetch(data + AHEAD);
                VU both = load<VU>(data);
                VB low = (VB)(both & 0x0f0f0f0f), high = (VB)(both >> 4 & 0x0f0f0f0f);
                for (int r = 0; r < R; r++) {
                    const int8_t* x = rows[r].codes + s * SPAN + j;
                    sums[r] = dot4(dot4(sums[r], low, x), high, x + 4);
                }
            }
            for (int r = 0; r < R; r++) total[r] += __builtin_convertvector(sums[r], V) * rows[r].scales[s];
        }
        __builtin_prefetch(scales + AHEAD / 4);
        V scale = halves(scales), least = halves(scales + LANES);
        for (int r = 0; r < R; r++) y[r] += scale * total[r] + least * rows[r].sums[g];
    }
}

// bfloat16 and float32: 16 outputs of one row after another, each in a sum of its own, all sixteen added up together at the
// end: to add up the lanes of one by itself takes as long as 60 products.

template <bool FIRST>
static inline int partial_dots(const float* const* w, int inputs, const Row& row, V* sums) {
    int k = 0;
    for (; k + LANES <= inputs; k += LANES) {
        V x = load<V>(row.x + k);
#pragma GCC unroll 16
        for (int o = 0; o < LANES; o++) {
            if (FIRST) __builtin_prefetch(w[o] + k + AHEAD / 4);
            sums[o] += load<V>(w[o] + k) * x;
        }
    }
    return k;
}

template <bool FIRST>
static inline int partial_dots(const uint16_t* const* w, int inputs, const Row& row, V* sums) {
    int k = 0;
#if defined(__AVX512BF16__)
    for (; k + 2 * LANES <= inputs; k += 2 * LANES) {
        __m512bh x = (__m512bh)_mm512_loadu_si512(row.half + k);
#pragma GCC unroll 16
        for (int o = 0; o < LANES; o++) {
            if (FIRST) __builtin_prefetch(w[o] + k + AHEAD / 2);
            sums[o] = (V)_mm512_dpbf16_ps((__m512)sums[o], (__m512bh)_mm512_loadu_si512(w[o] + k), x);
        }
    }
#else
    for (; k + LANES <= inputs; k += LANES) {
        V x = read16(row.half + k);
#pragma GCC unroll 16
        for (int o = 0; o < LANES; o++) {
            if (FIRST) __builtin_prefetch(w[o] + k + AHEAD / 2);
            sums[o] += read16(w[o] + k) * x;
        }
    }
#endif
    return k;
}

static inline float product_at(const float* w, const Row& row, int k) { return w[k] * row.x[k]; }
static inline float product_at(const uint16_t* w, const Row& row, int k) { return widen(w[k]) * widen(row.half[k]); }

template <class W>
static void tile_dots(const Weight& weight, int tile, int count, const Row* rows, V* y) {
    const W* w[LANES];  // past the last output, that one again
    for (int o = 0; o < LANES; o++)
        w[o] = (const W*)weight.data + long(std::min(tile * LANES + o, weight.outputs - 1)) * weight.inputs;
    for (int r = 0; r < count; r++) {
        V sums[LANES] = {};
        int k = r ? partial_dots<false>(w, weight.inputs, rows[r], sums) : partial_dots<true>(w, weight.inputs, rows[r], sums);
        y[r] = totals_of(sums);
        for (; k < weight.inputs; k++)
            for (int o = 0; o < LANES; o++) y[r][o] += product_at(w[o], rows[r], k);
    }
}

template <int R>
static void tile_of(const Weight& weight, int tile, const Row* rows, V* y) {
    switch (weight.kind) {
        case INT4: return tile_int4<R>(weight, tile, rows, y);
        case INT8: return tile_int8<R>(weight, tile, rows, y);
        case BFLOAT16: return tile_dots<uint16_t>(weight, tile, R, rows, y);
        default: return tile_dots<float>(weight, tile, R, rows, y);
    }
}

static inline void tile_product(const Weight& weight, int tile, int count, const Row* rows, V* y) {
    switch (count) {
        case 1: return tile_of<1>(weight, tile, rows, y);
        case 2: return tile_of<2>(weight, tile, rows, y);
        case 3: return tile_of<3>(weight, tile, rows, y);
        case 4: return tile_of<4>(weight, tile, rows, y);
        case 5: return tile_of<5>(weight, tile, rows, y);
        case 6: return tile_of<6>(weight, tile, rows, y);
        case 7: return tile_of<7>(weight, tile, rows, y);
        default: return tile_of<8>(weight, tile, rows, y);
    }
}

// Every tile of `weight` times `count` rows: `take(first, rows, tile, y)` gets 16 outputs of at most 8 rows from `first` on,
// bias added. A tile stays in the processor's nearest cache while all rows meet it.

template <class Take>
static void product(Pool& pool, const Weight& weight, int count, const Row* rows, const Take& take) {
    constexpr long PIECE = 48 * 1024;  // bytes: small enough that nobody waits long for the last, far above a claim's cost
    int tiles = weight.tiles();
    int each = int(PIECE / weight.tile_bytes());
    int fair = (tiles + 4 * pool.threads() - 1) / (4 * pool.threads());
    each = each < 1 ? 1 : each > fair ? fair : each;
    pool.run((tiles + each - 1) / each, [&](int piece) {
        for (int tile = piece * each; tile < (piece + 1) * each && tile < tiles; tile++) {
            V bias{};
            int valid = weight.outputs - tile * LANES;
            if (weight.bias)
                std::memcpy(&bias, weight.bias + tile * LANES, (valid < LANES ? valid : LANES) * sizeof(float));
            for (int first = 0; first < count; first += MOST_ROWS) {
                int here = count - first < MOST_ROWS ? count - first : MOST_ROWS;
                V y[MOST_ROWS] = {};
                tile_product(weight, tile, here, rows + first, y);
                for (int r = 0; r < here; r++) y[r] += bias;
                take(first, here, tile, y);
            }
        }
    });
}
