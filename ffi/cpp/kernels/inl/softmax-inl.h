// Included by arch/*.cpp (kernels-inl.h) after attention-inl.h; needs WIDTH.
//
// Attention of models with f32 weights is several operators (choose_attention in shim/context.cpp): the scores are a MUL_MAT,
// this makes weights of them, and another MUL_MAT sums the values.
//
// computes  SOFT_MAX without sinks: of a row x the weights w_t over their sum, w_t = exp(scale x_t + slope mask_t - the largest
//           of these)
// layout    rows of floats as ggml has them; only what the mask lets a row see is read, and the rest is 0
// rounds    as attention-inl.h
// sums      as attention-inl.h, from the first number on that a row sees: what is in a pack before and after it changes nothing
// measured  a text alone and in a pack have the same bits with f32 weights, and were up to 8e-7 apart with ggml's, which sums a
//           row by its place (docs/accuracy.md).
#pragma once
namespace {

template <class Bits>
void mask_ranges(const ggml_tensor * mask, int64_t plane, int64_t i3, int64_t rows, int32_t n, Range * ranges) {
    for (int64_t i = 0; i < rows; i++) {
        ranges[i] = range_of((const Bits *) ((const char *) mask->data + i * mask->nb[1] + plane * mask->nb[2] + i3 * mask->nb[3]), n);
    }
}

float sum_of_seen(const float * weights, const char * mask, bool halves, const Range & range) {
    return halves ? sum_of_seen(weights, (const uint16_t *) mask, range) : sum_of_seen(weights, (const uint32_t *) mask, range);
}

// One row of n numbers, of which it sees those of a range; `mask` is NULL where it adds nothing.
void soften_into(float * out, const float * x, const char * mask, bool halves, const Range & range, int64_t n, float scale,
                 float slope, float * scores) {
    const int64_t some = range.end - range.begin;
    for (int64_t i = 0; i < some; i += WIDTH) {
        Floats score = load_part(x + range.begin + i, some - i) * scale;
        if (mask) {
            score += slope * load_some(mask, halves, range.begin + i, some - i);
        }
        store(scores + i, score);
    }
    float total = some > 0 ? soften(scores, some) : 0.0f;
    total       = range.whole ? total : sum_of_seen(scores, mask, halves, range);
    const float by    = total > 0 ? 1.0f / total : total;  // NaN stays NaN
    memset(out, 0, (size_t) range.begin * sizeof(float));
    for (int64_t i = 0; i < some; i += WIDTH) {
        store_part(out + range.begin + i, load(scores + i) * by, some - i);
    }
    memset(out + range.end, 0, (size_t) (n - range.end) * sizeof(float));
}

void softmax(ggml_tensor * op, saur::Scratch & scratch) {
    const ggml_tensor *x = op->src[0], *mask = op->src[1];
    float              params[2];  // scale, max_bias
    memcpy(params, op->op_params, sizeof(params));
    const int64_t n = x->ne[0], rows = x->ne[1], planes = mask ? mask->ne[2] : 1;
    const bool    halves = mask && mask->type == GGML_TYPE_F16;
    Range *       ranges = scratch.get<Range>(saur::Scratch::RANGES, rows);
    float *       scores = scratch.get<float>(saur::Scratch::SCORES, rounded_up(n, WIDTH));
    for (int64_t i3 = 0; i3 < x->ne[3]; i3++) {
        for (int64_t plane = 0; plane < planes; plane++) {
            for (int64_t i = 0; i < rows && !mask; i++) {
                ranges[i] = { 0, (int32_t) n, true, true };
            }
            if (mask) {
                (halves ? mask_ranges<uint16_t> : mask_ranges<uint32_t>)(mask, plane, i3 % mask->ne[3], rows, (int32_t) n, ranges);
            }
            for (int64_t i2 = plane; i2 < x->ne[2]; i2 += planes) {
                for (int64_t i = 0; i < rows; i++) {
                    const char * seen = ranges[i].plain ? nullptr
                                                        : (const char *) mask->data + i * mask->nb[1] + plane * mask->nb[2] +
                                                              i3 % mask->ne[3] * mask->nb[3];
                    soften_into((float *) ((char *) op->data + i * op->nb[1] + i2 * op->nb[2] + i3 * op->nb[3]),
                                (const float *) ((const char *) x->data + i * x->nb[1] + i2 * x->nb[2] + i3 * x->nb[3]), seen,
                                halves, ranges[i], n, params[0], slope_of(i2, x->ne[2], params[1]), scores);
                }
            }
        }
    }
}

}  // namespace
