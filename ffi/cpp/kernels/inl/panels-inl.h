// Included by arch/*.cpp (kernels-inl.h) after gelu-inl.h; needs WIDTH, ROWS, transpose.
//
// The frame of all products (MUL_MAT): packed weights and activations, tiles, and what follows the product. The types of weights
// (integers-inl.h, bf16-inl.h, f32-inl.h, amx-inl.h) put in how to pack and how to multiply.
//
// layout    a panel: WIDTH rows of weights, which are columns of the result. A word is 32 bits, two 16-bit numbers or one
//           float; the lanes of a vector are the columns:
//             w0: column 0 .. WIDTH-1 | w1: column 0 .. WIDTH-1 | ...
//           activations: up to ROWS rows, so that a word of each row is beside the next row's:
//             x0: row 0 .. R-1 | x1: row 0 .. R-1 | ...
//           a tile: R by WIDTH sums, in registers
// sums      each number of the result in the same order whatever shares its tile
#pragma once
#include "kernels/kernels.h"

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

// What differs between types of weights. Scales are at most two a block; a type without any leaves them alone.
struct Format {
    int64_t block;  // numbers in one
    // one row of activations: the j-th word goes to words[j * stride], the b-th block's scales to scales[2 * b * stride] and
    // scales[(2 * b + 1) * stride]
    void (*pack_row)(const float * x, int64_t numbers, int32_t * words, float * scales, int64_t stride);
    // WIDTH rows of weights, or as many as there are
    void (*pack_panel)(const char * weights, size_t row_bytes, int64_t rows, int64_t numbers, int32_t * panel, float * scales);
    // by a tile's height, up to ROWS
    void (*const * multiply)(const Tile & tile, const int32_t * panel, const float * scales, int64_t blocks);
    // the same of a panel and the one behind it, whose columns come behind; null where that is no faster. Without scales.
    void (*const * multiply_pair)(const Tile & tile, const int32_t * panels, int64_t blocks);
};
typedef void (*Multiply)(const Tile &, const int32_t *, const float *, int64_t);
typedef void (*MultiplyPair)(const Tile &, const int32_t *, int64_t);

const int WORDS_AHEAD = WORDS;  // words of a panel in memory that are fetched before their time

// Fetches a block of each row of the panel that is next. The processor alone does not see that so many rows are one
// stream, and waits for memory then.
inline void fetch(const char * next_panel, int64_t block, size_t block_bytes) {
    for (size_t i = 0; i < WIDTH * block_bytes; i += 64) {
        __builtin_prefetch(next_panel + (size_t) block * WIDTH * block_bytes + i);
    }
}

// A product of two matrices: `rows` of x, and `columns` rows of weights; the strides of inputs are bytes.
struct Matrices {
    const ggml_tensor * x_of;  // the tensor, if x is all of it
    const char *        x;
    size_t              x_stride;
    int64_t             rows;
    const char *        weights;
    size_t              weights_stride;
    int64_t             columns, numbers;
    bool                in_panels;  // the weights: WIDTH rows are a panel, in their own place
    const float *       scales;     // of such panels, if they have some: WIDTH a block
    float *             out;
    size_t              out_stride;  // floats

    const saur::Product * product;
};

inline Floats same(Floats v) { return v; }

// WHOLE columns have a loop of their own: with the number known clang keeps the row in registers, which it else saves for a
// memcpy in each turn. bf16 by AMX took 17 % more time so in a library by clang; gcc does it by itself.
template <Floats (*Function)(Floats), bool WHOLE>
inline void finish_rows(const Matrices & m, const float * block, int64_t row, int64_t rows, int64_t column) {
    const saur::Product & p    = *m.product;
    const int64_t         some = WHOLE ? WIDTH : m.columns - column;
    const Floats          bias = p.bias ? load_part((const float *) p.bias->data + column, some) : Floats{};
    float *               out  = m.out + (size_t) row * m.out_stride + column;
    const char *          residual = p.residual ? (const char *) p.residual->data + (size_t) row * p.residual->nb[1] + column * sizeof(float) : nullptr;
    for (int64_t r = 0; r < rows; r++) {
        Floats v = Function(load(block + r * WIDTH) + bias);
        if (residual) {
            v += load_part((const float *) (residual + (size_t) r * p.residual->nb[1]), some);
        }
        store_part(out + (size_t) r * m.out_stride, v, some);
    }
}

template <Floats (*Function)(Floats)>
inline void finish_by(const Matrices & m, const float * block, int64_t row, int64_t rows, int64_t column) {
    const auto by = m.columns - column >= WIDTH ? finish_rows<Function, true> : finish_rows<Function, false>;
    by(m, block, row, rows, column);
}

// A block of a product, WIDTH columns by some rows side by side, goes to its place, with what follows the product.
inline void finish(const Matrices & m, const float * block, int64_t row, int64_t rows, int64_t column) {
    const auto by = !m.product->gelu                           ? finish_by<same>
                    : m.product->kind == saur::Gelu::erf ? finish_by<gelu_erf>
                                                               : finish_by<gelu_tanh>;
    by(m, block, row, rows, column);
}

void multiply_by_panels(const Matrices & m, const Format & format, saur::Scratch & scratch) {
    const int64_t tiles  = (m.rows + ROWS - 1) / ROWS, blocks = (m.numbers + format.block - 1) / format.block;
    const auto    first  = [&](int64_t tile) { return tile * m.rows / tiles; };  // tiles of nearly equal heights
    const bool    packed = scratch.holds(m.x_of, (const void *) format.pack_row);
    auto *        words  = scratch.get<int32_t>(saur::Scratch::ACTIVATIONS, m.rows * blocks * WORDS);
    auto *        scales = scratch.get<float>(saur::Scratch::SCALES, 2 * m.rows * blocks);
    for (int64_t t = 0; t < tiles && !packed; t++) {
        const int64_t from = first(t), height = first(t + 1) - from;
        for (int64_t r = 0; r < height; r++) {
            format.pack_row((const float *) (m.x + (size_t) (from + r) * m.x_stride), m.numbers,
                            words + from * blocks * WORDS + r, scales + 2 * from * blocks + r, height);
        }
    }
    scratch.hold(m.x_of, (const void *) format.pack_row);

    const int64_t panel_words = blocks * WORDS * WIDTH;
    auto *        space       = m.in_panels ? nullptr : scratch.get<int32_t>(saur::Scratch::PANEL, (format.multiply_pair ? 2 : 1) * panel_words);
    auto *        widths      = scratch.get<float>(saur::Scratch::PANEL_SCALES, 2 * blocks * WIDTH);
    for (int64_t c = 0, panels; c < m.columns; c += panels * WIDTH) {
        panels                = format.multiply_pair && m.columns - c > WIDTH ? 2 : 1;
        const char *    from  = m.weights + (size_t) c * m.weights_stride;
        const int32_t * panel = m.in_panels ? (const int32_t *) from : space;
        const float *   by    = m.in_panels ? m.scales + c * blocks : widths;
        for (int64_t p = 0; p < panels && !m.in_panels; p++) {
            const int64_t some = m.columns - c - p * WIDTH;
            format.pack_panel(from + (size_t) (p * WIDTH) * m.weights_stride, m.weights_stride, some < WIDTH ? some : WIDTH,
                              m.numbers, space + p * panel_words, widths);
        }
        for (int64_t t = 0; t < tiles; t++) {
            const int64_t row = first(t), height = first(t + 1) - row;
            float         block[2 * ROWS * WIDTH];
            const Tile    tile = { words + row * blocks * WORDS, scales + 2 * row * blocks, block, WIDTH, WIDTH };
            if (panels == 2) {
                format.multiply_pair[height](tile, panel, blocks);
                finish(m, block + ROWS * WIDTH, row, height, c + WIDTH);
            } else {
                format.multiply[height](tile, panel, by, blocks);
            }
            finish(m, block, row, height, c);
        }
    }
}

// Puts a matrix into panels in its own place, if they take as many bytes as its rows do: whole blocks of so many numbers.
// `pack(rows, column, panel)` makes one.
template <class Pack> bool put_in_place(const ggml_tensor * weights, int64_t block, saur::Scratch & scratch, Pack pack) {
    if (weights->ne[0] % block != 0 || weights->ne[1] % WIDTH != 0) {
        return false;
    }
    const size_t bytes = WIDTH * weights->nb[1];
    void *       panel = scratch.get(saur::Scratch::PANEL, bytes);
    for (int64_t c = 0; c < weights->ne[1]; c += WIDTH) {
        char * rows = (char *) weights->data + (size_t) c * weights->nb[1];
        pack(rows, c, panel);
        memcpy(rows, panel, bytes);
    }
    return true;
}

bool put_in_panels(const ggml_tensor * weights, const Format & format, float * scales, saur::Scratch & scratch) {
    return put_in_place(weights, format.block, scratch, [&](const char * rows, int64_t c, void * panel) {
        format.pack_panel(rows, weights->nb[1], WIDTH, weights->ne[0], (int32_t *) panel,
                          scales ? scales + c * weights->ne[0] / format.block : nullptr);
    });
}

// Runs with each product of matrices that a MUL_MAT is: the weights' third and fourth dimensions are repeated.
template <class Run> void each_product(const saur::Product & product, Run run) {
    const ggml_tensor *weights = product.op->src[0], *x = product.op->src[1], *out = product.out;
    for (int64_t i3 = 0; i3 < x->ne[3]; i3++) {
        for (int64_t i2 = 0; i2 < x->ne[2]; i2++) {
            const int64_t w2 = i2 * weights->ne[2] / x->ne[2], w3 = i3 * weights->ne[3] / x->ne[3];
            run(Matrices{ x->ne[2] * x->ne[3] == 1 ? x : nullptr,
                          (const char *) x->data + i2 * x->nb[2] + i3 * x->nb[3], x->nb[1], x->ne[1],
                          (const char *) weights->data + w2 * weights->nb[2] + w3 * weights->nb[3], weights->nb[1],
                          weights->ne[1], weights->ne[0], product.in_panels, product.scales,
                          (float *) ((char *) out->data + i2 * out->nb[2] + i3 * out->nb[3]), out->nb[1] / sizeof(float), &product });
        }
    }
}

}  // namespace
