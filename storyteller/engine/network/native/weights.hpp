// Weights (outputs, inputs) in four forms, and what the rows that meet them must look like.
//
// float32, bfloat16: as torch keeps them, a row an output.
// int8:  tiles of 16 outputs, [tile][inputs / 4][output][4], code + 128; a float32 scale an output.
// int4:  the same tiles, [tile][inputs / 8][output][4]: the low halves of the 4 bytes are inputs 0-3 of the 8, the
//        high halves inputs 4-7; for each tile and group of inputs 16 float16 scales, then 16 minima.
// Inputs are padded to 32, outputs to 16. tiles.py lays them out.
#pragma once
#include "pool.hpp"
#include "vectors.hpp"

enum Kind : int32_t { FLOAT32 = 0, BFLOAT16 = 1, INT8 = 2, INT4 = 3 };

constexpr int SPAN = 32;  // inputs that share the scale of a row in int8
constexpr int MOST_ROWS = 8;

struct Weight {
    const void* data;
    const void* scales;
    const float* bias;  // (outputs,) or null
    int32_t kind, outputs, inputs, group;

    int spans() const { return (inputs + SPAN - 1) / SPAN; }
    int groups() const { return kind == INT4 ? (spans() * SPAN + group - 1) / group : 1; }
    int tiles() const { return (outputs + LANES - 1) / LANES; }
    bool whole() const { return kind == INT8 || kind == INT4; }
    long tile_bytes() const {
        long each = LANES * long(whole() ? spans() * SPAN : inputs);
        return kind == INT4 ? each / 2 : kind == INT8 ? each : kind == BFLOAT16 ? 2 * each : 4 * each;
    }
};

// One row in the form that a weight of its kind is multiplied with.
struct Row {
    const float* x;         // (inputs,)
    const uint16_t* half;   // (inputs,) bfloat16, for bfloat16
    const int8_t* codes;    // (spans * 32,), for int8 and int4
    const float* scales;    // (spans,)
    const int32_t* totals;  // (spans,) sums of the codes
    const float* sums;      // (groups,) sums of what the codes stand for, for int4
};

// Room for one row in every form, kept from step to step.
class Workspace {
public:
    void reserve(int inputs) {
        if (inputs <= size_) return;
        size_ = (inputs + 63) / 64 * 64;
        x_.resize(size_);
        half_.resize(size_);
        codes_.resize(size_);
        scales_.resize(size_ / SPAN);
        totals_.resize(size_ / SPAN);
        sums_.resize(size_ / SPAN);
    }

    float* x() { return x_.data(); }

    // What stands in x() for `weight`.
    Row prepare(const Weight& weight) {
        if (weight.kind == BFLOAT16) {
            int k = 0;
            for (; k + LANES <= weight.inputs; k += LANES) write16(&half_[k], load<V>(&x_[k]));
            for (; k < weight.inputs; k++) half_[k] = narrow(x_[k]);
        } else if (weight.whole()) {
            quantise(weight);
        }
        return Row{x_.data(), half_.data(), codes_.data(), scales_.data(), totals_.data(), sums_.data()};
    }

private:
    int size_ = 0;
    std::vector<float> x_, scales_, sums_;
    std::vector<uint16_t> half_;
    std::vector<int8_t> codes_;
    std::vector<int32_t> totals_;

    void quantise(const Weight& weight) {
        int spans = weight.spans();
        for (int k = weight.inputs; k < spans * SPAN; k++) x_[k] = 0;
        for (int s = 0; s < spans; s++) {
            V a = load<V>(&x_[s * SPAN]), b = load<V>(&x_[s * SPAN + LANES]);
            // As whole numbers magnitudes are in their order, with infinity and what is no number above all others.
            VI far = (VI)a & 0x7fffffff, near = (VI)b & 0x7fffffff;
            far = near > far ? near : far;
            int32_t bits = 0;
            for (int i = 0; i < LANES; i++) bits = far[i] > bits ? far[i] : bits;
            float largest;
            std::memcpy(&largest, &bits, sizeof largest);
            float scale = largest / 127.0f + largest * 0.0f,  // no number where the largest is none or infinite
                  inverse = largest > 0 ? 127.0f / largest : 0;
            VI low = (VI)(a * inverse + 12582912.0f) - 0x4b400000;  // to the nearest
            VI high = (VI)(b * inverse + 12582912.0f) - 0x4b400000;
            typedef int8_t Codes __attribute__((vector_size(16)));
            store(&codes_[s * SPAN], __builtin_convertvector(low, Codes));
            store(&codes_[s * SPAN + LANES], __builtin_convertvector(high, Codes));
            VI both = low + high;
            int32_t total = 0;
            for (int i = 0; i < LANES; i++) total += both[i];
            scales_[s] = scale;
            totals_[s] = total;
        }
        if (weight.kind != INT4) return;
        int per_group = weight.group / SPAN;
        for (int g = 0; g < weight.groups(); g++) {
            float total = 0;
            for (int s = g * per_group; s < (g + 1) * per_group && s < spans; s++) total += scales_[s] * totals_[s];
            sums_[g] = total;
        }
    }
};
