// Included by arch/*.cpp (kernels-inl.h) after panels-inl.h; needs WIDTH, ROWS, dot_pairs, widened, sum_of_each,
// pack_block.
//
// computes  MUL_MAT with q8_0 weights: W x, plus bias, GELU, residual where the graph goes on so
// layout    panels of pairs of 16-bit integers (panels-inl.h), 16 words to a block of 32 numbers, with a scale for each column:
//             one block of a panel  16 x WIDTH words | its scales  WIDTH floats
//             one block of a tile   16 x R words     | its scales  R floats
// rounds    activations to 16 bits, by the largest of each block of 32; stock rounds them to 8 bits, which costs more of the
//           result than the weights' own rounding does
// sums      a block exactly, in 32-bit integers; the blocks from 0 on as 32-bit floats, also those of one row alone
// measured  packs of 256 tokens 1.8 x stock (commit 624e109); a query of 5 tokens took 1.1 x stock's time, .75 x since the
//           next panel is fetched ahead (commit 20a9f3a); one row 1.0 (AVX2) to 1.3 x stock's time without a panel, 1.9 x with one
//           (commit de29385). Least cosine of MiniLM q8_0 over 152 texts .9993, of stock's .9978.
#pragma once
namespace {

struct Q8Block {
    uint16_t scale;  // 16-bit float
    int8_t   weights[BLOCK];
};
static_assert(sizeof(Q8Block) == 34, "block_q8_0 of ggml-common.h");

// A row's activations to 16 bits: pairs[j * stride] is the j-th pair, scales[b * stride] the b-th block's scale.
void quantize_row(const float * x, int64_t numbers, int32_t * pairs, float * scales, int64_t stride) {
    for (int64_t b = 0; b < numbers / BLOCK; b++, x += BLOCK) {
        // By their bits, infinity is above every number and NaN above infinity: the scale passes both on.
        Ints peak = {};
        for (int i = 0; i < BLOCK; i += WIDTH) {
            peak = larger(peak, bits_of(load(x + i)) & 0x7fffffff);
        }
        int32_t most = 0;
        for (int i = 0; i < WIDTH; i++) {
            most = peak[i] > most ? peak[i] : most;
        }
        float size;
        memcpy(&size, &most, sizeof(size));
        const float scale = size / 32767.0f;
        const float by    = scale > 0 ? 1.0f / scale : 0.0f;
        int32_t     packed[WORDS];
        for (int i = 0; i < BLOCK; i += WIDTH) {
            const Ints   rounded = bits_of(load(x + i) * by + ROUND);
            const Shorts low     = __builtin_convertvector(rounded, Shorts);
            memcpy((int16_t *) packed + i, &low, sizeof(low));
        }
        for (int j = 0; j < WORDS; j++, pairs += stride) {
            *pairs = packed[j];
        }
        scales[b * stride] = scale;
    }
}

// The weights of WIDTH rows from `row` on, or of as many as there are, into a panel and its scales.
void pack_panel(const char * weights, size_t row_bytes, int64_t rows, int64_t numbers, int32_t * panel, float * scales) {
    const Q8Block * from[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
        from[i] = (const Q8Block *) (weights + (size_t) (i < rows ? i : rows - 1) * row_bytes);
    }
    for (int64_t b = 0; b < numbers / BLOCK; b++, panel += WORDS * WIDTH, scales += WIDTH) {
        fetch(weights + WIDTH * row_bytes, b, sizeof(Q8Block));
        const int8_t * bytes[WIDTH];
        uint16_t       halves[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            bytes[i]  = from[i][b].weights;
            halves[i] = from[i][b].scale;
        }
        pack_block(bytes, panel);
        store(scales, load_halves(halves));
    }
}

// Sums are kept in several chains where few rows would leave the multipliers waiting.
template <int R> void multiply(const Tile & tile, const int32_t * panel, const float * scales, int64_t blocks) {
    constexpr int   chains = R == 1 ? 8 : R <= 3 ? 4 : R <= 5 ? 2 : 1;
    Floats          sums[R] = {};
    const int32_t * pairs   = tile.words;
    for (int64_t b = 0; b < blocks; b++, pairs += WORDS * R, panel += WORDS * WIDTH) {
        Ints dots[chains][R] = {};
        for (int j = 0; j < WORDS; j += chains) {
            for (int c = 0; c < chains; c++) {
                const Ints w = load(panel + (j + c) * WIDTH);
                for (int r = 0; r < R; r++) {
                    dots[c][r] = dot_pairs(dots[c][r], w, splat(pairs[(j + c) * R + r]));
                }
            }
        }
        const Floats scale = load(scales + b * WIDTH);
        for (int r = 0; r < R; r++) {
            Ints dot = dots[0][r];
            for (int c = 1; c < chains; c++) {
                dot += dots[c][r];
            }
            sums[r] += __builtin_convertvector(dot, Floats) * (scale * tile.scales[b * R + r]);
        }
    }
    for (int r = 0; r < R; r++) {
        store_part(tile.out + (size_t) r * tile.stride, sums[r], tile.columns);
    }
}

const Multiply MULTIPLY[] = { nullptr,     multiply<1>, multiply<2>, multiply<3>, multiply<4>,
                              multiply<5>, multiply<6>,
#if ROWS > 6
                              multiply<7>, multiply<8>, multiply<9>, multiply<10>, multiply<11>, multiply<12>,
#endif
};
static_assert(sizeof(MULTIPLY) / sizeof(MULTIPLY[0]) == ROWS + 1, "one for each height of a tile");

// One row does not pay for panels: each number of the result is a dot product of its own, summed as those of many rows are.
void multiply_row(const Matrices & m, saur::Scratch & scratch) {
    const int64_t blocks = m.numbers / BLOCK;
    auto *        pairs  = scratch.get<int32_t>(saur::Scratch::ACTIVATIONS, blocks * WORDS);
    auto *        scales = scratch.get<float>(saur::Scratch::SCALES, blocks);
    quantize_row((const float *) m.x, m.numbers, pairs, scales, 1);
    for (int64_t c = 0; c < m.columns; c += WIDTH) {
        const int64_t   some = m.columns - c < WIDTH ? m.columns - c : WIDTH;
        const char *    rows = m.weights + (size_t) c * m.weights_stride;
        const Q8Block * from[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            from[i] = (const Q8Block *) (rows + (size_t) (i < some ? i : some - 1) * m.weights_stride);
        }
        Floats sum = {};
        for (int64_t b = 0; b < blocks; b++) {
            fetch(rows + WIDTH * m.weights_stride, b, sizeof(Q8Block));
            Ints     dots[WIDTH] = {};
            uint16_t halves[WIDTH];
            for (int i = 0; i < WIDTH; i++) {
                for (int j = 0; j < WORDS; j += WIDTH) {
                    dots[i] = dot_pairs(dots[i], widened(from[i][b].weights + 2 * j), load(pairs + b * WORDS + j));
                }
                halves[i] = from[i][b].scale;
            }
            sum += __builtin_convertvector(sum_of_each(dots), Floats) * (load_halves(halves) * scales[b]);
        }
        float numbers[WIDTH];
        store(numbers, sum);
        finish(m, numbers, 0, 1, c);
    }
}

void product(const saur::Product & product, saur::Scratch & scratch) {
    const Format format = { BLOCK, quantize_row, pack_panel, MULTIPLY };
    each_product(product, [&](const Matrices & m) {
        if (m.rows == 1) {
            multiply_row(m, scratch);
        } else {
            multiply_by_panels(m, format, scratch);
        }
    });
}

}  // namespace
