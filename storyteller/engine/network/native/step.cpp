// A decode step of GPT-2 as one call: some rows of tokens through every block, against caches that torch owns.
//
// Source: Radford et al. 2019; the order of operations is network/model.py's. Arithmetic between products is float32.
#include <algorithm>
#include <cmath>
#include "attention.hpp"
#include "peaks.hpp"
#include "products.hpp"

struct Norm {
    const float* weight;
    const float* bias;
};

struct Layer {
    Norm norm_1, norm_2;
    Weight attention_in, attention_out, mlp_in, mlp_out;
};

// The low-rank product beside a weight: y += (x down) up, with down (inputs, rank) and up (tiles of 16 outputs, rank, 16):
// read in order, it costs a token 6 ms; by rows of all outputs 15 (rank 16 beside all of GPT-2 large in int8).
struct LowRank {
    const void* down;
    const void* up;
    int32_t rank;  // a multiple of 16; 0: none
};

struct Cache {
    void* keys;  // (layers, [rows,] heads, capacity, width), as values
    void* values;
    int64_t rows;
    int64_t capacity;
};

struct Model {
    const Layer* layers;
    const float* scales;  // (layers,) what scores are multiplied by
    const void* token_embedding;
    const void* position_embedding;
    Norm norm;
    float epsilon;
    int32_t layer_count, heads, width, inner;
    int32_t half;  // whether embeddings, caches and low-rank products are bfloat16; else float32
};

// A row of a step. `trunk` is its number in the tables of trunks and of branches, `adapter` in that of adapters, -1 for
// none. Rows of one trunk stand together.
struct Token {
    int32_t token, position, trunk, seen, branch, own, adapter;
};

namespace {

constexpr int MOST_RANK = 1024;
constexpr int MOST_COUNT = 128;  // rows of a step; more would only make it wait longer before it can be cancelled
constexpr int PARTS = 4;
enum Part { ATTENTION_IN, ATTENTION_OUT, MLP_IN, MLP_OUT };

void normalise(const float* x, int size, const Norm& norm, float epsilon, float* out) {
    float mean = 0, variance = 0;
    V totals{};
    int i = 0;
    for (; i + LANES <= size; i += LANES) totals += load<V>(x + i);
    mean = sum(totals);
    for (; i < size; i++) mean += x[i];
    mean /= size;
    totals = V{};
    for (i = 0; i + LANES <= size; i += LANES) {
        V off = load<V>(x + i) - mean;
        totals += off * off;
    }
    variance = sum(totals);
    for (; i < size; i++) variance += (x[i] - mean) * (x[i] - mean);
    float scale = 1.0f / std::sqrt(variance / size + epsilon);
    for (i = 0; i + LANES <= size; i += LANES)
        store(out + i, (load<V>(x + i) - mean) * scale * load<V>(norm.weight + i) + load<V>(norm.bias + i));
    for (; i < size; i++) out[i] = (x[i] - mean) * scale * norm.weight[i] + norm.bias[i];
}

// What a step computes in, kept from one to the next.
class Room {
public:
    std::vector<Workspace> rows;
    std::vector<Row> prepared;
    std::vector<float> stream, mixed, gathered, widened, ranks, partial;

    void reserve(int count, int d, int inner) {
        if (int(rows.size()) < count) rows.resize(count);
        for (int r = 0; r < count; r++) rows[r].reserve(std::max(d, inner));
        prepared.resize(count);
        grow(stream, long(count) * d);
        grow(mixed, long(count) * 3 * d);
        grow(gathered, long(count) * d);
        grow(widened, long(count) * inner);
    }

    static void grow(std::vector<float>& numbers, long size) {
        if (long(numbers.size()) < size) numbers.resize(size);
    }
};

template <class T>
class Step {
public:
    Step(Pool& pool, Room& room, const Model& model, const LowRank* adapters, const Cache* trunks, const Cache* branches,
         const Token* tokens, int count)
        : pool_(pool), room_(room), model_(model), adapters_(adapters), trunks_(trunks), branches_(branches),
          tokens_(tokens), count_(count), d_(model.heads * model.width) {}

    void run(float* hidden) {
        room_.reserve(count_, d_, model_.inner);
        prepared_ = room_.prepared.data();
        for (int r = 0; r < count_; r++) embed(tokens_[r], stream(r));
        for (int layer = 0; layer < model_.layer_count; layer++) block(layer, model_.layers[layer]);
        for (int r = 0; r < count_; r++) normalise(stream(r), d_, model_.norm, model_.epsilon, hidden + long(r) * d_);
    }

private:
    Pool& pool_;
    Room& room_;
    const Model& model_;
    const LowRank* adapters_;  // [adapter][layer][part]
    const Cache* trunks_;
    const Cache* branches_;  // parallel to the trunks
    const Token* tokens_;
    int count_, d_;
    Row* prepared_ = nullptr;

    float* stream(int r) { return &room_.stream[long(r) * d_]; }

    void embed(const Token& row, float* x) {
        const T* token = (const T*)model_.token_embedding + long(row.token) * d_;
        const T* position = (const T*)model_.position_embedding + long(row.position) * d_;
        for (int i = 0; i < d_; i++) x[i] = read1(token + i) + read1(position + i);
    }

    void block(int layer, const Layer& here) {
        float* mixed = room_.mixed.data();
        each_row([&](int r) { normalise(stream(r), d_, here.norm_1, model_.epsilon, room_.rows[r].x()); }, here.attention_in);
        apply(layer, ATTENTION_IN, here.attention_in, [&](int r, int at, V y) { put(mixed + long(r) * 3 * d_, 3 * d_, at, y); });

        std::fill(room_.gathered.begin(), room_.gathered.begin() + long(count_) * d_, 0.0f);
        pool_.run(model_.heads, [&](int head) { attend(layer, head); });
        each_row([&](int r) { std::copy_n(&room_.gathered[long(r) * d_], d_, room_.rows[r].x()); }, here.attention_out);
        apply(layer, ATTENTION_OUT, here.attention_out, [&](int r, int at, V y) { add(stream(r), d_, at, y); });

        each_row([&](int r) { normalise(stream(r), d_, here.norm_2, model_.epsilon, room_.rows[r].x()); }, here.mlp_in);
        apply(layer, MLP_IN, here.mlp_in, [&](int r, int at, V y) {
            put(&room_.widened[long(r) * model_.inner], model_.inner, at, gelu(y));
        });
        each_row([&](int r) { std::copy_n(&room_.widened[long(r) * model_.inner], model_.inner, room_.rows[r].x()); }, here.mlp_out);
        apply(layer, MLP_OUT, here.mlp_out, [&](int r, int at, V y) { add(stream(r), d_, at, y); });
    }

    // Fill every row's workspace and bring it into the form that `weight` wants.
    template <class Fill>
    void each_row(const Fill& fill, const Weight& weight) {
        auto one = [&](int r) {
            fill(r);
            prepared_[r] = room_.rows[r].prepare(weight);
        };
        if (count_ < 3) for (int r = 0; r < count_; r++) one(r);  // a few microseconds: less than sharing them costs
        else pool_.run(count_, one);
    }

    // `weight` and the low-rank products beside it times the rows prepared: 16 outputs from `at` on go to `take(r, at, y)`.
    template <class Take>
    void apply(int layer, Part part, const Weight& weight, const Take& take) {
        const LowRank* beside[MOST_COUNT];
        for (int r = 0; r < count_; r++) {
            int adapter = tokens_[r].adapter;
            beside[r] = adapter < 0 ? nullptr : &adapters_[(long(adapter) * model_.layer_count + layer) * PARTS + part];
            if (beside[r] && !beside[r]->rank) beside[r] = nullptr;
        }
        lower(weight.inputs, beside);
        product(pool_, weight, count_, prepared_, [&](int first, int rows, int tile, V* y) {
            for (int i = 0, r = first; i < rows; i++, r++) {
                if (beside[r]) y[i] += raised(*beside[r], r, tile);
                take(r, tile * LANES, y[i]);
            }
        });
    }

    // ranks[r] = x down, added up in the same order whoever computes a piece.
    void lower(int inputs, const LowRank* const* beside) {
        constexpr int PIECE = 640;
        if (std::none_of(beside, beside + count_, [](const LowRank* low) { return low != nullptr; })) return;
        int pieces = (inputs + PIECE - 1) / PIECE;
        Room::grow(room_.ranks, long(count_) * MOST_RANK);
        Room::grow(room_.partial, long(pieces) * count_ * MOST_RANK);
        auto partial = [&](int piece, int r) { return &room_.partial[(long(piece) * count_ + r) * MOST_RANK]; };
        pool_.run(pieces, [&](int piece) {
            int first = piece * PIECE, last = std::min(inputs, first + PIECE);
            for (int r = 0; r < count_; r++) {
                int rank = beside[r] ? beside[r]->rank : 0;
                for (int b = 0; b < rank; b += LANES) {
                    V sums[4] = {};
                    const T* down = (const T*)beside[r]->down + long(first) * rank + b;
                    for (int k = first; k < last; k++, down += rank) sums[k & 3] += read16(down) * prepared_[r].x[k];
                    store(partial(piece, r) + b, (sums[0] + sums[1]) + (sums[2] + sums[3]));
                }
            }
        });
        for (int r = 0; r < count_; r++)
            for (int b = 0; beside[r] && b < beside[r]->rank; b += LANES) {
                V total{};
                for (int piece = 0; piece < pieces; piece++) total += load<V>(partial(piece, r) + b);
                store(&room_.ranks[r * MOST_RANK + b], total);
            }
    }

    V raised(const LowRank& low, int r, int tile) {
        V totals[2] = {};
        const T* up = (const T*)low.up + long(tile) * low.rank * LANES;
        const float* ranks = &room_.ranks[long(r) * MOST_RANK];
        for (int k = 0; k < low.rank; k++, up += LANES) totals[k & 1] += read16(up) * ranks[k];
        return totals[0] + totals[1];
    }

    static void put(float* to, int size, int at, V y) {
        if (at + LANES <= size) store(to + at, y);
        else std::memcpy(to + at, &y, (size - at) * sizeof(float));
    }

    static void add(float* to, int size, int at, V y) {
        if (at + LANES <= size) store(to + at, load<V>(to + at) + y);
        else for (int i = 0; at + i < size; i++) to[at + i] += y[i];
    }

    Span<T> span(const Cache& cache, int layer, int row, int head) const {
        long which = (long(layer) * cache.rows + row) * model_.heads + head;
        long size = long(model_.width) * cache.capacity;
        return {(const T*)cache.keys + which * size, (const T*)cache.values + which * size};
    }

    void attend(int layer, int head) {
        int width = model_.width;
        float scale = model_.scales[layer];
        Scratch& own = scratch();
        own.queries.resize(long(count_) * width);
        own.halves.resize(long(count_) * width);
        Query q[MOST_COUNT];
        float* gathered[MOST_COUNT];
        for (int r = 0; r < count_; r++) {
            const float* mixed = &room_.mixed[long(r) * 3 * d_ + head * width];
            float* query = &own.queries[long(r) * width];
            uint16_t* half = &own.halves[long(r) * width];
            for (int w = 0; w < width; w++) query[w] = mixed[w] * scale;
            for (int w = 0; w < width; w++) half[w] = narrow(query[w]);
            q[r] = {query, half};
            gathered[r] = &room_.gathered[long(r) * d_ + head * width];
            remember(tokens_[r], layer, head, mixed + d_, mixed + 2 * d_);
        }
        for (int first = 0, next; first < count_; first = next) {
            for (next = first + 1; next < count_ && next < first + MOST_ROWS; next++)
                if (tokens_[next].trunk != tokens_[first].trunk) break;
            look(layer, head, first, next - first, q + first, gathered + first);
        }
    }

    void remember(const Token& row, int layer, int head, const float* key, const float* value) {
        bool own = row.branch >= 0;
        const Cache& cache = (own ? branches_ : trunks_)[row.trunk];
        Span<T> to = span(cache, layer, own ? row.branch : 0, head);
        int at = (own ? row.own : row.seen) - 1, width = model_.width;
        for (int w = 0; w < width; w++) write1((T*)to.keys + long(at) * width + w, key[w]);
        for (int w = 0; w < width; w++) write1((T*)to.values + long(at) * width + w, value[w]);
    }

    // At most 8 rows from `first` on that share a trunk.
    void look(int layer, int head, int first, int rows, const Query* q, float* const* gathered) {
        Span<T> trunk = span(trunks_[tokens_[first].trunk], layer, 0, head);
        int width = model_.width, seen = 0, own = 0;
        for (int r = 0; r < rows; r++) {
            seen = std::max(seen, tokens_[first + r].seen);
            if (tokens_[first + r].branch >= 0) own = std::max(own, tokens_[first + r].own);
        }
        int room = (seen + own + 4 * LANES) / LANES * LANES;
        std::vector<float>& scores = scratch().scores;
        scores.resize(long(MOST_ROWS) * room);
        float *of_trunk[MOST_ROWS], *of_branch[MOST_ROWS];
        for (int r = 0; r < rows; r++) {
            of_trunk[r] = &scores[long(r) * room];
            of_branch[r] = of_trunk[r] + (seen + 2 * LANES);
        }
        score_rows(trunk, width, seen, rows, q, of_trunk);
        for (int r = 0; r < rows; r++) {
            const Token& row = tokens_[first + r];
            int mine = row.branch < 0 ? 0 : row.own;
            Span<T> branch{};
            if (mine) branch = span(branches_[row.trunk], layer, row.branch, head);
            if (mine) score_rows(branch, width, mine, 1, q + r, of_branch + r);
            float largest = largest_of(of_branch[r], mine, largest_of(of_trunk[r], row.seen, -INFINITY));
            float total = exponentiate(of_trunk[r], row.seen, seen, largest);
            total += exponentiate(of_branch[r], mine, mine, largest);
            V inverse = spread(1.0f / total);
            scale_by(of_trunk[r], row.seen, inverse[0]);
            scale_by(of_branch[r], mine, inverse[0]);
            if (mine) gather<1>(branch, width, mine, of_branch + r, gathered + r);
        }
        gather_rows(trunk, width, seen, rows, of_trunk, gathered);
    }

    static void scale_by(float* x, int size, float by) {
        for (int i = 0; i < size; i++) x[i] *= by;
    }

    struct Scratch {
        std::vector<float> queries, scores;
        std::vector<uint16_t> halves;
    };
    static Scratch& scratch() {
        thread_local Scratch own;
        return own;
    }
};

struct Engine {
    explicit Engine(int threads) : pool(threads) {}
    Pool pool;
    Room room;
    std::vector<Workspace> many;
};

}  // namespace

extern "C" {

int32_t storyteller_most_rows() { return MOST_COUNT; }
int32_t storyteller_most_rank() { return MOST_RANK; }

void* storyteller_engine_new(int32_t threads) { return new Engine(threads); }
void storyteller_engine_free(void* engine) { delete static_cast<Engine*>(engine); }

// x (count, inputs) to y (count, outputs), for any number of rows
void storyteller_product(void* engine, const Weight* weight, const float* x, int32_t count, float* y) {
    Engine& own = *static_cast<Engine*>(engine);
    if (int(own.many.size()) < count) own.many.resize(count);
    std::vector<Row> prepared(count);
    own.pool.wake();
    own.pool.run((count + MOST_ROWS - 1) / MOST_ROWS, [&](int piece) {
        for (int r = piece * MOST_ROWS; r < std::min(count, (piece + 1) * MOST_ROWS); r++) {
            own.many[r].reserve(weight->inputs);
            std::copy_n(x + long(r) * weight->inputs, weight->inputs, own.many[r].x());
            prepared[r] = own.many[r].prepare(*weight);
        }
    });
    product(own.pool, *weight, count, prepared.data(), [&](int first, int rows, int tile, V* out) {
        int at = tile * LANES, valid = std::min(LANES, weight->outputs - at);
        for (int r = 0; r < rows; r++)
            std::memcpy(y + long(first + r) * weight->outputs + at, &out[r], valid * sizeof(float));
    });
    own.pool.rest();
}

// `count` rows, at most `most_rows`, through the model: hidden (count, d) after the final norm
void storyteller_step(void* engine, const Model* model, const LowRank* adapters, const Cache* trunks, const Cache* branches,
                      const Token* tokens, int32_t count, float* hidden) {
    Engine& own = *static_cast<Engine*>(engine);
    own.pool.wake();
    if (model->half) Step<uint16_t>(own.pool, own.room, *model, adapters, trunks, branches, tokens, count).run(hidden);
    else Step<float>(own.pool, own.room, *model, adapters, trunks, branches, tokens, count).run(hidden);
    own.pool.rest();
}

// The largest of `size` logits, ascending places of them, and of all the log of the sum of exponentials: how many; see peaks.hpp.
int32_t storyteller_peaks(const float* logits, int32_t size, int32_t least, int32_t room, int64_t* places, float* floor,
                          double* log_total) {
    Peaks peaks(logits, size, least);
    *log_total = peaks.log_total();
    return least ? peaks.find(least, room, places, floor) : 0;
}
}
