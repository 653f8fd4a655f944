// Products of weights and activations, by panels and tiles.
//
// The weights of WIDTH columns of the result go, as words of 32 bits, into a panel: the lanes of a vector are the columns. A
// word is a pair of 16-bit numbers, or one of 32 bits. The activations go into tiles of some rows, so that a word of each
// row is beside the next row's. Each number of the result is summed in the same order whatever shares its tile.
#pragma once
#include "kernels.h"

namespace {

const int WORDS = 16;  // that are packed at once, as a block
const int BLOCK = 2 * WORDS;  // numbers of 16 bits in it

struct Tile {
    const int32_t * words;
    const float *   scales;
    float *         out;     // of the first row, at the panel's first column
    size_t          stride;  // floats from one row of the result to the next
    int64_t         columns;
};

// What differs between types of weights. Scales are one a block; a type without any leaves them alone.
struct Format {
    int64_t block;  // numbers in one
    // one row of activations: the j-th word goes to words[j * stride], the b-th scale to scales[b * stride]
    void (*pack_row)(const float * x, int64_t numbers, int32_t * words, float * scales, int64_t stride);
    // WIDTH rows of weights, or as many as there are
    void (*pack_panel)(const char * weights, size_t row_bytes, int64_t rows, int64_t numbers, int32_t * panel, float * scales);
    // by a tile's height, up to ROWS
    void (*const * multiply)(const Tile & tile, const int32_t * panel, const float * scales, int64_t blocks);
};
typedef void (*Multiply)(const Tile &, const int32_t *, const float *, int64_t);

// Fetches a block of each row of the panel that is next. The processor alone does not see that so many rows are one
// stream, and waits for memory then.
inline void fetch(const char * next_panel, int64_t block, size_t block_bytes) {
    for (size_t i = 0; i < WIDTH * block_bytes; i += 64) {
        __builtin_prefetch(next_panel + (size_t) block * WIDTH * block_bytes + i);
    }
}

// A product of two matrices: `rows` of x, and `columns` rows of weights; the strides of inputs are bytes.
struct Matrices {
    const char * x;
    size_t       x_stride;
    int64_t      rows;
    const char * weights;
    size_t       weights_stride;
    int64_t      columns, numbers;
    float *      out;
    size_t       out_stride;  // floats
};

void multiply_by_panels(const Matrices & m, const Format & format, saur::Scratch & scratch) {
    const int64_t tiles  = (m.rows + ROWS - 1) / ROWS, blocks = (m.numbers + format.block - 1) / format.block;
    auto *        words  = scratch.get<int32_t>(saur::Scratch::ACTIVATIONS, m.rows * blocks * WORDS);
    auto *        scales = scratch.get<float>(saur::Scratch::SCALES, m.rows * blocks);
    auto *        panel  = scratch.get<int32_t>(saur::Scratch::PANEL, blocks * WORDS * WIDTH);
    auto *        widths = scratch.get<float>(saur::Scratch::PANEL_SCALES, blocks * WIDTH);
    const auto    first  = [&](int64_t tile) { return tile * m.rows / tiles; };  // tiles of nearly equal heights
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t from = first(t), height = first(t + 1) - from;
        for (int64_t r = 0; r < height; r++) {
            format.pack_row((const float *) (m.x + (size_t) (from + r) * m.x_stride), m.numbers,
                            words + from * blocks * WORDS + r, scales + from * blocks + r, height);
        }
    }
    for (int64_t c = 0; c < m.columns; c += WIDTH) {
        const int64_t some = m.columns - c < WIDTH ? m.columns - c : WIDTH;
        format.pack_panel(m.weights + (size_t) c * m.weights_stride, m.weights_stride, some, m.numbers, panel, widths);
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t from = first(t);
            const Tile    tile = { words + from * blocks * WORDS, scales + from * blocks,
                                   m.out + (size_t) from * m.out_stride + c, m.out_stride, some };
            format.multiply[first(t + 1) - from](tile, panel, widths, blocks);
        }
    }
}

// Runs with each product of matrices that a MUL_MAT is: the weights' third and fourth dimensions are repeated.
template <class Run> void each_product(ggml_tensor * op, Run run) {
    const ggml_tensor *weights = op->src[0], *x = op->src[1];
    for (int64_t i3 = 0; i3 < x->ne[3]; i3++) {
        for (int64_t i2 = 0; i2 < x->ne[2]; i2++) {
            const int64_t w2 = i2 * weights->ne[2] / x->ne[2], w3 = i3 * weights->ne[3] / x->ne[3];
            run(Matrices{ (const char *) x->data + i2 * x->nb[2] + i3 * x->nb[3], x->nb[1], x->ne[1],
                          (const char *) weights->data + w2 * weights->nb[2] + w3 * weights->nb[3], weights->nb[1],
                          weights->ne[1], weights->ne[0],
                          (float *) ((char *) op->data + i2 * op->nb[2] + i3 * op->nb[3]), op->nb[1] / sizeof(float) });
        }
    }
}

}  // namespace
