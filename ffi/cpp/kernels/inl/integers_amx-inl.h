// Included by arch/avx512.cpp (kernels-inl.h) after amx-inl.h and blocks-inl.h, on Linux; needs WIDTH 16, transpose, and the
// registers of the processor's matrix unit (AMX) when it runs.
//
// computes  MUL_MAT with weights of every type of blocks-inl.h but bf16: W x, plus bias, GELU, residual where the graph goes on so
// layout    a number is 16 bits, 256 high + low, two bytes with a sign each. A matrix tile has 16 rows of 64 bytes:
//             activations  16 rows of 64 numbers' high bytes, then their low ones
//             weights      of a panel's 16 columns, four numbers' high bytes to a word, 16 words; then their low ones
//             sums         high by high, both kinds of high by low, and low by low, of 16 rows by 16 columns; of two panels at once
//           Quantised weights become panels in each pass and stay as they are in memory; 16-bit floats become panels in their own
//           place, once, with a float a row beside
// rounds    activations and weights to 16 bits, by the largest number of a row, of quantised weights by the largest that its scales
//           allow. Over random shapes a result is off by 4e-5 (with leasts 7e-5), as by integers-inl.h
// sums      a whole row exactly, in 32-bit integers: no order shows
// measured  MiniLM, 60 paragraphs, processor time, Xeon with AMX, of bf16's speed: f16 .43 -> .71 by four products of bytes, .84 by 16
//           rows and two panels at once (1.17 times as many texts); q8_0 .47 -> .69 -> .78, q4_k_m .44 -> .68 -> .70. Without low by
//           low (three products of four) f16 was six times as far off. A product of bf16 is one where these are two.
#pragma once

#define WITH_AMX_INT8 __attribute__((target("amx-tile,amx-int8")))

namespace {

const int64_t DEEP    = 64;       // numbers of a row in a tile
const float   LARGEST = 32639.0f;  // whose bytes both have a sign

// What is added to a number to be rounded comes off as an integer.
inline Ints integers_of(Floats v) { return bits_of(v + ROUND) - bits_of(splat(ROUND)); }

inline float by_largest(float most) { return most > 0 ? LARGEST / most : 0.0f; }

// Sixteen numbers' high bytes and low ones.
inline void split(Ints v, int8_t * high, int8_t * low) {
    const __m128i h = _mm512_cvtepi32_epi8((__m512i) ((v + 128) >> 8)), l = _mm512_cvtepi32_epi8((__m512i) v);
    memcpy(high, &h, sizeof(h));
    memcpy(low, &l, sizeof(l));
}

// A row's largest number by its bits: infinity is above every number and NaN above infinity, and the scale passes both on.
template <class Part> inline float largest_of_row(int64_t numbers, Part part) {
    Ints peak = {};
    for (int64_t i = 0; i < numbers; i += WIDTH) {
        peak = larger(peak, bits_of(part(i)) & 0x7fffffff);
    }
    return float_of(largest_of(peak));
}

// Sixteen rows of activations, or as many as there are, become tiles of high and of low bytes, two for each 64 numbers.
void pack_rows_as_bytes(const char * x, size_t stride, int64_t rows, int64_t numbers, int8_t * tiles, float * scales) {
    const int64_t padded = rounded_up(numbers, DEEP);
    for (int64_t r = 0; r < TALL; r++, x += stride, tiles += DEEP) {
        const auto part = [&](int64_t i) {
            return r < rows && i < numbers ? load_part((const float *) x + i, numbers - i) : Floats{};
        };
        const float size = largest_of_row(numbers, part), by = by_largest(size);
        scales[r] = size / LARGEST;
        for (int64_t i = 0; i < padded; i += WIDTH) {
            int8_t * to = tiles + i / DEEP * 2 * TILE_BYTES + i % DEEP;
            split(integers_of(part(i) * by), to, to + TILE_BYTES);
        }
    }
}

// Bytes of sixteen rows, 64 numbers at a time, on their way into a panel.
struct DeepBlock {
    alignas(64) int8_t high[WIDTH][DEEP], low[WIDTH][DEEP];

    void pack(char * tile) const {
        for (const auto * bytes : { high, low }) {
            for (int half = 0; half < 2; half++, tile += TILE_BYTES / 2) {
                const void * from[WIDTH];
                for (int i = 0; i < WIDTH; i++) {
                    from[i] = bytes[i] + half * DEEP / 2;
                }
                transpose(from, (int32_t *) tile);
            }
        }
    }
};

// A panel of 16-bit floats.
void pack_halves_as_bytes(const char * weights, size_t row_bytes, int64_t rows, int64_t numbers, char * panel, float * scales) {
    const auto part = [&](int row, int64_t i) {
        const char * from = weights + (size_t) (row < rows ? row : rows - 1) * row_bytes;
        return i < numbers ? load_halves_part((const uint16_t *) from + i, numbers - i) : Floats{};
    };
    float by[WIDTH];
    for (int r = 0; r < WIDTH; r++) {
        const float size = largest_of_row(numbers, [&](int64_t i) { return part(r, i); });
        scales[r] = size / LARGEST;
        by[r]     = by_largest(size);
    }
    DeepBlock block;
    for (int64_t d = 0; d < numbers; d += DEEP, panel += 2 * TILE_BYTES) {
        fetch(weights + WIDTH * row_bytes, d / DEEP, DEEP * sizeof(uint16_t));
        for (int r = 0; r < WIDTH; r++) {
            for (int i = 0; i < DEEP; i += WIDTH) {
                split(integers_of(part(r, d + i) * by[r]), block.high[r] + i, block.low[r] + i);
            }
        }
        block.pack(panel);
    }
}

// What q is at most, either way; with leasts once the middle of its numbers is taken off.
template <class Type> struct Top {
    static const int VALUE = Type::SECOND == LEASTS ? Type::LARGEST / 2 : Type::LARGEST;
};

// What is taken off a piece's numbers, of which q has lost its middle.
template <class Type> inline Floats least_of(const float * scales) {
    return Type::SECOND == LEASTS ? load(scales + WIDTH) - load(scales) * (float) Top<Type>::VALUE : Floats{};
}

// The largest number that the scales of some blocks allow in each row.
template <class Type> inline Floats largest_by_scales(const Blocks<Type> & blocks) {
    const auto size = [](Floats v) { return (Floats) (bits_of(v) & 0x7fffffff); };
    Floats     most = {};
    for (int at = 0; at < Type::PIECES * Blocks<Type>::SCALES; at += Type::SECOND == LEASTS ? 2 * WIDTH : WIDTH) {
        const Floats top = load(blocks.scales + at) * (float) Top<Type>::VALUE;
        most = larger(most, size(top) + size(least_of<Type>(blocks.scales + at)));
    }
    return most;
}

// Both halves of a word.
inline Ints twice(Ints v) { return (v & 0xffff) | v << 16; }

// A piece of a panel: `words` have four q of each of sixteen rows. With q shifted to the top of 16 bits, and the scale in parts of
// the largest q, the upper half of their product is the number. Bytes 0 and 2 of a word, and 1 and 3, are multiplied side by side.
template <class Type> inline void pack_piece_as_bytes(const int32_t * words, const float * scales, Floats by, char * tile) {
    const int TOP = Top<Type>::VALUE, SHIFT = TOP == 128 ? 0 : TOP == 32 ? 2 : TOP == 16 ? 3 : TOP == 8 ? 4 : 5;
    static_assert(TOP << SHIFT == 128, "a power of two, from 4 on");
    const auto    factor = [&](int at) { return twice(integers_of(load(scales + at) * (float) TOP * by)); };
    const Ints    first = factor(0), second = Type::SECOND == HALVES ? factor(WIDTH) : first;
    const __m512i least = (__m512i) twice(integers_of(least_of<Type>(scales) * by)), middle = _mm512_set1_epi8((int8_t) TOP);
    const __m512i upper = _mm512_set1_epi16((int16_t) 0xff00), half = _mm512_set1_epi16(128);
    for (int j = 0; j < BLOCK / 4; j++, tile += 64) {
        const __m512i factors = (__m512i) (j < BLOCK / 8 ? first : second), as_read = _mm512_loadu_si512(words + j * WIDTH);
        const __m512i q       = Type::SECOND == LEASTS ? _mm512_sub_epi8(as_read, middle) : as_read;
        __m512i even = _mm512_mulhrs_epi16(_mm512_slli_epi16(q, 8 + SHIFT), factors);
        __m512i odd  = _mm512_mulhrs_epi16(_mm512_slli_epi16(_mm512_and_si512(q, upper), SHIFT), factors);
        if (Type::SECOND == LEASTS) {
            even = _mm512_sub_epi16(even, least);
            odd  = _mm512_sub_epi16(odd, least);
        }
        const __m512i even_up = _mm512_srli_epi16(_mm512_add_epi16(even, half), 8), odd_up = _mm512_add_epi16(odd, half);
        _mm512_storeu_si512(tile, _mm512_or_si512(even_up, _mm512_and_si512(odd_up, upper)));
        _mm512_storeu_si512(tile + TILE_BYTES, _mm512_or_si512(_mm512_andnot_si512(upper, even), _mm512_slli_epi16(odd, 8)));
    }
}

// A panel of quantised weights.
template <class Type>
void pack_blocks_as_bytes(const char * weights, size_t row_bytes, int64_t rows, int64_t numbers, char * panel, float * scales) {
    const int64_t NUMBERS = Type::PIECES * BLOCK, HALF = TILE_BYTES / 2;
    Blocks<Type>  blocks;
    Floats        most = {};
    for (int64_t b = 0; b * NUMBERS < numbers; b++) {
        blocks.read_scales(weights, row_bytes, rows, b);
        most = larger(most, largest_by_scales(blocks));
    }
    store(scales, most * (1.0f / LARGEST));
    const Floats by    = most > 0.0f ? LARGEST / most : Floats{};
    int64_t      piece = 0;
    const auto   tile  = [&] { return panel + piece / 2 * 2 * TILE_BYTES + piece % 2 * HALF; };
    for (int64_t b = 0; b * NUMBERS < numbers; b++) {
        blocks.read(weights, row_bytes, rows, b, NUMBERS);
        for (int p = 0; p < Type::PIECES; p++, piece++) {
            const void * from[WIDTH];
            for (int r = 0; r < WIDTH; r++) {
                from[r] = blocks.at[r] + p * BLOCK;
            }
            alignas(64) int32_t words[BLOCK / 4 * WIDTH];
            transpose(from, words);
            pack_piece_as_bytes<Type>(words, blocks.scales + p * Blocks<Type>::SCALES, by, tile());
        }
    }
    if (piece % 2) {
        memset(tile(), 0, (size_t) HALF);
        memset(tile() + TILE_BYTES, 0, (size_t) HALF);
    }
}

typedef void (*PackAsBytes)(const char *, size_t, int64_t, int64_t, char *, float *);

// Sums of 16 rows by up to two panels: of each tile those of high by high, of high by low either way, and of low by low.
struct ByteTiles {
    const int32_t (*sums)[TALL * WIDTH];
    int64_t       row, column;
    int           wide;  // in tiles
    const float * by_row;
    const float * by_column;

    int64_t rows() const { return wide * TALL; }
    void    finish(const Matrices & m, int64_t at, int64_t count) const {
        const int64_t tile = at / TALL, r = at % TALL;
        const auto    part = [&](int kind, int64_t i) { return __builtin_convertvector(load(sums[3 * tile + kind] + i * WIDTH), Floats); };
        const Floats  by = load(by_column + tile * WIDTH);
        alignas(64) float numbers[TALL * WIDTH];
        for (int64_t i = r; i < r + count; i++) {
            const Floats sum = part(0, i) * 65536.0f + (part(1, i) * 256.0f + part(2, i));
            store(numbers + (i - r) * WIDTH, sum * (by * by_row[i]));
        }
        finish_tile_rows(m, numbers, row + r, count, column + tile * WIDTH);
    }
};

// Sixteen rows by P panels. A tile of weights is loaded again where it is wanted again: the panels are in the first cache, and all
// other tiles hold sums.
template <int P>
WITH_AMX_INT8 void multiply_bytes(const char * x, const char * panels, int64_t blocks, int32_t (*out)[TALL * WIDTH],
                                  Meanwhile<ByteTiles> & meanwhile) {
    const char * second = panels + blocks * 2 * TILE_BYTES;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    if (P > 1) {
        _tile_zero(3);
        _tile_zero(4);
        _tile_zero(5);
    }
#define BY_WEIGHTS(sums, from)  \
    _tile_loadd(7, (from), 64); \
    _tile_dpbssd(sums, 6, 7)
    for (int64_t b = 0; b < blocks * 2 * TILE_BYTES; b += 2 * TILE_BYTES) {
        const char *high = panels + b, *low = high + TILE_BYTES, *second_high = second + b, *second_low = second_high + TILE_BYTES;
        _tile_stream_loadd(6, x + b, 64);
        BY_WEIGHTS(0, high);
        BY_WEIGHTS(1, low);
        if (P > 1) {
            BY_WEIGHTS(3, second_high);
            BY_WEIGHTS(4, second_low);
        }
        _tile_stream_loadd(6, x + b + TILE_BYTES, 64);
        BY_WEIGHTS(1, high);
        BY_WEIGHTS(2, low);
        if (P > 1) {
            BY_WEIGHTS(4, second_high);
            BY_WEIGHTS(5, second_low);
        }
        meanwhile.step();
    }
#undef BY_WEIGHTS
    _tile_stored(0, out[0], 64);
    _tile_stored(1, out[1], 64);
    _tile_stored(2, out[2], 64);
    if (P > 1) {
        _tile_stored(3, out[3], 64);
        _tile_stored(4, out[4], 64);
        _tile_stored(5, out[5], 64);
    }
    settle();
}

WITH_AMX_INT8 void multiply_by_bytes(const Matrices & m, PackAsBytes pack, saur::Scratch & scratch) {
    const int64_t blocks = (m.numbers + DEEP - 1) / DEEP, tiles = (m.rows + TALL - 1) / TALL, tile_bytes = blocks * 2 * TILE_BYTES;
    const bool    packed = scratch.holds(m.x_of, (const void *) pack_rows_as_bytes);
    auto *        x      = scratch.get<char>(saur::Scratch::ACTIVATIONS, tiles * tile_bytes);
    auto *        scales = scratch.get<float>(saur::Scratch::SCALES, tiles * TALL);
    for (int64_t t = 0; t < tiles && !packed; t++) {
        pack_rows_as_bytes(m.x + (size_t) (t * TALL) * m.x_stride, m.x_stride, m.rows - t * TALL, m.numbers,
                           (int8_t *) x + t * tile_bytes, scales + t * TALL);
    }
    scratch.hold(m.x_of, (const void *) pack_rows_as_bytes);

    alignas(64) int32_t  sums[2][6][TALL * WIDTH];  // of this block and the one before
    alignas(64) float    widths[2][2 * WIDTH];      // of these panels and the two before
    int                  turn = 0;
    const PanelPairs     pairs(m, tiles, tile_bytes, scratch);
    Meanwhile<ByteTiles> meanwhile(m, blocks, 2 * tile_bytes);
    for (int64_t c = 0; c < m.columns; c += 2 * WIDTH) {
        const int    wide   = m.columns - c > WIDTH ? 2 : 1;
        float *      width  = widths[c / (2 * WIDTH) % 2];
        const char * panels = pairs.at(c, wide, [&](const char * rows, int64_t count, int p) {
            pack(rows, m.weights_stride, count, m.numbers, pairs.place(p), width + p * WIDTH);
        });
        meanwhile.fetch_from(pairs.next(c));
        for (int64_t t = 0; t < tiles; t++, turn ^= 1) {
            settle();
            (wide == 2 ? multiply_bytes<2> : multiply_bytes<1>)(x + t * tile_bytes, panels, blocks, sums[turn], meanwhile);
            meanwhile.take({ sums[turn], t * TALL, c, wide, scales + t * TALL, m.in_panels ? m.scales + c : width });
        }
    }
    meanwhile.rest();
}

template <PackAsBytes PACK> WITH_AMX_INT8 void product_by_bytes(const saur::Product & product, saur::Scratch & scratch) {
    const WholeTiles tiles;
    each_product(product, [&](const Matrices & m) { multiply_by_bytes(m, PACK, scratch); });
}

// Of 16-bit floats: as many bytes, and a scale a row.
bool put_in_panels_as_bytes(const ggml_tensor * weights, float * scales, saur::Scratch & scratch) {
    return put_in_place(weights, DEEP, scratch, [&](const char * rows, int64_t c, void * panel) {
        pack_halves_as_bytes(rows, weights->nb[1], WIDTH, weights->ne[0], (char *) panel, scales + c);
    });
}

template <class Type> constexpr saur::ProductOf by_bytes(ggml_type type) { return { type, product_by_bytes<pack_blocks_as_bytes<Type>> }; }

const saur::ProductOf PRODUCTS_AMX[] = {
    { GGML_TYPE_F32, product_f32, put_in_panels_f32, 0 },
    { GGML_TYPE_F16, product_by_bytes<pack_halves_as_bytes>, put_in_panels_as_bytes, saur::ProductOf::A_ROW },
    { GGML_TYPE_BF16, product_amx, put_in_panels_bf16, 0 },
    by_bytes<Q8_0>(GGML_TYPE_Q8_0),
    by_bytes<Q4_0>(GGML_TYPE_Q4_0),
    by_bytes<Q4_1>(GGML_TYPE_Q4_1),
    by_bytes<Q5_0>(GGML_TYPE_Q5_0),
    by_bytes<Q5_1>(GGML_TYPE_Q5_1),
    by_bytes<Q4_K>(GGML_TYPE_Q4_K),
    by_bytes<Q5_K>(GGML_TYPE_Q5_K),
    by_bytes<Q6_K>(GGML_TYPE_Q6_K),
    by_bytes<Q3_K>(GGML_TYPE_Q3_K),
    by_bytes<IQ4_NL>(GGML_TYPE_IQ4_NL),
    by_bytes<IQ4_XS>(GGML_TYPE_IQ4_XS),
    by_bytes<MXFP4>(GGML_TYPE_MXFP4),
    {},
};

}  // namespace
