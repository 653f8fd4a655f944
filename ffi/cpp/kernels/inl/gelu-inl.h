// Included by arch/*.cpp (kernels-inl.h) after rows-inl.h; needs WIDTH.
//
// GELU is x times the probability that a normal variable is below x, and its approximation by tanh goes by the same name
// (https://arxiv.org/abs/1606.08415): BERT-likes were trained with the first, Gemma with the second.
//
// computes  UNARY (GELU, GELU_ERF): f(x); GLU (GEGLU, GEGLU_ERF): f(x) times another tensor, or f of one half of a row times
//           the other
//             erf   x/2 (1 + erf(x / sqrt 2))
//             tanh  x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3)
// layout    rows of floats as ggml has them, taken WIDTH numbers at a time
// rounds    to 32-bit floats; our fit of erfc is off by 2e-8 of itself. Stock takes tanh for both, from a table of 16-bit
//           floats.
// sums      none: each number is for itself
// measured  stock's table is 3.3e-4 of the 4.0e-4 that MiniLM in f32 is off by (scripts/upstream); this is off by at most 3e-7
//           (tests/ffi/cpp/kernels_test.ts). Time: not alone.
#pragma once
#include "ggml.h"
#include "kernels/kernels.h"

namespace {

// max(x, 0) - |x|/2 erfc(|x|/sqrt 2). erfc(z) = exp(-z^2) t P(t) with t = 1 / (1 + 0.3 z): P is our own fit, of least
// relative error for z up to 9.5, off by 2e-8 of itself.
inline Floats gelu_erf(Floats x) {
    const Floats size = (Floats) (bits_of(x) & 0x7fffffff);
    const Floats t    = 1.0f / (1.0f + size * (0.3f * 0.70710678f));
    Floats       p    = splat(-0.12943431735038757f);
    p                 = p * t + 0.48509761691093445f;
    p                 = p * t + -0.5112289190292358f;
    p                 = p * t + 0.5463979840278625f;
    p                 = p * t + -0.09363336116075516f;
    p                 = p * t + 0.21443721652030945f;
    p                 = p * t + 0.14848217368125916f;
    p                 = p * t + 0.17069196701049805f;
    p                 = p * t + 0.16918961703777313f;
    return larger(x, splat(0.0f)) - 0.5f * size * (t * p) * exp_of(-0.5f * x * x);
}

// x/2 (1 + tanh u) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3)
inline Floats gelu_tanh(Floats x) {
    const Floats u = x * (0.797884561f + 0.797884561f * 0.044715f * (x * x));
    return x / (1.0f + exp_of(-2.0f * u));
}

template <Floats (*Function)(Floats)>
void gelu_row(int64_t n, const float * x, const float * factor, float * y) {
    for (int64_t i = 0; i < n; i += WIDTH) {
        Floats v = Function(load_part(x + i, n - i));
        if (factor) {
            v *= load_part(factor + i, n - i);
        }
        store_part(y + i, v, n - i);
    }
}

// UNARY: of one tensor. GLU: of a tensor times another, or of one half of the rows times the other.
void gelu(saur::Gelu kind, ggml_tensor * op) {
    const ggml_tensor *x = op->src[0], *factor = op->op == GGML_OP_GLU ? op->src[1] : nullptr;
    const bool         halves  = op->op == GGML_OP_GLU && !factor;
    const bool         swapped = halves && op->op_params[1] != 0;
    const auto         row     = kind == saur::Gelu::erf ? gelu_row<gelu_erf> : gelu_row<gelu_tanh>;
    const int64_t      n       = op->ne[0];
    each_row(op, [&](int64_t i1, int64_t i2, int64_t i3) {
        const float * from = row_at(x, i1, i2, i3);
        const float * by   = factor ? row_at(factor, i1, i2, i3) : halves ? from + (swapped ? 0 : n) : nullptr;
        row(n, from + (swapped ? n : 0), by, row_at(op, i1, i2, i3));
    });
}

}  // namespace
