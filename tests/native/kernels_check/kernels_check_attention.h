// Attention under masks of every kind.
#pragma once
#include "kernels_check.h"

namespace {

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

// `bf16`: of numbers that are rounded to it.
void check_attention(const Kernels * kernels, Mask kind, bool bf16) {
    Result result;
    for (int i = 0; i < 24; i++) {
        Memory        memory;
        const auto    c  = memory.context;
        const int64_t dk = one_of<int64_t>({ 8, 20, 32, 40, 64, 80, 96, 128, 256 }), dv = some(0, 3) ? dk : one_of<int64_t>({ 16, 24, 64, 72 });
        const int64_t shared = some(1, 3), heads = shared * some(1, 3), n3 = some(1, 2), rows = some(1, 50);
        const int64_t n_kv = kind == NONE || kind == HOLES ? some(1, 90) : rows;
        const auto    type = bf16 ? GGML_TYPE_F16 : one_of({ GGML_TYPE_F16, GGML_TYPE_F32 });
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
        compare(result, kernels, { Gelu::erf, bf16 }, c, op, [&](int64_t i0, int64_t head, int64_t row, int64_t i3, double & unit) {
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
    result.print((std::string(bf16 ? "attention in bf16, " : "attention, ") + MASK_NAMES[kind]).c_str(), kernels, "the largest value, or 1");
}

// SOFT_MAX, which is attention's of models with f32 weights.
void check_softmax(const Kernels * kernels, Mask kind) {
    Result result;
    for (int i = 0; i < 24; i++) {
        Memory        memory;
        const auto    c = memory.context;
        const int64_t rows = some(1, 50), heads = some(1, 6), n3 = some(1, 2), n_kv = kind == NONE || kind == HOLES ? some(1, 90) : rows;
        const double  scale = some(0, 1) ? 1 : 0.2, bias = kind == DISTANCE ? 8 : 0;
        ggml_tensor * x    = random_tensor(c, GGML_TYPE_F32, n_kv, rows, heads, n3);
        ggml_tensor * mask = random_mask(c, kind, n_kv, rows, some(0, 2) ? 1 : heads, some(0, 1) ? 1 : n3);
        if (mask && some(0, 1)) {  // without flash attention masks are of 32-bit floats
            ggml_tensor * wide = ggml_new_tensor(c, GGML_TYPE_F32, GGML_MAX_DIMS, mask->ne);
            ggml_fp16_to_fp32_row((const ggml_fp16_t *) mask->data, (float *) wide->data, ggml_nelements(mask));
            mask = wide;
        }
        ggml_tensor *       op = ggml_soft_max_ext(c, x, mask, (float) scale, (float) bias);
        std::vector<double> scores((size_t) n_kv);
        double              total = 0, most = 0;
        compare(result, kernels, { Gelu::erf }, c, op, [&](int64_t i0, int64_t row, int64_t head, int64_t i3, double & unit) {
            if (i0 == 0) {
                for (int64_t j = 0; j < n_kv; j++) {
                    const double by = mask ? value(mask, j, row, head % mask->ne[2], i3 % mask->ne[3]) : 0;
                    scores[(size_t) j] = scale * value(x, j, row, head, i3) + slope(head, heads, bias) * by;
                }
                most  = *std::max_element(scores.begin(), scores.end());
                total = 0;
                for (const double score : scores) {
                    total += std::exp(score - most);
                }
            }
            unit = std::isfinite(most) ? std::max(1.0, std::fabs(most)) : 1;  // a score is rounded by its size
            return most > -INFINITY ? std::exp(scores[(size_t) i0] - most) / total : 0;
        });
    }
    result.print((std::string("softmax, ") + MASK_NAMES[kind]).c_str(), kernels, "1, or the largest score");
}

// A row alone and among others, with a prefix that it shares with them or without, gives the same bits.
void check_softmax_alone(const Kernels * kernels) {
    Result result;
    for (int i = 0; i < 60; i++) {
        Memory        memory;
        const auto    c = memory.context;
        const int64_t own = some(1, 40), prefix = some(0, 1) * some(0, 20), before = some(0, 50), n = prefix + before + own + some(0, 50);
        ggml_tensor * alone = random_tensor(c, GGML_TYPE_F32, prefix + own, 1);
        ggml_tensor * all = random_tensor(c, GGML_TYPE_F32, n, 1), *mask = ggml_new_tensor_2d(c, GGML_TYPE_F32, n, 1);
        const auto    place = [&](int64_t j) { return j < prefix ? j : j + before; };
        std::fill_n((float *) mask->data, n, -INFINITY);
        for (int64_t j = 0; j < prefix + own; j++) {
            ((float *) all->data)[place(j)]  = ((float *) alone->data)[j];
            ((float *) mask->data)[place(j)] = 0;
        }
        ggml_tensor *a = ggml_soft_max_ext(c, alone, nullptr, 0.2f, 0), *b = ggml_soft_max_ext(c, all, mask, 0.2f, 0);
        compute(kernels, { Gelu::erf }, c, a);
        compute(kernels, { Gelu::erf }, c, b);
        for (int64_t j = 0; j < prefix + own; j++) {
            result.ours += ((float *) a->data)[j] != ((float *) b->data)[place(j)];
        }
        result.cases++;
    }
    result.print("softmax, alone and in a pack", kernels, "numbers that differ");
}

// A few tokens of a causal model, which look at their own in a cache of many: alone and among others, after a prefix that it
// shares with them or without, they give the same bits.
void check_cached(const Kernels * kernels, bool bf16) {
    Result result;
    for (int i = 0; i < 60; i++) {
        Memory        memory;
        const auto    c = memory.context;
        const int64_t d = one_of<int64_t>({ 16, 32, 64, 80 }), shared = some(1, 3), heads = shared * some(1, 2), cells = 256;
        const int64_t prefix = some(0, 1) * some(1, 60), before = some(0, 60), own = some(1, 60), rows = before + own + some(0, 60);
        ggml_tensor * q = random_tensor(c, GGML_TYPE_F32, d, rows, heads);
        const auto cached = [&](int64_t first, int64_t n, int64_t from, const ggml_tensor * like_k, const ggml_tensor * like_v) {
            ggml_tensor *k = random_tensor(c, GGML_TYPE_F16, d, cells, shared), *v = random_tensor(c, GGML_TYPE_F16, d, cells, shared);
            for (int64_t cell = 0; like_k && cell < prefix + own; cell++) {
                const int64_t to = cell, at = cell < prefix ? cell : cell + before;
                for (int64_t head = 0; head < shared; head++) {
                    for (const auto & [a, b] : { std::pair{ k, like_k }, std::pair{ v, like_v } }) {
                        memcpy((char *) a->data + to * a->nb[1] + head * a->nb[2], (const char *) b->data + at * b->nb[1] + head * b->nb[2], a->nb[1]);
                    }
                }
            }
            ggml_tensor * mask = ggml_new_tensor_2d(c, GGML_TYPE_F16, cells, n);
            for (int64_t t = 0; t < n * cells; t++) {
                const int64_t row = first + t / cells, cell = t % cells, token = cell - prefix + from;
                const bool    mine  = row >= before && row < before + own, its = token >= before && token < before + own;
                const bool    other = token >= from && token < rows && (token < before) == (row < before);
                const bool    sees  = cell < prefix || (token <= row && (mine ? its : other && !its));
                ((ggml_fp16_t *) mask->data)[t] = ggml_fp32_to_fp16(sees ? 0 : -INFINITY);
            }
            ggml_tensor * some_q = ggml_view_3d(c, q, d, n, heads, q->nb[1], q->nb[2], (size_t) first * q->nb[1]);
            return ggml_flash_attn_ext(c, some_q, k, v, mask, 0.2f, 0, 0);
        };
        ggml_tensor * all   = cached(0, rows, 0, nullptr, nullptr);
        ggml_tensor * alone = cached(before, own, before, all->src[1], all->src[2]);
        for (ggml_tensor * op : { all, alone }) {
            result.ours += saur::can_compute(*kernels, op) ? 0 : 1;
            compute(kernels, { Gelu::erf, bf16 }, c, op);
        }
        const float *a = (const float *) all->data + before * heads * d, *b = (const float *) alone->data;
        for (int64_t j = 0; j < own * heads * d; j++) {
            result.ours += a[j] != b[j];
        }
        result.cases++;
    }
    result.print(bf16 ? "attention in bf16, alone and in a pack, cached" : "attention, alone and in a pack, cached", kernels, "numbers that differ");
}

// A sequence alone and among others gives the same bits.
void check_alone(const Kernels * kernels, bool bf16) {
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
        compute(kernels, { Gelu::erf, bf16 }, c, all);
        compute(kernels, { Gelu::erf, bf16 }, c, alone);
        const float *a = (const float *) all->data + before * heads * d, *b = (const float *) alone->data;
        for (int64_t j = 0; j < length * heads * d; j++) {
            result.ours = std::max(result.ours, (double) std::fabs(a[j] - b[j]));
        }
        result.cases++;
    }
    result.print(bf16 ? "attention in bf16, alone and in a pack" : "attention, alone and in a pack", kernels, "1");
}

}  // namespace
