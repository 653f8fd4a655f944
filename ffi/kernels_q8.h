// Products of q8_0 weights with activations of 16 bits. Stock ggml rounds activations to 8 bits, which costs more of the
// result than the weights' own rounding does. A dot product of a block of 32 is exact in 32-bit integers.
//
// The weights of WIDTH columns of the result go, as pairs of 16-bit integers, into a panel: the lanes of a vector are
// the columns. The activations go into tiles of some rows, so that a pair of each row is beside the next row's. Each
// number of the result is summed in the same order whatever shares its tile.
#include "kernels.h"

namespace {

const int BLOCK = 32;          // weights with a scale of their own
const int PAIRS = BLOCK / 2;

struct Q8Block {
    uint16_t scale;  // 16-bit float
    int8_t   weights[BLOCK];
};
static_assert(sizeof(Q8Block) == 34, "block_q8_0 of ggml-common.h");

// A row's activations to 16 bits: pairs[j * stride] is the j-th pair, scales[b * stride] the b-th block's scale.
void quantize_row(const float * x, int64_t blocks, int32_t * pairs, float * scales, int64_t stride) {
    for (int64_t b = 0; b < blocks; b++, x += BLOCK) {
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
        int32_t     packed[PAIRS];
        for (int i = 0; i < BLOCK; i += WIDTH) {
            const Ints   rounded = bits_of(load(x + i) * by + ROUND);
            const Shorts low     = __builtin_convertvector(rounded, Shorts);
            memcpy((int16_t *) packed + i, &low, sizeof(low));
        }
        for (int j = 0; j < PAIRS; j++, pairs += stride) {
            *pairs = packed[j];
        }
        scales[b * stride] = scale;
    }
}

// The weights of WIDTH rows from `row` on, or of as many as there are, into a panel and its scales.
void pack_panel(const char * weights, size_t row_bytes, int64_t rows, int64_t blocks, int32_t * panel, float * scales) {
    const Q8Block * from[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
        from[i] = (const Q8Block *) (weights + (size_t) (i < rows ? i : rows - 1) * row_bytes);
    }
    // The next panel's weights lie behind these; the processor alone does not see that so many rows are one stream.
    const char * next = weights + WIDTH * row_bytes;
    for (int64_t b = 0; b < blocks; b++, panel += PAIRS * WIDTH, scales += WIDTH, next += WIDTH * sizeof(Q8Block)) {
        for (size_t i = 0; i < WIDTH * sizeof(Q8Block); i += 64) {
            __builtin_prefetch(next + i);
        }
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

struct Tile {
    const int32_t * pairs;
    const float *   scales;
    float *         out;     // of the first row, at the panel's first column
    size_t          stride;  // floats from one row of the result to the next
    int64_t         columns;
};

// Sums are kept in several chains where few rows would leave the multipliers waiting.
template <int R> void multiply(const Tile & tile, const int32_t * panel, const float * scales, int64_t blocks) {
    constexpr int   chains = R == 1 ? 8 : R <= 3 ? 4 : R <= 5 ? 2 : 1;
    Floats          sums[R] = {};
    const int32_t * pairs   = tile.pairs;
    for (int64_t b = 0; b < blocks; b++, pairs += PAIRS * R, panel += PAIRS * WIDTH) {
        Ints dots[chains][R] = {};
        for (int j = 0; j < PAIRS; j += chains) {
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

typedef void (*Multiply)(const Tile &, const int32_t *, const float *, int64_t);
const Multiply MULTIPLY[] = { nullptr,     multiply<1>, multiply<2>, multiply<3>, multiply<4>,
                              multiply<5>, multiply<6>,
#if ROWS > 6
                              multiply<7>, multiply<8>, multiply<9>, multiply<10>, multiply<11>, multiply<12>,
#endif
};
static_assert(sizeof(MULTIPLY) / sizeof(MULTIPLY[0]) == ROWS + 1, "one for each height of a tile");

// rows of x (from x, x_stride bytes apart) times the transposed weights (columns rows of them)
void product_of_matrices(const char * x, size_t x_stride, int64_t rows, const char * weights, size_t weights_stride,
                         int64_t columns, int64_t blocks, float * out, size_t out_stride, saur::Scratch & scratch) {
    const int64_t tiles  = (rows + ROWS - 1) / ROWS;
    auto *        pairs  = scratch.get<int32_t>(saur::Scratch::ACTIVATIONS, rows * blocks * PAIRS);
    auto *        scales = scratch.get<float>(saur::Scratch::SCALES, rows * blocks);
    auto *        panel  = scratch.get<int32_t>(saur::Scratch::PANEL, blocks * PAIRS * WIDTH);
    auto *        widths = scratch.get<float>(saur::Scratch::PANEL_SCALES, blocks * WIDTH);
    const auto    first  = [&](int64_t tile) { return tile * rows / tiles; };  // tiles of nearly equal heights
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t from = first(t), height = first(t + 1) - from;
        for (int64_t r = 0; r < height; r++) {
            quantize_row((const float *) (x + (size_t) (from + r) * x_stride), blocks,
                         pairs + from * blocks * PAIRS + r, scales + from * blocks + r, height);
        }
    }
    for (int64_t c = 0; c < columns; c += WIDTH) {
        const int64_t some = columns - c < WIDTH ? columns - c : WIDTH;
        pack_panel(weights + (size_t) c * weights_stride, weights_stride, some, blocks, panel, widths);
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t from = first(t);
            const Tile    tile = { pairs + from * blocks * PAIRS, scales + from * blocks,
                                   out + (size_t) from * out_stride + c, out_stride, some };
            MULTIPLY[first(t + 1) - from](tile, panel, widths, blocks);
        }
    }
}

void product(ggml_tensor * op, saur::Scratch & scratch) {
    const ggml_tensor *weights = op->src[0], *x = op->src[1];
    for (int64_t i3 = 0; i3 < x->ne[3]; i3++) {
        for (int64_t i2 = 0; i2 < x->ne[2]; i2++) {
            const int64_t w2 = i2 * weights->ne[2] / x->ne[2], w3 = i3 * weights->ne[3] / x->ne[3];
            product_of_matrices((const char *) x->data + i2 * x->nb[2] + i3 * x->nb[3], x->nb[1], x->ne[1],
                                (const char *) weights->data + w2 * weights->nb[2] + w3 * weights->nb[3],
                                weights->nb[1], weights->ne[1], weights->ne[0] / BLOCK,
                                (float *) ((char *) op->data + i2 * op->nb[2] + i3 * op->nb[3]),
                                op->nb[1] / sizeof(float), scratch);
        }
    }
}

}  // namespace
