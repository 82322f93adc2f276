// Sixteen numbers at once, in the compiler's own vectors; instructions of a processor only where they pay.
#pragma once
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef float V __attribute__((vector_size(64)));
typedef int32_t VI __attribute__((vector_size(64)));
typedef uint32_t VU __attribute__((vector_size(64)));
typedef uint16_t VH __attribute__((vector_size(32)));
typedef uint8_t VB __attribute__((vector_size(64)));
constexpr int LANES = 16;

template <class T, class S>
static inline T load(const S* from) {
    T to;
    std::memcpy(&to, from, sizeof to);
    return to;
}
template <class T, class S>
static inline void store(S* to, const T& from) { std::memcpy(to, &from, sizeof from); }

static inline V spread(float x) { return x - V{}; }
static inline VI spread(int32_t x) { return x - VI{}; }

static inline float sum(V x) {
    float total = 0;
    for (int i = 0; i < LANES; i++) total += x[i];
    return total;
}

// Sums of neighbours: 8 of `a`, then 8 of `b`.
static inline V halve(V a, V b) {
#if defined(__clang__)
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
           __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
#else
    const VI even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
    return __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, even + 1);
#endif
}

// Lane i of the result is the sum of sums[i].
static inline V totals_of(V* sums) {
    for (int left = LANES; left > 1; left /= 2)
        for (int i = 0; i < left / 2; i++) sums[i] = halve(sums[2 * i], sums[2 * i + 1]);
    return sums[0];
}

// bfloat16

static inline V widen(VH x) { return (V)(__builtin_convertvector(x, VU) << 16); }
static inline VH narrow(V x) {  // to the nearest, ties to even; what is no number stays none
    VU bits = (VU)x;
    VU rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    VU none = (VU)(x != x);
    return __builtin_convertvector((rounded & ~none) | (none & 0x7fc0), VH);
}
static inline float widen(uint16_t x) {
    uint32_t bits = uint32_t(x) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
static inline uint16_t narrow(float x) { return narrow(spread(x))[0]; }

// What a cache or a table holds, as floats

static inline V read16(const float* from) { return load<V>(from); }
static inline V read16(const uint16_t* from) { return widen(load<VH>(from)); }
static inline float read1(const float* from) { return *from; }
static inline float read1(const uint16_t* from) { return widen(*from); }
static inline void write16(float* to, V x) { store(to, x); }
static inline void write16(uint16_t* to, V x) { store(to, narrow(x)); }
static inline void write1(float* to, float x) { *to = x; }
static inline void write1(uint16_t* to, float x) { *to = narrow(x); }

// float16, as scales are kept

static inline V halves(const uint16_t* from) {
#if defined(__AVX512F__)
    return (V)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)from));
#else
    VU x = __builtin_convertvector(load<VH>(from), VU);
    V magnitude = (V)((x & 0x7fff) << 13) * 0x1p112f;
    return (V)((VU)magnitude | ((x & 0x8000) << 16));
#endif
}

// Sums of four products of bytes, a lane: `w` unsigned, `x` four signed bytes for all lanes

static inline VI dot4(VI sums, VB w, const int8_t* x) {
#if defined(__AVX512VNNI__)
    return (VI)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)w, _mm512_set1_epi32(load<int32_t>(x)));
#else
    VU lanes = (VU)w;
    for (int i = 0; i < 4; i++) sums += (VI)((lanes >> (8 * i)) & 255) * int32_t(x[i]);
    return sums;
#endif
}

// e to the power of x, to 2 units in the last place where the result is normal

static inline V exponential(V x) {
    const V most = spread(88.0f), least = spread(-87.0f);
    x = x > most ? most : x;
    x = x < least ? least : x;
    V shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the nearest whole number is in the low bits
    V n = shifted - 12582912.0f;
    V r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    V p = spread(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    V value = p * r * r + r + 1.0f;
    return value * (V)(((VI)shifted - 0x4b400000 + 127) << 23);
}

// GELU in its tanh form: x times the logistic of 2 sqrt(2/pi) (x + 0.044715 x^3)

static inline V gelu(V x) {
    V inner = x * (1.5957691216f + 0.0713548163f * x * x);
    return x / (1.0f + exponential(-inner));
}
