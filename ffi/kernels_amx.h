// Products of bf16 weights by the processor's matrix unit (AMX), on Linux: like those of kernels_bf16.h, activations are
// rounded to bf16 and the sums are 32-bit floats. A matrix tile has 16 rows of 64 bytes: 16 rows of 32 activations, or
// what kernels_panels.h calls a block of a panel. Each number of the result is summed in the same order whatever is
// in the rows beside it.
#if defined(__linux__) && defined(__x86_64__)
#    define HAS_AMX
#endif

#ifdef HAS_AMX
#    include <sys/syscall.h>
#    include <unistd.h>

#    define WITH_AMX __attribute__((target("amx-tile,amx-bf16")))

namespace {

const int64_t TALL = 16;  // rows of a matrix tile

// The kernel lends a process the unit's registers when it asks for them.
bool may_use_amx() {
    const long ask = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, ask, tile_data) == 0;
}

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

// R times 16 rows by P panels; `x` has `stride` bytes from row to row, `out` gets 16 floats a row and tile.
template <int R, int P>
WITH_AMX void multiply_tiles(const char * x, size_t stride, const int32_t * panels, int64_t panel_words, int64_t blocks,
                             float * const * out, size_t out_bytes) {
    _tile_zero(0);
    if (P > 1) _tile_zero(1);
    if (R > 1) _tile_zero(2);
    if (R > 1 && P > 1) _tile_zero(3);
    for (int64_t b = 0; b < blocks; b++) {
        _tile_loadd(4, x + b * 64, stride);
        _tile_loadd(6, panels + b * WORDS * WIDTH, 64);
        _tile_dpbf16ps(0, 4, 6);
        if (P > 1) {
            _tile_loadd(7, panels + panel_words + b * WORDS * WIDTH, 64);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (R > 1) {
            _tile_loadd(5, x + TALL * stride + b * 64, stride);
            _tile_dpbf16ps(2, 5, 6);
            if (P > 1) _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, out[0], out_bytes);
    if (P > 1) _tile_stored(1, out[1], out_bytes);
    if (R > 1) _tile_stored(2, out[2], out_bytes);
    if (R > 1 && P > 1) _tile_stored(3, out[3], out_bytes);
}

WITH_AMX void multiply_by_amx(const Matrices & m, saur::Scratch & scratch) {
    const int64_t blocks = m.numbers / BLOCK, tiles = (m.rows + TALL - 1) / TALL, panel_words = blocks * WORDS * WIDTH;
    const size_t  stride = (size_t) m.numbers * sizeof(uint16_t);
    auto *        x      = scratch.get<uint16_t>(saur::Scratch::ACTIVATIONS, tiles * TALL * m.numbers);
    auto *        panels = scratch.get<int32_t>(saur::Scratch::PANEL, 2 * panel_words);
    for (int64_t r = 0; r < m.rows; r++) {
        to_bf16((const float *) (m.x + (size_t) r * m.x_stride), x + r * m.numbers, m.numbers);
    }
    memset(x + m.rows * m.numbers, 0, (size_t) (tiles * TALL - m.rows) * stride);

    alignas(64) float rest[4][TALL * WIDTH];  // of tiles that stick out
    for (int64_t c = 0; c < m.columns; c += 2 * WIDTH) {
        const bool two = m.columns - c > WIDTH;
        for (int p = 0; p < (two ? 2 : 1); p++) {
            const int64_t from = c + p * WIDTH, some = m.columns - from < WIDTH ? m.columns - from : WIDTH;
            pack_panel_bf16(m.weights + (size_t) from * m.weights_stride, m.weights_stride, some, m.numbers,
                            panels + p * panel_words, nullptr);
        }
        for (int64_t t = 0; t < tiles; t += 2) {
            const bool    pair  = t + 1 < tiles;
            const int64_t row   = t * TALL;
            const char *  at    = (const char *) (x + row * m.numbers);
            const bool    whole = row + (pair ? 2 : 1) * TALL <= m.rows && c + (two ? 2 : 1) * WIDTH <= m.columns;
            float *       out[4];
            for (int i = 0; i < 4; i++) {
                out[i] = whole ? m.out + (size_t) (row + i / 2 * TALL) * m.out_stride + c + i % 2 * WIDTH : rest[i];
            }
            const size_t out_bytes = (whole ? m.out_stride : WIDTH) * sizeof(float);
            const auto   multiply  = pair ? (two ? multiply_tiles<2, 2> : multiply_tiles<2, 1>)
                                          : (two ? multiply_tiles<1, 2> : multiply_tiles<1, 1>);
            settle();
            multiply(at, stride, panels, panel_words, blocks, out, out_bytes);
            settle();
            for (int i = 0; !whole && i < 4; i++) {
                const int64_t from = c + i % 2 * WIDTH, first = row + i / 2 * TALL;
                for (int64_t r = 0; from < m.columns && r < TALL && first + r < m.rows; r++) {
                    store_part(m.out + (size_t) (first + r) * m.out_stride + from, load(rest[i] + r * WIDTH), m.columns - from);
                }
            }
        }
    }
}

WITH_AMX void product_amx(ggml_tensor * op, saur::Scratch & scratch) {
    const WholeTiles tiles;
    each_product(op, [&](const Matrices & m) { multiply_by_amx(m, scratch); });
}

}  // namespace
#endif
