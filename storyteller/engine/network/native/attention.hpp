// One head: keys and values of new rows go into the cache, and each row looks at its trunk and its branch.
//
// Keys and values are (capacity, width) a head: memory is read in order. Rows that share a trunk read it once.
#pragma once
#include "vectors.hpp"

template <class T>
struct Span {
    const T* keys;
    const T* values;
};

// A scaled query (width,), and the same in bfloat16 for keys that are.
struct Query {
    const float* x;
    const uint16_t* half;
};

static inline V partial_dot(const float* key, const Query& q, int width) {
    V sums{};
    int w = 0;
    for (; w + LANES <= width; w += LANES) sums += load<V>(key + w) * load<V>(q.x + w);
    for (; w < width; w++) sums[0] += key[w] * q.x[w];
    return sums;
}

static inline V partial_dot(const uint16_t* key, const Query& q, int width) {
    V sums{};
    int w = 0;
#if defined(__AVX512BF16__)
    for (; w + 2 * LANES <= width; w += 2 * LANES)
        sums = (V)_mm512_dpbf16_ps((__m512)sums, (__m512bh)_mm512_loadu_si512(key + w), (__m512bh)_mm512_loadu_si512(q.half + w));
#endif
    for (; w + LANES <= width; w += LANES) sums += read16(key + w) * read16(q.half + w);
    for (; w < width; w++) sums[0] += widen(key[w]) * widen(q.half[w]);
    return sums;
}

// Scores of `rows` queries against positions 0 to count - 1: to scores[r]; up to 15 after them are spoilt.
template <class T>
static inline void score_rows(const Span<T>& span, int width, int count, int rows, const Query* q, float* const* scores) {
    for (int p = 0; p < count; p += LANES) {
        const T* key = span.keys + long(p) * width;
        int here = count - p < LANES ? count - p : LANES;
        for (int r = 0; r < rows; r++) {
            V sums[LANES] = {};
            if (here == LANES) for (int i = 0; i < LANES; i++) sums[i] = partial_dot(key + i * width, q[r], width);
            else for (int i = 0; i < here; i++) sums[i] = partial_dot(key + i * width, q[r], width);
            store(scores[r] + p, totals_of(sums));
        }
    }
}

// Values of positions 0 to count - 1, weighted: added to gathered[r][w].
template <int R, int B, class T>
static inline void gather_block(const Span<T>& span, int width, int count, int w, const float* const* weights, float* const* gathered) {
    V sums[R][B] = {};
    const T* value = span.values + w;
    for (int p = 0; p < count; p++, value += width) {
        for (int b = 0; b < B; b++) {
            V here = read16(value + b * LANES);
            for (int r = 0; r < R; r++) sums[r][b] += here * weights[r][p];
        }
    }
    for (int r = 0; r < R; r++)
        for (int b = 0; b < B; b++) {
            float* to = gathered[r] + w + b * LANES;
            store(to, load<V>(to) + sums[r][b]);
        }
}

template <int R, class T>
static inline void gather(const Span<T>& span, int width, int count, const float* const* weights, float* const* gathered) {
    int w = 0;
    for (; w + 4 * LANES <= width; w += 4 * LANES) gather_block<R, 4>(span, width, count, w, weights, gathered);
    for (; w + LANES <= width; w += LANES) gather_block<R, 1>(span, width, count, w, weights, gathered);
    for (; w < width; w++)
        for (int r = 0; r < R; r++)
            for (int p = 0; p < count; p++)
                gathered[r][w] += weights[r][p] * read1(span.values + long(p) * width + w);
}

template <class T>
static inline void gather_rows(const Span<T>& span, int width, int count, int rows, const float* const* weights, float* const* to) {
    while (rows >= 4) gather<4>(span, width, count, weights, to), weights += 4, to += 4, rows -= 4;
    if (rows == 3) return gather<3>(span, width, count, weights, to);
    if (rows == 2) return gather<2>(span, width, count, weights, to);
    if (rows == 1) return gather<1>(span, width, count, weights, to);
}

// exp(score - largest) in place over `first` and `second`; returns 1 / their sum. What follows `count` becomes 0 up to `end`.

static inline float exponentiate(float* scores, int count, int end, float largest) {
    V totals{};
    int p = 0;
    for (; p + LANES <= count; p += LANES) {
        V e = exponential(load<V>(scores + p) - largest);
        totals += e;
        store(scores + p, e);
    }
    float total = sum(totals);
    for (; p < count; p++) {
        scores[p] = exponential(spread(scores[p] - largest))[0];
        total += scores[p];
    }
    for (; p < end; p++) scores[p] = 0;
    return total;
}

static inline float largest_of(const float* scores, int count, float largest) {
    V most = spread(largest);
    int p = 0;
    for (; p + LANES <= count; p += LANES) {
        V here = load<V>(scores + p);
        most = here > most ? here : most;
    }
    for (; p < count; p++) most[0] = scores[p] > most[0] ? scores[p] : most[0];
    for (int i = 0; i < LANES; i++) largest = most[i] > largest ? most[i] : largest;
    return largest;
}
