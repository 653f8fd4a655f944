// Included by arch/*.cpp (kernels-inl.h) after vector-inl.h; needs WIDTH, sum_of.
//
// computes  NORM: (x - mean) / sqrt(mean of (x - mean)^2 + epsilon); RMS_NORM: the same with mean 0; then times a row, plus a
//           row, where the graph goes on so. ADD, MUL: a row and another, which is repeated where there are fewer.
// layout    rows of floats as ggml has them, taken WIDTH numbers at a time:
//             | 0 .. WIDTH-1 | WIDTH .. 2 WIDTH-1 | ... | the rest, filled up with zeros |
// rounds    nothing but each operation, to 32-bit floats
// sums      number i of the row in lane i mod WIDTH, then the lanes (sum_of): what is in other rows changes nothing
// measured  with products and norms joined to what follows, and panels in place: 226 -> 298 texts a second of processor time,
//           MiniLM bf16, Xeon with AMX (bench/experiments.md); never alone. Off by at most 1e-6
//           (tests/ffi/cpp/kernels_test.ts).
#pragma once
#include "ggml.h"
#include "kernels/kernels.h"

#include <math.h>

namespace {

// Calls `run` with the indices of each row of a tensor.
template <class Run> void each_row(const ggml_tensor * t, Run run) {
    for (int64_t i3 = 0; i3 < t->ne[3]; i3++) {
        for (int64_t i2 = 0; i2 < t->ne[2]; i2++) {
            for (int64_t i1 = 0; i1 < t->ne[1]; i1++) {
                run(i1, i2, i3);
            }
        }
    }
}

// A row of a tensor; one that has fewer is repeated.
inline float * row_at(const ggml_tensor * t, int64_t i1, int64_t i2, int64_t i3) {
    return (float *) ((char *) t->data + i1 % t->ne[1] * t->nb[1] + i2 % t->ne[2] * t->nb[2] + i3 % t->ne[3] * t->nb[3]);
}

// The sum of the squares of n numbers less `mean`.
inline float squares_of(const float * x, int64_t n, float mean) {
    Floats  sum = {};
    int64_t i   = 0;
    for (; i + WIDTH <= n; i += WIDTH) {
        const Floats v = load(x + i) - mean;
        sum += v * v;
    }
    for (int64_t j = 0; i + j < n; j++) {
        sum[j] += (x[i + j] - mean) * (x[i + j] - mean);
    }
    return sum_of(sum);
}

// NORM (to mean 0) and RMS_NORM. `scale` and `shift` may be absent.
void norm(const saur::Norm & norm) {
    const ggml_tensor *x = norm.op->src[0], *scale = norm.scale, *shift = norm.shift;
    const int64_t      n = x->ne[0];
    float              epsilon;
    memcpy(&epsilon, norm.op->op_params, sizeof(epsilon));
    each_row(x, [&](int64_t i1, int64_t i2, int64_t i3) {
        const float * from = row_at(x, i1, i2, i3);
        float *       to   = row_at(norm.out, i1, i2, i3);
        float         mean = 0;
        if (norm.op->op == GGML_OP_NORM) {
            Floats sum = {};
            for (int64_t i = 0; i < n; i += WIDTH) {
                sum += load_part(from + i, n - i);
            }
            mean = sum_of(sum) / (float) n;
        }
        const float by = 1.0f / sqrtf(squares_of(from, n, mean) / (float) n + epsilon);
        for (int64_t i = 0; i < n; i += WIDTH) {
            Floats v = (load_part(from + i, n - i) - mean) * by;
            v        = scale ? v * load_part((const float *) scale->data + i, n - i) : v;
            v        = shift ? v + load_part((const float *) shift->data + i, n - i) : v;
            store_part(to + i, v, n - i);
        }
    });
}

// ADD and MUL; the rows of the second are as long as the first's, and repeated where there are fewer.
void combine(ggml_tensor * op) {
    const ggml_tensor *a = op->src[0], *b = op->src[1];
    const int64_t      n = op->ne[0];
    each_row(op, [&](int64_t i1, int64_t i2, int64_t i3) {
        const float *x = row_at(a, i1, i2, i3), *y = row_at(b, i1, i2, i3);
        float *      to = row_at(op, i1, i2, i3);
        for (int64_t i = 0; i < n; i += WIDTH) {
            const Floats v = load_part(x + i, n - i), w = load_part(y + i, n - i);
            store_part(to + i, op->op == GGML_OP_ADD ? v + w : v * w, n - i);
        }
    });
}

}  // namespace
