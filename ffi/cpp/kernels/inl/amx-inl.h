// Included by arch/avx512.cpp (kernels-inl.h) after bf16-inl.h, on Linux; needs WIDTH 16 and, when it runs, the registers of the
// processor's matrix unit (AMX).
//
// computes  MUL_MAT with bf16 weights, as bf16-inl.h
// layout    a matrix tile has 16 rows of 64 bytes:
//             4, 5   activations: 16 rows of 32 numbers
//             6, 7   weights: a block of a panel (panels-inl.h), 16 words of 16 columns
//             0..3   sums: 16 rows by 16 columns, of up to 2 x 2 tiles at once
// rounds    activations to bf16, as bf16-inl.h
// sums      32-bit floats, pair by pair from 0 on, in the same order whatever is in the rows beside
// measured  MiniLM bf16, Xeon (Emerald Rapids), texts a second of processor time: 226, and 298 with panels in place and joined
//           operators. Then 1.07 to 1.12 times as many with activations loaded as a stream and not fetched ahead, the weights to
//           come fetched, and the block before finished in between (bench/experiments.md)
#pragma once

#define WITH_AMX __attribute__((target("amx-tile,amx-bf16,avx512bf16")))

namespace {

const int64_t TALL = 16;  // rows of a matrix tile

// What was stored is in memory for the instructions on tiles, of which gcc 12 does not know what they read.
inline void settle() { __asm__ volatile("" ::: "memory"); }

struct alignas(64) TileConfig {
    uint8_t  palette = 0, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t  rows[16]      = {};
};

// The eight tiles are whole ones while it exists. ggml configures a thread's once, so they are what they were afterwards.
class WholeTiles {
  public:
    WITH_AMX WholeTiles() {
        _tile_storeconfig(&before);
        settle();
        TileConfig config;
        config.palette = 1;
        for (int i = 0; i < 8; i++) {
            config.row_bytes[i] = 64;
            config.rows[i]      = TALL;
        }
        load(config);
    }
    WITH_AMX ~WholeTiles() {
        if (before.palette) {
            load(before);
        } else {
            _tile_release();
        }
    }
    WholeTiles(const WholeTiles &) = delete;

  private:
    WITH_AMX static void load(const TileConfig & config) {
        __asm__ volatile("" : : "r"(&config) : "memory");
        _tile_loadconfig(&config);
    }
    TileConfig before;
};

const int64_t TILE_BYTES = TALL * 64;

// What the other units do while the matrix unit multiplies, a little in each step of it. Lines of the weights that come next are
// fetched into the second cache. And the block before becomes numbers of the result: `finish(m, at, count)` of a Block does that
// with `count` rows of its tiles from the `at`-th on, all of one tile.
template <class Block> class Meanwhile {
  public:
    // `steps`: of one block; `bytes`: of its weights
    Meanwhile(const Matrices & m, int64_t steps, int64_t bytes) : m(m), steps(steps), bytes(bytes) {}

    void fetch_from(const char * weights) { line = weights, last = weights ? weights + bytes : weights; }
    // The block has been multiplied, the one before it is done.
    void take(const Block & block) {
        rest();
        before = block, at = 0, rows = block.rows(), some = (rows + steps - 1) / steps;
    }
    void step() {
        for (int i = 0; i < LINES && line < last; i++, line += 64) {
            __builtin_prefetch(line, 0, 2);
        }
        if (at < rows) {
            finish(some);
        }
    }
    void rest() {
        while (at < rows) {
            finish(TALL);
        }
    }

  private:
    static const int LINES = 4;  // a step: with 256 rows, all weights of the next block before its turn
    // Out of the loop, which would hold it once for each kind of product.
    __attribute__((noinline)) void finish(int64_t count) {
        const int64_t in_tile = TALL - at % TALL, n = count < in_tile ? count : in_tile;
        before.finish(m, at, n);
        at += n;
    }

    const Matrices & m;
    const int64_t    steps, bytes;
    const char *     line = nullptr, * last = nullptr;
    Block            before = {};
    int64_t          at = 0, rows = 0, some = 0;
};

// Some rows of a tile go to their place, as many as there are.
inline void finish_tile_rows(const Matrices & m, const float * numbers, int64_t row, int64_t rows, int64_t column) {
    const int64_t there = m.rows - row < rows ? m.rows - row : rows;
    if (there > 0 && column < m.columns) {
        finish(m, numbers, row, there, column);
    }
}

// The weights of a product, two panels at a time: in their own place, or made in each pass. A tensor of a model begins at a
// multiple of 32 bytes, and a row of a tile that lies across two cache lines is loaded twice: such panels are copied into `space`
// first, unless they are used once or twice.
class PanelPairs {
  public:
    PanelPairs(const Matrices & m, int64_t tiles, int64_t panel_bytes, saur::Scratch & scratch)
        : m(m), panel_bytes(panel_bytes), copied(m.in_panels && (uintptr_t) m.weights % 64 != 0 && tiles > 2),
          space(copied || !m.in_panels ? scratch.get<char>(saur::Scratch::PANEL, 2 * panel_bytes) : nullptr) {}

    // Two panels of columns from `column` on, or the last one. `pack(rows, count, p)` makes the p-th, if they are in none, at place(p).
    template <class Pack> const char * at(int64_t column, int wide, Pack pack) const {
        const char * from = m.weights + (size_t) column * m.weights_stride;
        if (m.in_panels && !copied) {
            return from;
        }
        for (int p = 0; p < wide; p++, from += WIDTH * m.weights_stride) {
            const int64_t rest = m.columns - column - p * WIDTH;
            if (copied) {
                memcpy(place(p), from, (size_t) panel_bytes);
            } else {
                pack(from, rest < WIDTH ? rest : WIDTH, p);
            }
        }
        return space;
    }
    char * place(int p) const { return space + p * panel_bytes; }
    // What is to be fetched; NULL: what makes panels fetches by itself.
    const char * next(int64_t column) const {
        return m.in_panels ? m.weights + (size_t) (column + 2 * WIDTH) * m.weights_stride : nullptr;
    }

  private:
    const Matrices & m;
    const int64_t    panel_bytes;
    const bool       copied;
    char * const     space;
};

// Sums of up to 2 x 2 tiles.
struct FloatTiles {
    float (*sums)[TALL * WIDTH];
    int64_t row, column;
    int     high, wide;  // in tiles

    int64_t rows() const { return high * wide * TALL; }
    void    finish(const Matrices & m, int64_t at, int64_t count) const {
        const int64_t tile = at / TALL, r = at % TALL;
        finish_tile_rows(m, sums[tile] + r * WIDTH, row + tile / wide * TALL + r, count, column + tile % wide * WIDTH);
    }
};

// R times 16 rows by P panels; `x` has a row's tiles after another, `out` gets 16 rows of 16 floats for each tile, row by row. The
// panels stay in the first cache, through which activations stream.
template <int R, int P>
WITH_AMX void multiply_tiles(const char * x, const char * panels, int64_t blocks, float (*out)[TALL * WIDTH],
                             Meanwhile<FloatTiles> & meanwhile) {
    const char * next   = x + blocks * TILE_BYTES;
    const char * second = panels + blocks * TILE_BYTES;
    _tile_zero(0);
    if (P > 1) _tile_zero(1);
    if (R > 1) _tile_zero(2);
    if (R > 1 && P > 1) _tile_zero(3);
    for (int64_t b = 0; b < blocks * TILE_BYTES; b += TILE_BYTES) {
        _tile_stream_loadd(4, x + b, 64);
        _tile_loadd(6, panels + b, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (P > 1) {
            _tile_loadd(7, second + b, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (R > 1) {
            _tile_stream_loadd(5, next + b, 64);
            _tile_dpbf16ps(2, 5, 6);
            if (P > 1) _tile_dpbf16ps(3, 5, 7);
        }
        meanwhile.step();
    }
    _tile_stored(0, out[0], 64);
    if (P > 1) _tile_stored(1, out[1], 64);
    if (R > 1) _tile_stored(2, out[P], 64);
    if (R > 1 && P > 1) _tile_stored(3, out[3], 64);
    settle();
}

// Sixteen rows of activations, or as many as there are, become tiles, one for each 32 numbers.
WITH_AMX void pack_rows_amx(const char * x, size_t stride, int64_t rows, int64_t numbers, char * tiles) {
    for (int64_t r = 0; r < TALL; r++, x += stride) {
        const auto * row = (const float *) x;
        for (int64_t i = 0; i < numbers; i += BLOCK) {
            const __m512bh pairs = r < rows ? _mm512_cvtne2ps_pbh((__m512) load(row + i + WIDTH), (__m512) load(row + i)) : __m512bh{};
            memcpy(tiles + i / BLOCK * TILE_BYTES + r * 64, &pairs, sizeof(pairs));
        }
    }
}

WITH_AMX void multiply_by_amx(const Matrices & m, saur::Scratch & scratch) {
    const int64_t blocks = m.numbers / BLOCK, tiles = (m.rows + TALL - 1) / TALL, panel_bytes = blocks * TILE_BYTES;
    const bool    packed = scratch.holds(m.x_of, (const void *) pack_rows_amx);
    auto *        x      = (char *) scratch.get(saur::Scratch::ACTIVATIONS, (size_t) (tiles * panel_bytes));
    for (int64_t t = 0; t < tiles && !packed; t++) {
        pack_rows_amx(m.x + (size_t) (t * TALL) * m.x_stride, m.x_stride, m.rows - t * TALL, m.numbers, x + t * panel_bytes);
    }
    scratch.hold(m.x_of, (const void *) pack_rows_amx);

    alignas(64) float     sums[2][4][TALL * WIDTH];  // of this block and the one before
    int                   turn = 0;
    const PanelPairs      pairs(m, tiles, panel_bytes, scratch);
    Meanwhile<FloatTiles> meanwhile(m, blocks, 2 * panel_bytes);
    for (int64_t c = 0; c < m.columns; c += 2 * WIDTH) {
        const int    wide   = m.columns - c > WIDTH ? 2 : 1;
        const char * panels = pairs.at(c, wide, [&](const char * rows, int64_t count, int p) {
            pack_panel_bf16(rows, m.weights_stride, count, m.numbers, (int32_t *) pairs.place(p), nullptr);
        });
        meanwhile.fetch_from(pairs.next(c));
        for (int64_t t = 0; t < tiles; t += 2, turn ^= 1) {
            const int  high     = t + 1 < tiles ? 2 : 1;
            const auto multiply = high == 2 ? (wide == 2 ? multiply_tiles<2, 2> : multiply_tiles<2, 1>)
                                            : (wide == 2 ? multiply_tiles<1, 2> : multiply_tiles<1, 1>);
            settle();
            multiply(x + t * panel_bytes, panels, blocks, sums[turn], meanwhile);
            meanwhile.take({ sums[turn], t * TALL, c, high, wide });
        }
    }
    meanwhile.rest();
}

WITH_AMX void product_amx(const saur::Product & product, saur::Scratch & scratch) {
    const WholeTiles tiles;
    each_product(product, [&](const Matrices & m) { multiply_by_amx(m, scratch); });
}

}  // namespace
