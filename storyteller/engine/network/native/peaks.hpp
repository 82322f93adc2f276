// What a draw wants to know of a row of logits: the log of the sum of their exponentials, and which are largest.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>
#include "vectors.hpp"

class Peaks {
public:
    // `least` is how many of the largest `find` will be asked for.
    Peaks(const float* logits, int size, int least) : x_(logits), size_(size) {
        int vectors = (size + LANES - 1) / LANES;
        block_ = std::max(1, vectors / (3 * std::max(1, least))) * LANES;
        for (int first = 0; first < size; first += block_) {
            V most = spread(-INFINITY);
            each(first, [&](V x) { most = x > most ? x : most; });
            tops_.push_back(greatest(most));
        }
        largest_ = *std::max_element(tops_.begin(), tops_.end());
    }

    // No number where a logit is none, where one is infinite, or where all are -infinity.
    double log_total() const {
        double total = 0;  // float32 alone would lose a digit over 50,257
        for (int first = 0; first < size_; first += block_) {
            V sums{};
            each(first, [&](V x) { sums += exponential(x - largest_); });
            total += sum(sums);
        }
        // The lanes past the end were counted as e^-87, the least that `exponential` gives.
        return largest_ + std::log(total);
    }

    // The places, ascending, of at least `least` and at most `room` of the largest, and a `floor` that all of them reach
    // and no other does: their number, or 0 where there is no such floor, since too many are alike.
    int find(int least, int room, int64_t* places, float* floor) const {
        if (!std::isfinite(largest_)) return 0;
        *floor = -INFINITY;
        if (size_ > room) {
            // `least` blocks have something that reaches the least of their tops.
            if (int(tops_.size()) < least) return 0;
            std::vector<float> tops = tops_;
            std::nth_element(tops.begin(), tops.begin() + (least - 1), tops.end(), std::greater<float>());
            *floor = tops[least - 1];
        }
        int found = 0;
        for (int first = 0; first < size_; first += block_) {
            if (tops_[first / block_] < *floor) continue;
            for (int i = first; i < std::min(size_, first + block_); i++) {
                if (x_[i] < *floor) continue;
                if (found == room) return 0;
                places[found++] = i;
            }
        }
        return found;
    }

private:
    const float* x_;
    int size_, block_;
    std::vector<float> tops_;  // of each block
    float largest_;

    // What is in the block from `first` on, -infinity past the end.
    template <class See>
    void each(int first, const See& see) const {
        int i = first, end = std::min(size_, first + block_);
        for (; i + LANES <= end; i += LANES) see(load<V>(x_ + i));
        if (i == end) return;
        V rest = spread(-INFINITY);
        for (int lane = 0; i + lane < end; lane++) rest[lane] = x_[i + lane];
        see(rest);
    }

    static float greatest(V x) {
        float most = x[0];
        for (int i = 1; i < LANES; i++) most = std::max(most, x[i]);
        return most;
    }
};
