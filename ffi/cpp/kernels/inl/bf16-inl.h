// Included by arch/avx512.cpp (kernels-inl.h) after panels-inl.h; needs WIDTH 16, ROWS 12, transpose, and AVX512-BF16 when it runs.
//
// computes  MUL_MAT with bf16 weights: W x, plus bias, GELU, residual where the graph goes on so
// layout    panels of pairs of bf16 as they are in the file (panels-inl.h), so a panel may take the place of its rows
// rounds    activations to bf16, to the nearest and to the even one of two, as stock ggml does
// sums      32-bit floats, even and odd words apart, from 0 on, then both: for every height of a tile
// measured  only with what was done since: 226 -> 298 texts a second of processor time with panels in place and joined
//           operators, MiniLM, by AMX (bench/experiments.md). A single row is left to ggml unless the weights are in panels
//           (graph.cpp).
#pragma once

#define WITH_BF16 __attribute__((target("avx512bf16")))

namespace {

// to the nearest bf16, to the even one of two; NaN stays NaN
inline Shorts rounded(Floats v) {
    const Words bits  = (Words) v;
    const Words near  = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    const Words quiet = bits >> 16 | 0x40;
    return __builtin_convertvector(v == v ? near : quiet, Shorts);
}

void pack_row_bf16(const float * x, int64_t numbers, int32_t * pairs, float *, int64_t stride) {
    for (int64_t b = 0; b < numbers / BLOCK; b++, x += BLOCK) {
        int32_t packed[WORDS];
        for (int i = 0; i < BLOCK; i += WIDTH) {
            const Shorts low = rounded(load(x + i));
            memcpy((int16_t *) packed + i, &low, sizeof(low));
        }
        for (int j = 0; j < WORDS; j++, pairs += stride) {
            *pairs = packed[j];
        }
    }
}

void pack_panel_bf16(const char * weights, size_t row_bytes, int64_t rows, int64_t numbers, int32_t * panel, float *) {
    for (int64_t b = 0; b < numbers / BLOCK; b++) {
        fetch(weights + WIDTH * row_bytes, b, BLOCK * sizeof(int16_t));
        for (int half = 0; half < 2; half++, panel += WORDS / 2 * WIDTH) {
            const void * from[WIDTH];
            for (int i = 0; i < WIDTH; i++) {
                from[i] = weights + (size_t) (i < rows ? i : rows - 1) * row_bytes + (size_t) (2 * b + half) * BLOCK;
            }
            transpose(from, panel);
        }
    }
}

// Even and odd pairs are summed apart, for every height: the multipliers would wait for one another.
template <int R> WITH_BF16 void multiply_bf16(const Tile & tile, const int32_t * panel, const float *, int64_t blocks) {
    __m512 sums[2][R] = {};
    for (int64_t j = 0; j < blocks * WORDS; j += 2) {
        for (int c = 0; c < 2; c++) {
            const __m512bh w = (__m512bh) _mm512_loadu_si512(panel + (j + c) * WIDTH);
            for (int r = 0; r < R; r++) {
                sums[c][r] = _mm512_dpbf16_ps(sums[c][r], w, (__m512bh) _mm512_set1_epi32(tile.words[(j + c) * R + r]));
            }
        }
    }
    for (int r = 0; r < R; r++) {
        store_part(tile.out + (size_t) r * tile.stride, sums[0][r] + sums[1][r], tile.columns);
    }
}

const Multiply MULTIPLY_BF16[ROWS + 1] = {
    nullptr,           multiply_bf16<1>, multiply_bf16<2>, multiply_bf16<3>,  multiply_bf16<4>,  multiply_bf16<5>,  multiply_bf16<6>,
    multiply_bf16<7>, multiply_bf16<8>, multiply_bf16<9>, multiply_bf16<10>, multiply_bf16<11>, multiply_bf16<12>,
};

const Format FORMAT_BF16 = { BLOCK, pack_row_bf16, pack_panel_bf16, MULTIPLY_BF16 };

void product_bf16(const saur::Product & product, saur::Scratch & scratch) {
    each_product(product, [&](const Matrices & m) { multiply_by_panels(m, FORMAT_BF16, scratch); });
}

bool put_in_panels_bf16(const ggml_tensor * weights, float *, saur::Scratch & scratch) {
    return put_in_panels(weights, FORMAT_BF16, nullptr, scratch);
}

}  // namespace
