// Products of weights and activations, by panels and tiles.
//
// The weights of WIDTH columns of the result go, as pairs of 16-bit numbers, into a panel: the lanes of a vector are the
// columns. The activations go into tiles of some rows, so that a pair of each row is beside the next row's. Each number
// of the result is summed in the same order whatever shares its tile.
#pragma once
#include "kernels.h"

namespace {

const int BLOCK = 32;  // numbers that are packed at once
const int PAIRS = BLOCK / 2;

struct Tile {
    const int32_t * pairs;
    const float *   scales;
    float *         out;     // of the first row, at the panel's first column
    size_t          stride;  // floats from one row of the result to the next
    int64_t         columns;
};

// What differs between types of weights. Scales are one a block; a type without any leaves them alone.
struct Format {
    size_t block_bytes;
    // one row of activations: the j-th pair goes to pairs[j * stride], the b-th scale to scales[b * stride]
    void (*pack_row)(const float * x, int64_t blocks, int32_t * pairs, float * scales, int64_t stride);
    // WIDTH rows of weights, or as many as there are
    void (*pack_panel)(const char * weights, size_t row_bytes, int64_t rows, int64_t blocks, int32_t * panel, float * scales);
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

// rows of x (from x, x_stride bytes apart) times the transposed weights (columns rows of them)
void product_of_matrices(const char * x, size_t x_stride, int64_t rows, const char * weights, size_t weights_stride,
                         int64_t columns, int64_t blocks, float * out, size_t out_stride, const Format & format,
                         saur::Scratch & scratch) {
    const int64_t tiles  = (rows + ROWS - 1) / ROWS;
    auto *        pairs  = scratch.get<int32_t>(saur::Scratch::ACTIVATIONS, rows * blocks * PAIRS);
    auto *        scales = scratch.get<float>(saur::Scratch::SCALES, rows * blocks);
    auto *        panel  = scratch.get<int32_t>(saur::Scratch::PANEL, blocks * PAIRS * WIDTH);
    auto *        widths = scratch.get<float>(saur::Scratch::PANEL_SCALES, blocks * WIDTH);
    const auto    first  = [&](int64_t tile) { return tile * rows / tiles; };  // tiles of nearly equal heights
    for (int64_t t = 0; t < tiles; t++) {
        const int64_t from = first(t), height = first(t + 1) - from;
        for (int64_t r = 0; r < height; r++) {
            format.pack_row((const float *) (x + (size_t) (from + r) * x_stride), blocks,
                            pairs + from * blocks * PAIRS + r, scales + from * blocks + r, height);
        }
    }
    for (int64_t c = 0; c < columns; c += WIDTH) {
        const int64_t some = columns - c < WIDTH ? columns - c : WIDTH;
        format.pack_panel(weights + (size_t) c * weights_stride, weights_stride, some, blocks, panel, widths);
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t from = first(t);
            const Tile    tile = { pairs + from * blocks * PAIRS, scales + from * blocks,
                                   out + (size_t) from * out_stride + c, out_stride, some };
            format.multiply[first(t + 1) - from](tile, panel, widths, blocks);
        }
    }
}

void product_by_panels(ggml_tensor * op, const Format & format, saur::Scratch & scratch) {
    const ggml_tensor *weights = op->src[0], *x = op->src[1];
    for (int64_t i3 = 0; i3 < x->ne[3]; i3++) {
        for (int64_t i2 = 0; i2 < x->ne[2]; i2++) {
            const int64_t w2 = i2 * weights->ne[2] / x->ne[2], w3 = i3 * weights->ne[3] / x->ne[3];
            product_of_matrices((const char *) x->data + i2 * x->nb[2] + i3 * x->nb[3], x->nb[1], x->ne[1],
                                (const char *) weights->data + w2 * weights->nb[2] + w3 * weights->nb[3],
                                weights->nb[1], weights->ne[1], weights->ne[0] / BLOCK,
                                (float *) ((char *) op->data + i2 * op->nb[2] + i3 * op->nb[3]),
                                op->nb[1] / sizeof(float), format, scratch);
        }
    }
}

}  // namespace
