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
        const int64_t n_kv = kind == NONE || kind == HOLES ? some(1, std::min<int64_t>(90, 16 * rows)) : rows;
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
