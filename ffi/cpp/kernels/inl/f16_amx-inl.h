// Included by arch/avx512.cpp (kernels-inl.h) after products-inl.h, on Linux; needs WIDTH 16, transpose and, when it runs, the
// registers of the processor's matrix unit (AMX).
//
// computes  MUL_MAT with f16 weights in panels, as integers of 16 bits in two bytes: W x, plus bias, GELU, residual
// layout    a number is scale * (256 * high + low); a row of weights or activations has one scale. Sixteen rows by 64 numbers are two
//           matrix tiles, their highs and then their lows:
//             6      activations: 16 rows of 64 bytes
//             7      weights: 16 times 4 bytes of 16 columns
//             0, 1   sums of highs by highs, for two tiles of rows; 2, 3 of highs by lows and lows by highs; 4, 5 of lows by lows
// rounds    weights and activations to 16 bits, by the largest of a row
// sums      exactly, in 32-bit integers: the order makes no difference
// measured  384 x 1536, Xeon with AMX, microseconds at 256 rows and 5: 820, 34; bf16 559, 23; f16 by vectors of 16-bit integers 2017,
//           31. Off a row's dot product, as part of both lengths: 4e-5 at most, as those
#pragma once

#define WITH_BYTES __attribute__((target("amx-tile,amx-int8")))

namespace {

const int64_t GROUP   = 64;     // numbers of a row of a matrix tile
const float   LARGEST = 32639;  // a high byte is 127 at most, with a low byte of -128 to 127

// Sixty-four numbers as two bytes each. `by` is 0 for a row that has no finite scale.
inline void split(const Floats * numbers, float by, int8_t * high, int8_t * low) {
    for (int i = 0; i < GROUP / WIDTH; i++) {
        const __m512i v = (__m512i) (bits_of(numbers[i] * by + ROUND) - bits_of(splat(ROUND)));
        const __m128i l = _mm512_cvtepi32_epi8(v), h = _mm512_cvtepi32_epi8(_mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(128)), 8));
        memcpy(low + i * WIDTH, &l, sizeof(l));
        memcpy(high + i * WIDTH, &h, sizeof(h));
    }
}

// By their bits, infinity is above every number and NaN above infinity: the scale passes both on.
inline float scale_of(Ints peak) { return float_of(largest_of(peak)) / LARGEST; }
inline float inverse_of(float scale) { return scale > 0 && scale < 1e38f ? 1.0f / scale : 0.0f; }

void pack_panel_bytes(const char * weights, size_t row_bytes, int64_t, int64_t numbers, int32_t * panel, float * scales) {
    float by[WIDTH];
    for (int r = 0; r < WIDTH; r++) {
        const auto * row  = (const uint16_t *) (weights + (size_t) r * row_bytes);
        Ints         peak = {};
        for (int64_t i = 0; i < numbers; i += WIDTH) {
            peak = larger(peak, bits_of(load_halves(row + i)) & 0x7fffffff);
        }
        scales[r] = scale_of(peak);
        by[r]     = inverse_of(scales[r]);
    }
    for (int64_t b = 0; b < numbers; b += GROUP) {
        int8_t bytes[2][WIDTH][GROUP];
        for (int r = 0; r < WIDTH; r++) {
            const auto * row = (const uint16_t *) (weights + (size_t) r * row_bytes) + b;
            Floats       some[GROUP / WIDTH];
            for (int i = 0; i < GROUP / WIDTH; i++) {
                some[i] = load_halves(row + i * WIDTH);
            }
            split(some, by[r], bytes[0][r], bytes[1][r]);
        }
        for (int half = 0; half < 4; half++, panel += 8 * WIDTH) {
            const void * from[WIDTH];
            for (int r = 0; r < WIDTH; r++) {
                from[r] = bytes[half / 2][r] + half % 2 * GROUP / 2;
            }
            transpose(from, panel);
        }
    }
}

// Sixteen rows of activations, or as many as there are.
void pack_rows_bytes(const char * x, size_t stride, int64_t rows, int64_t numbers, char * tiles, float * scales) {
    for (int64_t r = 0; r < TALL; r++, x += stride) {
        const auto * row  = (const float *) x;
        Ints         peak = {};
        for (int64_t i = 0; i < numbers && r < rows; i += WIDTH) {
            peak = larger(peak, bits_of(load(row + i)) & 0x7fffffff);
        }
        scales[r]      = scale_of(peak);
        const float by = inverse_of(scales[r]);
        for (int64_t b = 0; b < numbers; b += GROUP) {
            Floats some[GROUP / WIDTH] = {};
            for (int i = 0; i < GROUP / WIDTH && r < rows; i++) {
                some[i] = load(row + b + i * WIDTH);
            }
            char * to = tiles + b / GROUP * 2 * TILE_BYTES + r * GROUP;
            split(some, by, (int8_t *) to, (int8_t *) to + TILE_BYTES);
        }
    }
}

// R times 16 rows by a panel; `out` gets the six sums.
template <int R> WITH_BYTES void multiply_bytes(const char * x, const char * panel, int64_t groups, int32_t (*out)[TALL * WIDTH]) {
    const char * next = x + groups * 2 * TILE_BYTES;
    _tile_zero(0);
    _tile_zero(2);
    _tile_zero(4);
    if (R > 1) {
        _tile_zero(1);
        _tile_zero(3);
        _tile_zero(5);
    }
    for (int64_t high = 0, low = TILE_BYTES; high < groups * 2 * TILE_BYTES; high += 2 * TILE_BYTES, low += 2 * TILE_BYTES) {
        for (int i = 0; i < 2 * TALL; i++) {
            __builtin_prefetch(x + high + 2 * AHEAD + i * 64);
            if (R > 1) __builtin_prefetch(next + high + 2 * AHEAD + i * 64);
        }
        _tile_loadd(7, panel + high, 64);
        _tile_loadd(6, x + high, 64);
        _tile_dpbssd(0, 6, 7);
        _tile_loadd(6, x + low, 64);
        _tile_dpbssd(2, 6, 7);
        if (R > 1) {
            _tile_loadd(6, next + high, 64);
            _tile_dpbssd(1, 6, 7);
            _tile_loadd(6, next + low, 64);
            _tile_dpbssd(3, 6, 7);
        }
        _tile_loadd(7, panel + low, 64);
        if (R > 1) {
            _tile_dpbssd(5, 6, 7);
            _tile_loadd(6, next + high, 64);
            _tile_dpbssd(3, 6, 7);
            _tile_loadd(6, x + low, 64);
        }
        _tile_dpbssd(4, 6, 7);
        _tile_loadd(6, x + high, 64);
        _tile_dpbssd(2, 6, 7);
    }
    _tile_stored(0, out[0], 64);
    _tile_stored(2, out[2], 64);
    _tile_stored(4, out[4], 64);
    if (R > 1) {
        _tile_stored(1, out[1], 64);
        _tile_stored(3, out[3], 64);
        _tile_stored(5, out[5], 64);
    }
}

void multiply_by_bytes(const Matrices & m, saur::Scratch & scratch) {
    const int64_t groups = m.numbers / GROUP, tiles = (m.rows + TALL - 1) / TALL, panel_bytes = groups * 2 * TILE_BYTES;
    const bool    packed = scratch.holds(m.x_of, (const void *) pack_rows_bytes);
    auto *        x      = (char *) scratch.get(saur::Scratch::ACTIVATIONS, (size_t) (tiles * panel_bytes));
    auto *        scales = scratch.get<float>(saur::Scratch::SCALES, tiles * TALL);
    for (int64_t t = 0; t < tiles && !packed; t++) {
        pack_rows_bytes(m.x + (size_t) (t * TALL) * m.x_stride, m.x_stride, m.rows - t * TALL, m.numbers, x + t * panel_bytes, scales + t * TALL);
    }
    scratch.hold(m.x_of, (const void *) pack_rows_bytes);

    alignas(64) int32_t sums[6][TALL * WIDTH];
    for (int64_t c = 0; c < m.columns; c += WIDTH) {
        const char * panel = m.weights + (size_t) c * m.weights_stride;
        const Floats scale = load(m.scales + c * groups);
        for (int64_t t = 0; t < tiles; t += 2) {
            settle();
            (t + 1 < tiles ? multiply_bytes<2> : multiply_bytes<1>)(x + t * panel_bytes, panel, groups, sums);
            settle();
            for (int64_t row = t * TALL; row < m.rows && row < (t + 2) * TALL; row += TALL) {
                const int     first = row > t * TALL;
                const int64_t some  = m.rows - row < TALL ? m.rows - row : TALL;
                float         block[TALL * WIDTH];
                for (int64_t r = 0; r < some; r++) {
                    const auto part = [&](int i) { return __builtin_convertvector(load(sums[2 * i + first] + r * WIDTH), Floats); };
                    store(block + r * WIDTH, (part(0) * 65536.0f + part(1) * 256.0f + part(2)) * (scale * scales[row + r]));
                }
                finish(m, block, row, some, c);
            }
        }
    }
}

const Format FORMAT_BYTES = { GROUP, nullptr, pack_panel_bytes, nullptr };

// Weights that are not in panels, or whose rows are not whole groups, are multiplied as they are by vectors.
bool put_in_panels_f16_amx(const ggml_tensor * weights, float * scales, saur::Scratch & scratch) {
    return put_in_panels(weights, FORMAT_BYTES, scales, scratch) || put_in_panels_as_integers<F16>(weights, scales, scratch);
}

WITH_AMX void product_f16_amx(const saur::Product & product, saur::Scratch & scratch) {
    if (!product.in_panels || product.op->src[0]->ne[0] % GROUP != 0) {
        ::product<F16, true>(product, scratch);
        return;
    }
    const WholeTiles tiles;
    each_product(product, [&](const Matrices & m) { multiply_by_bytes(m, scratch); });
}

}  // namespace
