// Included by arch/*.cpp (kernels-inl.h) after panels-inl.h; needs WIDTH, ROWS, transpose.
//
// computes  MUL_MAT with f32 weights, and of keys and values in f32: W x, plus bias, GELU, residual where the graph goes on so
// layout    panels of words that are one float (panels-inl.h), so a panel may take the place of its rows; the last block of a
//           row is filled up with zeros
// rounds    nothing but each operation, to 32-bit floats
// sums      even and odd numbers apart, from 0 on, then both: for every height of a tile. What attention sums by the weights of a
//           softmax: from 0 on, so that what a mask hides between the tokens of a text, whose weight is 0, changes nothing
// measured  with panels fetched ahead 5 rows 31 -> 45 G products a second, 256 rows 63.6 -> 65.9 (768 x 768, Xeon with AVX-512); on
//           AVX2 5 rows 24 -> 34. Panels in pairs (AVX2, MiniLM's layer, 256 rows, Xeon with AMX) 33 -> 38 of 47, 7 rows 26 -> 28.
//           Before: 98 to 104 GFLOP/s of 113, stock 50 (MiniLM's shapes, 64 to 512 rows, best of three by thread time; commit c409fde).
#pragma once
namespace {

const int64_t NUMBERS = WORDS;  // in a block; the last one of a row may have fewer, and gets zeros

void pack_row_f32(const float * x, int64_t numbers, int32_t * words, float *, int64_t stride) {
    for (int64_t b = 0; b < numbers; b += NUMBERS, x += NUMBERS) {
        int32_t packed[WORDS];
        for (int i = 0; i < WORDS; i += WIDTH) {
            store(packed + i, bits_of(numbers - b > i ? load_part(x + i, numbers - b - i) : Floats{}));
        }
        for (int j = 0; j < WORDS; j++, words += stride) {
            *words = packed[j];
        }
    }
}

void pack_panel_f32(const char * weights, size_t row_bytes, int64_t rows, int64_t numbers, int32_t * panel, float *) {
    float rest[WIDTH][WORDS];
    for (int64_t b = 0; b < numbers; b += NUMBERS) {
        fetch(weights + WIDTH * row_bytes, b / NUMBERS, NUMBERS * sizeof(float));
        const float * rows_at[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            rows_at[i] = (const float *) (weights + (size_t) (i < rows ? i : rows - 1) * row_bytes) + b;
            if (numbers - b < NUMBERS) {
                memset(rest[i], 0, sizeof(rest[i]));
                memcpy(rest[i], rows_at[i], (size_t) (numbers - b) * sizeof(float));
                rows_at[i] = rest[i];
            }
        }
        for (int half = 0; half < 2; half++, panel += WORDS / 2 * WIDTH) {
            const void * from[WIDTH];
            for (int i = 0; i < WIDTH; i++) {
                from[i] = rows_at[i] + half * WORDS / 2;
            }
            transpose(from, panel);
        }
    }
}

// With two chains even and odd numbers are summed apart, for every height: the multipliers would wait for one another. With one
// a sum is the same wherever its numbers are and whatever zeros are between them.
template <int R, int CHAINS> void multiply_f32(const Tile & tile, const int32_t * panel, const float *, int64_t blocks) {
    const float * x = (const float *) tile.words;
    Floats        sums[CHAINS][R] = {};
    for (int64_t j = 0; j < blocks * WORDS; j += CHAINS) {
        for (int c = 0; c < CHAINS; c++) {
            const Floats w = (Floats) load(panel + (j + c) * WIDTH);
            if (c * WIDTH % 16 == 0 && (WIDTH == 16 || R < ROWS)) {  // a line; in many full tiles of AVX2 it costs what it saves in the first
                __builtin_prefetch(panel + (j + c + WORDS_AHEAD) * WIDTH);
            }
            for (int r = 0; r < R; r++) {
                sums[c][r] += w * splat(x[(j + c) * R + r]);
            }
        }
    }
    for (int r = 0; r < R; r++) {
        store_part(tile.out + (size_t) r * tile.stride, CHAINS == 1 ? sums[0][r] : sums[0][r] + sums[CHAINS - 1][r], tile.columns);
    }
}

#if WIDTH == 8  // with 512 bits it gains nothing, and a query loses a fifth
// Two panels share what is read of the activations, 8 numbers for 12 multiplications in place of 14. Their sums take the registers
// that a second chain has above, so a high tile sums its chains one after another, a stretch of numbers at a time, which
// stays in the first cache meanwhile.
const int64_t STRETCH = 8 * WORDS;

template <int R, int CHAINS> void multiply_pair_f32(const Tile & tile, const int32_t * panel, int64_t blocks) {
    constexpr int   AT_ONCE = 2 * R <= ROWS ? CHAINS : 1;
    const int64_t   numbers = blocks * WORDS;
    const int32_t * next    = panel + numbers * WIDTH;
    float           sums[CHAINS][2][R][WIDTH] = {};
    for (int64_t from = 0; from < numbers; from += STRETCH) {
        const int64_t to = from + STRETCH < numbers ? from + STRETCH : numbers;
        for (int first = 0; first < CHAINS; first += AT_ONCE) {
            Floats of[AT_ONCE][2][R];
            for (int c = 0; c < AT_ONCE; c++) {
                for (int r = 0; r < R; r++) {
                    of[c][0][r] = load(sums[first + c][0][r]);
                    of[c][1][r] = load(sums[first + c][1][r]);
                }
            }
            const float * x = (const float *) tile.words + (from + first) * R;
            for (int64_t j = from + first; j < to; j += CHAINS, x += CHAINS * R) {
                for (int c = 0; c < AT_ONCE; c++) {
                    const Floats w[] = { (Floats) load(panel + (j + c) * WIDTH), (Floats) load(next + (j + c) * WIDTH) };
                    if (c == 0 && R < ROWS) {
                        __builtin_prefetch(panel + (j + WORDS_AHEAD) * WIDTH);
                        __builtin_prefetch(next + (j + WORDS_AHEAD) * WIDTH);
                    }
                    for (int r = 0; r < R; r++) {
                        const Floats one = splat(x[c * R + r]);
                        of[c][0][r] += w[0] * one;
                        of[c][1][r] += w[1] * one;
                    }
                }
            }
            for (int c = 0; c < AT_ONCE; c++) {
                for (int r = 0; r < R; r++) {
                    store(sums[first + c][0][r], of[c][0][r]);
                    store(sums[first + c][1][r], of[c][1][r]);
                }
            }
        }
    }
    for (int p = 0; p < 2; p++) {
        for (int r = 0; r < R; r++) {
            Floats sum = load(sums[0][p][r]);
            if (CHAINS == 2) {
                sum += load(sums[CHAINS - 1][p][r]);
            }
            store(tile.out + (size_t) (p * ROWS + r) * tile.stride, sum);
        }
    }
}

template <int CHAINS>
const MultiplyPair MULTIPLY_PAIR_F32[ROWS + 1] = {
    nullptr,
    multiply_pair_f32<1, CHAINS>, multiply_pair_f32<2, CHAINS>, multiply_pair_f32<3, CHAINS>, multiply_pair_f32<4, CHAINS>,
    multiply_pair_f32<5, CHAINS>, multiply_pair_f32<6, CHAINS>,
};
#else
template <int CHAINS> const MultiplyPair * const MULTIPLY_PAIR_F32 = nullptr;
#endif

template <int CHAINS> struct F32 {
    static const Multiply MULTIPLY[ROWS + 1];
    static const Format   FORMAT;
};
template <int CHAINS>
const Multiply F32<CHAINS>::MULTIPLY[ROWS + 1] = {
    nullptr,
    multiply_f32<1, CHAINS>, multiply_f32<2, CHAINS>, multiply_f32<3, CHAINS>, multiply_f32<4, CHAINS>,
    multiply_f32<5, CHAINS>, multiply_f32<6, CHAINS>,
#if ROWS > 6
    multiply_f32<7, CHAINS>, multiply_f32<8, CHAINS>, multiply_f32<9, CHAINS>, multiply_f32<10, CHAINS>,
    multiply_f32<11, CHAINS>, multiply_f32<12, CHAINS>,
#endif
};
template <int CHAINS>
const Format F32<CHAINS>::FORMAT = { NUMBERS, pack_row_f32, pack_panel_f32, MULTIPLY,
                                                                MULTIPLY_PAIR_F32<CHAINS> };

void product_f32(const saur::Product & product, saur::Scratch & scratch) {
    const Format & format = product.op->src[1]->op == GGML_OP_SOFT_MAX ? F32<1>::FORMAT : F32<2>::FORMAT;
    each_product(product, [&](const Matrices & m) { multiply_by_panels(m, format, scratch); });
}

bool put_in_panels_f32(const ggml_tensor * weights, float *, saur::Scratch & scratch) {
    return put_in_panels(weights, F32<2>::FORMAT, nullptr, scratch);
}

}  // namespace
