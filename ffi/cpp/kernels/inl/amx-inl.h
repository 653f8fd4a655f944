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
//           operators; 0.93 of it without fetching activations two tiles ahead (bench/experiments.md)
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

const int64_t TILE_BYTES = TALL * 64, AHEAD = 2 * TILE_BYTES;

// R times 16 rows by P panels; `x` has a row's tiles after another, `out` gets 16 rows of 16 floats for each tile.
template <int R, int P>
WITH_AMX void multiply_tiles(const char * x, const int32_t * panels, int64_t blocks, float (*out)[TALL * WIDTH]) {
    const char * next   = x + blocks * TILE_BYTES;
    const char * first  = (const char *) panels;
    const char * second = first + blocks * TILE_BYTES;
    _tile_zero(0);
    if (P > 1) _tile_zero(1);
    if (R > 1) _tile_zero(2);
    if (R > 1 && P > 1) _tile_zero(3);
    for (int64_t b = 0; b < blocks * TILE_BYTES; b += TILE_BYTES) {
        for (int i = 0; i < TALL; i++) {
            __builtin_prefetch(x + b + AHEAD + i * 64);
            if (R > 1) __builtin_prefetch(next + b + AHEAD + i * 64);
        }
        _tile_loadd(4, x + b, 64);
        _tile_loadd(6, first + b, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (P > 1) {
            _tile_loadd(7, second + b, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (R > 1) {
            _tile_loadd(5, next + b, 64);
            _tile_dpbf16ps(2, 5, 6);
            if (P > 1) _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, out[0], 64);
    if (P > 1) _tile_stored(1, out[1], 64);
    if (R > 1) _tile_stored(2, out[2], 64);
    if (R > 1 && P > 1) _tile_stored(3, out[3], 64);
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

    alignas(64) float out[4][TALL * WIDTH];
    auto * space = m.in_panels ? nullptr : (int32_t *) scratch.get(saur::Scratch::PANEL, (size_t) (2 * panel_bytes));
    for (int64_t c = 0; c < m.columns; c += 2 * WIDTH) {
        const bool      two    = m.columns - c > WIDTH;
        const int32_t * panels = m.in_panels ? (const int32_t *) (m.weights + (size_t) c * m.weights_stride) : space;
        for (int p = 0; !m.in_panels && p < (two ? 2 : 1); p++) {
            const int64_t from = c + p * WIDTH, some = m.columns - from < WIDTH ? m.columns - from : WIDTH;
            pack_panel_bf16(m.weights + (size_t) from * m.weights_stride, m.weights_stride, some, m.numbers,
                            space + p * panel_bytes / sizeof(int32_t), nullptr);
        }
        for (int64_t t = 0; t < tiles; t += 2) {
            const bool pair     = t + 1 < tiles;
            const auto multiply = pair ? (two ? multiply_tiles<2, 2> : multiply_tiles<2, 1>)
                                       : (two ? multiply_tiles<1, 2> : multiply_tiles<1, 1>);
            settle();
            multiply(x + t * panel_bytes, panels, blocks, out);
            settle();
            for (int i = 0; i < 4; i++) {
                const int64_t row = (t + i / 2) * TALL, column = c + i % 2 * WIDTH;
                if (row < m.rows && column < m.columns) {
                    finish(m, out[i], row, m.rows - row < TALL ? m.rows - row : TALL, column);
                }
            }
        }
    }
}

WITH_AMX void product_amx(const saur::Product & product, saur::Scratch & scratch) {
    const WholeTiles tiles;
    each_product(product, [&](const Matrices & m) { multiply_by_amx(m, scratch); });
}

}  // namespace
