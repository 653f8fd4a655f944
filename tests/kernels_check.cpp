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

// `model`: of weights that a model owns, so by oneDNN, where it is linked.
void check_products(const Kernels * kernels, ggml_type type, bool model) {
    Result        result;
    const Weights owned;
    for (int i = 0; i < 120; i++) {
        Memory        memory;
        const auto    c = memory.context;
        const int64_t k = type == GGML_TYPE_F32 ? some(1, 380) : 32 * some(1, 12), columns = some(1, 70), rows = i % 3 ? some(8, 40) : type == GGML_TYPE_F32 ? 8 : some(type == GGML_TYPE_BF16 ? 2 : 1, 3);
        const int64_t most = model ? 1 : 2, w2 = some(1, most), w3 = some(1, most), x2 = w2 * some(1, most), x3 = w3 * some(1, most);
        saur::Reordered reordered;
        ggml_tensor *   weights = model ? owned.of(random_tensor(c, type, k, columns)) : random_view(c, type, k, columns, w2, w3);
        ggml_tensor *   x       = random_view(c, GGML_TYPE_F32, k, rows, x2, x3);
        compare(result, kernels, { Gelu::erf, &reordered }, c, ggml_mul_mat(c, weights, x),
                [&](int64_t column, int64_t row, int64_t i2, int64_t i3, double & unit) {
                    double sum = 0, squares = 0, sizes = 0;
                    for (int64_t j = 0; j < k; j++) {
                        const double w = value(weights, j, column, i2 * w2 / x2, i3 * w3 / x3);
                        const double v = activation(type, value(x, j, row, i2, i3));
                        sum += w * v;
                        squares += v * v;
                        sizes += w * w;
                    }
                    unit = std::sqrt(squares * sizes);
                    return sum;
                });
    }
    const std::string name = std::string("product, ") + ggml_type_name(type) + (model ? ", oneDNN" : "");
    result.print(name.c_str(), kernels, "the vectors' lengths");
}

// Rows of activations alone and among others give the same bits.
void check_rows(const Kernels * kernels, ggml_type type, bool model) {
    Result        result;
    const Weights owned;
    for (int i = 0; i < 20; i++) {
        Memory          memory;
        saur::Reordered reordered;
        const auto      c = memory.context;
        const int64_t   k = 32 * some(1, 40), columns = some(32, 100), rows = some(8, 140), before = some(0, 50), n = before + rows + some(0, 50);
        ggml_tensor *   w = random_tensor(c, type, k, columns), *x = random_tensor(c, GGML_TYPE_F32, k, n);
        ggml_tensor *   all   = ggml_mul_mat(c, model ? owned.of(w) : w, x);
        ggml_tensor *   alone = ggml_mul_mat(c, w, ggml_view_2d(c, x, k, rows, x->nb[1], (size_t) before * x->nb[1]));
        saur::Scratch   scratch;
        for (ggml_tensor * op : { all, alone }) {
            saur::compute(*kernels, { Gelu::erf, &reordered }, op, scratch);
        }
        const auto * there = (const float *) ((const char *) all->data + (size_t) before * all->nb[1]);
        for (int64_t j = 0; j < ggml_nelements(alone); j++) {
            result.ours += there[j] != ((const float *) alone->data)[j];
        }
        result.cases++;
    }
    result.print(model ? "product, alone and in a pack, oneDNN" : "product, alone and in a pack", kernels, "numbers that differ");
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
            compare(result, kernels, { kind, nullptr }, c, op, [&](int64_t i0, int64_t i1, int64_t i2, int64_t i3, double & unit) {
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
        compare(result, kernels, { Gelu::erf, nullptr }, c, op, [&](int64_t i0, int64_t head, int64_t row, int64_t i3, double & unit) {
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
        saur::Scratch scratch;
        saur::compute(*kernels, { Gelu::erf, nullptr }, all, scratch);
        saur::compute(*kernels, { Gelu::erf, nullptr }, alone, scratch);
        const float *a = (const float *) all->data + before * heads * d, *b = (const float *) alone->data;
        for (int64_t j = 0; j < length * heads * d; j++) {
            result.ours = std::max(result.ours, (double) std::fabs(a[j] - b[j]));
        }
        result.cases++;
    }
    result.print("attention, alone and in a pack", kernels, "1");
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
        saur::Scratch scratch;
        saur::compute(*kernels, { Gelu::erf, nullptr }, op, scratch);
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
        const saur::KernelScope scope(saur::Computing{ kind, nullptr });
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
            if (!(type == GGML_TYPE_F32 ? kernels->product_f32 : type == GGML_TYPE_BF16 ? kernels->product_bf16 : kernels->product)) {
                continue;
            }
            check_products(kernels, type, false);
            check_rows(kernels, type, false);
            check_not_finite(kernels, type);
            if (saur::has_onednn() && type != GGML_TYPE_Q8_0) {
                check_products(kernels, type, true);
                check_rows(kernels, type, true);
            }
        }
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
