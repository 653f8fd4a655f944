// Our kernels against ggml-cpu and against sums in float64, over random shapes, strides, masks and types.
//
//   kernels_check [SEED]     one JSON object a line: what was compared, how often, and the largest differences
//
// `ours` and `stock` are the largest differences from float64, as parts of what `unit` says.
#include "kernels_check.h"

namespace {

// With bf16 weights stock ggml rounds activations to bf16, and so do we.
double activation(ggml_type weights, double x) {
    return weights == GGML_TYPE_BF16 ? ggml_bf16_to_fp32(ggml_fp32_to_bf16((float) x)) : x;
}

// How a product's weights are kept.
enum Keeping { AS_GIVEN, BY_ONEDNN, IN_PANELS };
const char * const KEEPING_NAMES[] = { "", ", oneDNN", ", in panels" };

// A model's.
struct Kept {
    explicit Kept(Keeping how) : how(how) {}
    Computing computing() { return { Gelu::erf, how == BY_ONEDNN ? &reordered : nullptr, how == IN_PANELS ? &panelled : nullptr }; }
    // Weights to multiply with; those in panels are no longer what they were.
    ggml_tensor * of(ggml_context * c, ggml_tensor * t) const { return how == AS_GIVEN ? t : owned.of(how == IN_PANELS ? copied(c, t) : t); }

  private:
    static ggml_tensor * copied(ggml_context * c, const ggml_tensor * t) {
        ggml_tensor * copy = ggml_dup_tensor(c, t);
        memcpy(copy->data, t->data, ggml_nbytes(t));
        return copy;
    }
    const Keeping         how;
    const Weights         owned;
    saur::Reordered       reordered;
    saur::PanelledWeights panelled;
};

void check_products(const Kernels * kernels, ggml_type type, Keeping how) {
    Result result;
    for (int i = 0; i < 120; i++) {
        Kept          kept(how);
        Memory        memory;
        const auto    c = memory.context;
        const int64_t fewest = how == IN_PANELS ? 1 : type == GGML_TYPE_BF16 ? 2 : type == GGML_TYPE_F32 ? 8 : 1;
        const int64_t k = type == GGML_TYPE_F32 && i % 4 ? some(1, 380) : 32 * some(1, 12), columns = i % 2 ? some(2, 70) : 16 * some(1, 5);
        const int64_t rows = i % 3 ? some(8, 70) : some(fewest, std::max<int64_t>(fewest, 3));
        const int64_t most = how == AS_GIVEN ? 2 : 1, w2 = some(1, most), w3 = some(1, most), x2 = w2 * some(1, 2), x3 = w3 * some(1, most);
        ggml_tensor * weights = how == AS_GIVEN ? random_view(c, type, k, columns, w2, w3) : random_tensor(c, type, k, columns);
        ggml_tensor * x       = random_view(c, GGML_TYPE_F32, k, rows, x2, x3);
        if (how == BY_ONEDNN && x2 > 1) continue;
        // ggml-cpu computes with the weights as they were given
        ggml_tensor *      op    = ggml_mul_mat(c, weights, x);
        const ggml_tensor *first = op->src[0];
        compare(result, kernels, kept.computing(), c, op,
                [&](int64_t column, int64_t row, int64_t i2, int64_t i3, double & unit) {
                    double sum = 0, squares = 0, sizes = 0;
                    for (int64_t j = 0; j < k; j++) {
                        const double w = value(first, j, column, i2 * w2 / x2, i3 * w3 / x3);
                        const double v = activation(type, value(x, j, row, i2, i3));
                        sum += w * v;
                        squares += v * v;
                        sizes += w * w;
                    }
                    unit = std::sqrt(squares * sizes);
                    return sum;
                },
                [&] { op->src[0] = kept.of(c, weights); });
    }
    const std::string name = std::string("product, ") + ggml_type_name(type) + KEEPING_NAMES[how];
    result.print(name.c_str(), kernels, "the vectors' lengths");
}

// Rows of activations alone and among others give the same bits.
void check_rows(const Kernels * kernels, ggml_type type, Keeping how) {
    Result result;
    for (int i = 0; i < 20; i++) {
        Kept            kept(how);
        Memory          memory;
        const auto      c = memory.context;
        const int64_t   k = 32 * some(1, 40), columns = some(32, 100), rows = some(8, 140), before = some(0, 50), n = before + rows + some(0, 50);
        ggml_tensor *   w = kept.of(c, random_tensor(c, type, k, columns)), *x = random_tensor(c, GGML_TYPE_F32, k, n);
        ggml_tensor *   all   = ggml_mul_mat(c, w, x);
        ggml_tensor *   alone = ggml_mul_mat(c, w, ggml_view_2d(c, x, k, rows, x->nb[1], (size_t) before * x->nb[1]));
        for (ggml_tensor * op : { all, alone }) {
            compute(kernels, kept.computing(), c, op);
        }
        const auto * there = (const float *) ((const char *) all->data + (size_t) before * all->nb[1]);
        for (int64_t j = 0; j < ggml_nelements(alone); j++) {
            result.ours += there[j] != ((const float *) alone->data)[j];
        }
        result.cases++;
    }
    result.print((std::string("product, alone and in a pack") + KEEPING_NAMES[how]).c_str(), kernels, "numbers that differ");
}

double gelu_reference(Gelu kind, double x) {
    return kind == Gelu::erf ? 0.5 * x * std::erfc(-x / std::sqrt(2.0))
                             : 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

void check_gelu(const Kernels * kernels) {
    for (const Gelu kind : { Gelu::erf, Gelu::tanh }) {
        Result result;
        for (int i = 0; i < 60; i++) {
            Memory        memory;
            const auto    c = memory.context;
            const int64_t n = some(1, 100), rows = some(1, 9), n2 = some(1, 3), n3 = some(1, 2);
            const int     form = (int) some(0, 4);
            const bool    halves = form >= 3;
            // ggml wants its rows side by side, so a view with gaps is of the innermost dimension alone
            ggml_tensor * wide = random_tensor(c, GGML_TYPE_F32, 2 * n, rows, n2, n3);
            ggml_tensor * x    = halves ? wide : ggml_view_4d(c, wide, n, rows, n2, n3, wide->nb[1], wide->nb[2], wide->nb[3], 0);
            ggml_tensor * by   = random_tensor(c, GGML_TYPE_F32, n, rows, n2, n3);
            ggml_tensor * op   = form == 0   ? ggml_gelu(c, x)
                                 : form == 1 ? (kind == Gelu::erf ? ggml_gelu_erf(c, x) : ggml_gelu(c, x))
                                 : form == 2 ? ggml_geglu_split(c, x, by)
                                 : form == 3 ? ggml_geglu(c, wide)
                                             : ggml_geglu_swapped(c, wide);
            const int64_t from = form == 4 ? n : 0, other = form == 3 ? n : 0;
            compare(result, kernels, { kind }, c, op, [&](int64_t i0, int64_t i1, int64_t i2, int64_t i3, double & unit) {
                const double in = value(x, i0 + from, i1, i2, i3);
                const double factor = form < 2 ? 1 : form == 2 ? value(by, i0, i1, i2, i3) : value(wide, i0 + other, i1, i2, i3);
                unit = std::max(1.0, std::fabs(in)) * std::max(1.0, std::fabs(factor));
                return gelu_reference(kind, in) * factor;
            });
        }
        result.print(kind == Gelu::erf ? "gelu erf" : "gelu tanh", kernels, "the inputs, or 1");
    }
}

enum Mask { NONE, BLOCKS, CAUSAL, WINDOW, DISTANCE, HOLES, MASKS };
const char * const MASK_NAMES[] = { "no mask", "blocks", "causal", "window", "ALiBi", "holes" };

ggml_tensor * random_mask(ggml_context * c, Mask kind, int64_t n_kv, int64_t rows, int64_t n2, int64_t n3) {
    if (kind == NONE) {
        return nullptr;
    }
    ggml_tensor * mask = ggml_new_tensor_4d(c, GGML_TYPE_F16, n_kv, rows, n2, n3);
    auto *        out  = (ggml_fp16_t *) mask->data;
    for (int64_t plane = 0; plane < n2 * n3; plane++) {
        const int64_t length = some(1, 30);
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t j = 0; j < n_kv; j++) {
                const int64_t a = i / length, b = j / length;
                const bool    seen = kind == BLOCKS     ? a == b
                                     : kind == CAUSAL   ? a == b && j <= i
                                     : kind == WINDOW   ? std::abs(i - j) <= length
                                     : kind == DISTANCE ? a == b
                                                        : some(0, 2) > 0 && i % 7 != 3;
                const float v = !seen ? -INFINITY : kind == DISTANCE ? -(float) std::abs(i - j) : kind == HOLES ? normal(1) : 0;
                out[(plane * rows + i) * n_kv + j] = ggml_fp32_to_fp16(v);
            }
        }
    }
    return mask;
}

double slope(int64_t head, int64_t heads, double max_bias) {
    const double power = std::pow(2, std::floor(std::log2((double) heads)));
    return max_bias == 0    ? 1
           : head < power ? std::pow(std::pow(2, -max_bias / power), (double) head + 1)
                          : std::pow(std::pow(2, -max_bias / 2 / power), 2 * ((double) head - power) + 1);
}

void check_attention(const Kernels * kernels, Mask kind) {
    Result result;
    for (int i = 0; i < 24; i++) {
        Memory        memory;
        const auto    c  = memory.context;
        const int64_t dk = one_of<int64_t>({ 8, 20, 32, 40, 64, 80, 96, 128, 256 }), dv = some(0, 3) ? dk : one_of<int64_t>({ 16, 24, 64, 72 });
        const int64_t shared = some(1, 3), heads = shared * some(1, 3), n3 = some(1, 2), rows = some(1, 50);
        const int64_t n_kv = kind == NONE || kind == HOLES ? some(1, std::min<int64_t>(90, 16 * rows)) : rows;
        const auto    type = one_of({ GGML_TYPE_F16, GGML_TYPE_F32 });
        ggml_tensor * q    = random_view(c, GGML_TYPE_F32, dk, rows, heads, n3);
        ggml_tensor * k    = random_view(c, type, dk, n_kv, shared, n3);
        ggml_tensor * v    = random_view(c, type, dv, n_kv, shared, n3);
        ggml_tensor * mask = random_mask(c, kind, n_kv, rows, some(0, 2) ? 1 : heads, some(0, 1) ? 1 : n3);
        const double  scale = 1 / std::sqrt((double) dk), bias = kind == DISTANCE ? 8 : 0;
        ggml_tensor * op = ggml_flash_attn_ext(c, q, k, v, mask, (float) scale, (float) bias, 0);
        ggml_prec_set_acc(op, GGML_PREC_F32);
        std::vector<double> scores((size_t) n_kv);
        double              most = -INFINITY;
        // op is dimensions x heads x rows; the scores of a row are those of all its dimensions
        compare(result, kernels, { Gelu::erf }, c, op, [&](int64_t i0, int64_t head, int64_t row, int64_t i3, double & unit) {
            double        total = 0, sum = 0;
            const int64_t from = head / (heads / shared);
            most               = i0 == 0 ? -INFINITY : most;
            for (int64_t j = 0; i0 == 0 && j < n_kv; j++) {
                double s = 0;
                for (int64_t d = 0; d < dk; d++) {
                    s += value(q, d, row, head, i3) * value(k, d, j, from, i3);
                }
                s *= scale;
                if (mask) {
                    s += slope(head, heads, bias) * value(mask, j, row, head % mask->ne[2], i3 % mask->ne[3]);
                }
                scores[(size_t) j] = s;
                most               = std::max(most, s);
            }
            unit = 1;
            for (int64_t j = 0; most > -INFINITY && j < n_kv; j++) {
                const double w = std::exp(scores[(size_t) j] - most), x = value(v, i0, j, from, i3);
                total += w;
                sum += w * x;
                unit = std::max(unit, std::fabs(x));
            }
            return total > 0 ? sum / total : 0;
        });
    }
    result.print((std::string("attention, ") + MASK_NAMES[kind]).c_str(), kernels, "the largest value, or 1");
}

// A sequence alone and among others gives the same bits.
void check_alone(const Kernels * kernels) {
    Result result;
    for (int i = 0; i < 20; i++) {
        Memory        memory;
        const auto    c = memory.context;
        const int64_t d = one_of<int64_t>({ 32, 64, 80 }), heads = some(1, 4), length = some(1, 40), before = some(0, 50), after = some(0, 50);
        const int64_t n = before + length + after;
        ggml_tensor *q = random_tensor(c, GGML_TYPE_F32, d, n, heads), *k = random_tensor(c, GGML_TYPE_F16, d, n, heads),
                    *v = random_tensor(c, GGML_TYPE_F16, d, n, heads), *mask = ggml_new_tensor_2d(c, GGML_TYPE_F16, n, n);
        const auto group = [&](int64_t t) { return t < before ? 0 : t < before + length ? 1 : 2; };
        for (int64_t t = 0; t < n * n; t++) {
            ((ggml_fp16_t *) mask->data)[t] = ggml_fp32_to_fp16(group(t / n) == group(t % n) ? 0 : -INFINITY);
        }
        const auto part = [&](ggml_tensor * t) {
            return ggml_view_3d(c, t, d, length, heads, t->nb[1], t->nb[2], (size_t) before * t->nb[1]);
        };
        ggml_tensor * all   = ggml_flash_attn_ext(c, q, k, v, mask, 0.2f, 0, 0);
        ggml_tensor * alone = ggml_flash_attn_ext(c, part(q), part(k), part(v), nullptr, 0.2f, 0, 0);
        compute(kernels, { Gelu::erf }, c, all);
        compute(kernels, { Gelu::erf }, c, alone);
        const float *a = (const float *) all->data + before * heads * d, *b = (const float *) alone->data;
        for (int64_t j = 0; j < length * heads * d; j++) {
            result.ours = std::max(result.ours, (double) std::fabs(a[j] - b[j]));
        }
        result.cases++;
    }
    result.print("attention, alone and in a pack", kernels, "1");
}

// NORM, RMS_NORM, ADD and MUL of a tensor and another, or rows of it.
void check_rows_of_floats(const Kernels * kernels) {
    for (const auto kind : { GGML_OP_NORM, GGML_OP_RMS_NORM, GGML_OP_ADD, GGML_OP_MUL }) {
        Result result;
        for (int i = 0; i < 60; i++) {
            Memory        memory;
            const auto    c = memory.context;
            const int64_t n = some(1, 100), rows = some(1, 9), n2 = some(1, 3), n3 = some(1, 2);
            const float   epsilon = 1e-5f;
            ggml_tensor * x = random_view(c, GGML_TYPE_F32, n, rows, n2, n3);
            ggml_tensor * y = random_tensor(c, GGML_TYPE_F32, n, some(0, 1) ? rows : 1, some(0, 1) ? n2 : 1, some(0, 1) ? n3 : 1);
            ggml_tensor * op = kind == GGML_OP_NORM       ? ggml_norm(c, x, epsilon)
                               : kind == GGML_OP_RMS_NORM ? ggml_rms_norm(c, x, epsilon)
                               : kind == GGML_OP_ADD      ? ggml_add(c, x, y)
                                                          : ggml_mul(c, x, y);
            compare(result, kernels, { Gelu::erf }, c, op, [&](int64_t i0, int64_t i1, int64_t i2, int64_t i3, double & unit) {
                const double in = value(x, i0, i1, i2, i3);
                if (kind == GGML_OP_ADD || kind == GGML_OP_MUL) {
                    const double by = value(y, i0, i1 % y->ne[1], i2 % y->ne[2], i3 % y->ne[3]);
                    unit = std::max(1.0, std::fabs(in)) * std::max(1.0, std::fabs(by));
                    return kind == GGML_OP_ADD ? in + by : in * by;
                }
                double mean = 0, squares = 0;
                for (int64_t j = 0; j < n && kind == GGML_OP_NORM; j++) {
                    mean += value(x, j, i1, i2, i3) / (double) n;
                }
                for (int64_t j = 0; j < n; j++) {
                    squares += std::pow(value(x, j, i1, i2, i3) - mean, 2) / (double) n;
                }
                // of one number there is nothing but rounding
                unit = n == 1 && kind == GGML_OP_NORM ? 1e3 * std::fabs(in) + 1 : std::sqrt((double) n);
                return (in - mean) / std::sqrt(squares + (double) epsilon);
            });
        }
        result.print(ggml_op_name(kind), kernels, "the inputs, or the root of their number");
    }
}

// What follows a product or a norm is computed with it, to the same numbers as operator by operator.
void check_chains(const Kernels * kernels) {
    Result result;
    for (int i = 0; i < 200; i++) {
        const auto type = one_of({ GGML_TYPE_F32, GGML_TYPE_Q8_0, GGML_TYPE_BF16 });
        if ((type == GGML_TYPE_BF16 && !kernels->bf16.product) || !kernels->product) {
            continue;
        }
        Kept          kept(type == GGML_TYPE_Q8_0 || some(0, 1) ? AS_GIVEN : IN_PANELS);
        Memory        memory;
        const auto    c    = memory.context;
        const int64_t k    = 32 * some(1, 12), columns = 16 * some(1, 6) + some(0, 1) * some(0, 9), rows = some(8, 70);
        const bool    norm = some(0, 3) == 0, kept_apart = some(0, 3) == 0;
        ggml_tensor * x    = random_tensor(c, GGML_TYPE_F32, norm ? columns : k, rows);
        ggml_tensor * row  = random_tensor(c, GGML_TYPE_F32, columns, 1);
        ggml_tensor * many = random_tensor(c, GGML_TYPE_F32, columns, rows);
        std::vector<ggml_tensor *> chain{ norm ? ggml_norm(c, x, 1e-5f) : ggml_mul_mat(c, kept.of(c, random_tensor(c, type, k, columns)), x) };
        const auto follow = [&](ggml_tensor * next) { chain.push_back(next); };
        if (norm) {
            if (some(0, 3)) follow(ggml_mul(c, chain.back(), row));
            if (some(0, 3)) follow(ggml_add(c, chain.back(), row));
        } else {
            if (some(0, 3)) follow(ggml_add(c, chain.back(), row));
            if (some(0, 1)) follow(some(0, 1) ? ggml_gelu(c, chain.back()) : ggml_gelu_erf(c, chain.back()));
            // in place of the residual, as ggml's allocator may have it
            if (some(0, 1)) follow(some(0, 1) ? ggml_add(c, chain.back(), many) : ggml_add_inplace(c, many, chain.back()));
            if (chain.back()->src[0] == many) std::swap(chain.back()->src[0], chain.back()->src[1]);
        }
        if (kept_apart) { // its first number has another use, so it must be there afterwards
            follow(ggml_add(c, chain.back(), chain.front()));
        }
        const std::vector<float> before((const float *) many->data, (const float *) many->data + ggml_nelements(many));
        compute(kernels, kept.computing(), c, chain.back());
        const std::vector<float> whole = computed(chain.back());
        memcpy(many->data, before.data(), before.size() * sizeof(float));
        for (ggml_tensor * op : chain) {
            ggml_cgraph * alone = ggml_new_graph(c);
            op->flags |= GGML_TENSOR_FLAG_COMPUTE;
            ggml_graph_add_node(alone, op);
            saur::Scratch scratch;
            saur::compute(*kernels, kept.computing(), alone, scratch);
        }
        const std::vector<float> apart = computed(chain.back());
        for (size_t j = 0; j < whole.size(); j++) {
            const double off = std::fabs(whole[j] - apart[j]) / std::max(1.0, (double) std::fabs(apart[j]));
            result.ours      = std::isnan(off) ? INFINITY : std::max(result.ours, off);
        }
        result.cases++;
    }
    result.print("chain", kernels, "the numbers, or 1");
}

// NaN and infinity in a row of activations show in that row of a product, and in no other.
void check_not_finite(const Kernels * kernels, ggml_type type) {
    Result result;
    for (const float bad : { NAN, INFINITY, -INFINITY }) {
        Memory        memory;
        const auto    c = memory.context;
        ggml_tensor * x = random_tensor(c, GGML_TYPE_F32, 64, 5);
        ((float *) x->data)[2 * 64 + some(0, 63)] = bad;
        ggml_tensor * op = ggml_mul_mat(c, random_tensor(c, type, 64, 20), x);
        compute(kernels, { Gelu::erf }, c, op);
        for (int64_t i = 0; i < 5 * 20; i++) {
            result.ours += std::isfinite(((float *) op->data)[i]) == (i / 20 == 2);
        }
        result.cases++;
    }
    result.print("product, not finite", kernels, "numbers that are wrong");
}

// Two backends at once, each with the GELU of the scope it was made in; without a scope nothing is wanted.
void check_backend() {
    saur::register_kernels();
    ggml_backend_dev_t device = ggml_backend_dev_by_name("llamasaur");
    Memory             memory;
    const auto         c  = memory.context;
    ggml_tensor *      x  = random_tensor(c, GGML_TYPE_F32, 100, 3);
    ggml_tensor *      op = ggml_gelu(c, x);
    Result             result;
    result.ours += ggml_backend_dev_supports_op(device, op);
    ggml_backend_t backends[2];
    for (const Gelu kind : { Gelu::tanh, Gelu::erf }) {
        const saur::KernelScope scope(saur::Computing{ kind });
        result.ours += !ggml_backend_dev_supports_op(device, op) + ggml_backend_dev_supports_op(device, ggml_gelu_quick(c, x));
        backends[(int) kind] = ggml_backend_dev_init(device, nullptr);
    }
    ggml_cgraph * graph = ggml_new_graph(c);
    ggml_build_forward_expand(graph, op);
    for (int i = 0; i < 6; i++) {
        const Gelu kind = i % 2 ? Gelu::erf : Gelu::tanh;
        ggml_backend_graph_compute(backends[(int) kind], graph);
        for (int64_t j = 0; j < ggml_nelements(op); j++) {
            const double in = value(x, j % 100, j / 100, 0, 0);
            result.ours += std::fabs(((float *) op->data)[j] - gelu_reference(kind, in)) > 1e-6 * std::max(1.0, std::fabs(in));
        }
        result.cases++;
    }
    for (ggml_backend_t backend : backends) {
        ggml_backend_free(backend);
    }
    result.print("backend", saur::kernels_of_cpu(), "numbers that are wrong");
}

}  // namespace

int main(int argc, char ** argv) {
    generator.seed(argc > 1 ? (unsigned) atoi(argv[1]) : 1);
    ggml_cpu_init();
    for (const Kernels * kernels : saur::usable_kernels()) {
        for (const auto type : { GGML_TYPE_F32, GGML_TYPE_Q8_0, GGML_TYPE_BF16 }) {
            if (!(type == GGML_TYPE_F32 ? kernels->f32.product : type == GGML_TYPE_BF16 ? kernels->bf16.product : kernels->product)) {
                continue;
            }
            check_not_finite(kernels, type);
            for (const auto how : { AS_GIVEN, BY_ONEDNN, IN_PANELS }) {
                if (how == AS_GIVEN || (type != GGML_TYPE_Q8_0 && (how == IN_PANELS || saur::has_onednn()))) {
                    check_products(kernels, type, how);
                    check_rows(kernels, type, how);
                }
            }
        }
        check_rows_of_floats(kernels);
        check_chains(kernels);
        check_gelu(kernels);
        for (int mask = NONE; mask < MASKS; mask++) {
            check_attention(kernels, (Mask) mask);
        }
        check_alone(kernels);
    }
    if (saur::kernels_of_cpu()) {
        check_backend();
    }
}
