// Included by arch/*.cpp (kernels-inl.h) after panels-inl.h; needs WIDTH, load_halves, sum_of, shuffled.
//
// What each type of weights is as integers: number i of a piece of 32 is scale * q[i] - least. One struct a type, which
// integers-inl.h makes panels of:
//
//   Block            as it is in the file (ggml-common.h)
//   Number           int8_t or int16_t, what q is
//   PIECES           of 32 numbers in a block
//   SECOND           which scales there are besides: leasts, else they are 0, or those of the second halves
//   LARGEST          a power of two: no q is larger, or less than -LARGEST; with leasts all are from 0 on, and less
//   numbers()        a block's q. `own` gets a scale where only the numbers tell it
//   scales()         of WIDTH blocks side by side: WIDTH scales a piece, and as many of the second kind after them
//
// computes  what ggml's to_float does, as integers
// rounds    nothing but what rounded_to_integers says
// sums      32 products of 8 bits and activations of 16 have room in 32 bits; of 16 bits and activations packed by their length,
//           too (scale_by_length)
#pragma once
#define GGML_COMMON_DECL_C
#include "ggml-common.h"

namespace {

// The same number of each block.
template <class Block> inline Floats halves_of(const Block * const * blocks, ggml_half Block::*number) {
    uint16_t halves[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
        halves[i] = blocks[i]->*number;
    }
    return load_halves(halves);
}

// Four bytes of each block.
template <class Block> inline Words words_of(const Block * const * blocks, const uint8_t * (*from)(const Block &)) {
    uint32_t words[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
        memcpy(words + i, from(*blocks[i]), sizeof(uint32_t));
    }
    Words v;
    memcpy(&v, words, sizeof(v));
    return v;
}

inline Floats floats_of(Words v) { return __builtin_convertvector((Ints) v, Floats); }

typedef uint32_t FourWords __attribute__((vector_size(16)));

inline Bytes bytes_at(const uint8_t * p) {
    Bytes v;
    memcpy(&v, p, sizeof(v));
    return v;
}
template <class V> inline void put(V v, void * to) { memcpy(to, &v, sizeof(v)); }

// N bytes' low nibbles, then their high ones, each less a number.
template <int N> inline void nibbles(const uint8_t * bytes, uint8_t less, int8_t * to) {
    for (int i = 0; i < N; i += 16) {
        const Bytes both = bytes_at(bytes + i);
        put((both & 15) - less, to + i);
        put((both >> 4) - less, to + N + i);
    }
}

// 16 bytes' low nibbles, each less a number and 16 more where its bit is set, then their high ones.
inline void nibbles_of_five_bits(const uint8_t * bytes, const uint8_t * bits, uint8_t less, int8_t * to) {
    const Bytes both = bytes_at(bytes), places = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1 };
    const Bytes one_each = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
    uint32_t    word;
    memcpy(&word, bits, sizeof(word));
    const Bytes words = (Bytes) (word - FourWords{});
    const Bytes low   = (Bytes) ((shuffled(words, places) & one_each) == one_each) & 16;
    const Bytes high  = (Bytes) ((shuffled(words, places + 2) & one_each) == one_each) & 16;
    put((both & 15 | low) - less, to);
    put((both >> 4 | high) - less, to + 16);
}

// The numbers in a table of 16 that 16 bytes' low nibbles name, then those of the high ones.
inline void look_up(const int8_t * table, const uint8_t * bytes, int8_t * to) {
    const Bytes numbers = bytes_at((const uint8_t *) table), both = bytes_at(bytes);
    put(shuffled(numbers, both & 15), to);
    put(shuffled(numbers, both >> 4), to + 16);
}

// What a piece has after its WIDTH scales: nothing, its leasts, or the scales of its second halves.
enum Second { NONE, LEASTS, HALVES };

// the types of 32 numbers -------------------------------------------------------------------------------------------------

struct Q8_0 {
    typedef block_q8_0 Block;
    typedef int8_t     Number;
    static const int    PIECES = 1;
    static const Second SECOND = NONE;
    static const int    LARGEST = 128;

    static const Number * numbers(const Block & b, Number *, float *) { return b.qs; }
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) { store(to, halves_of(blocks, &Block::d)); }
};

struct Q4_0 {
    typedef block_q4_0 Block;
    typedef int8_t     Number;
    static const int    PIECES = 1;
    static const Second SECOND = NONE;
    static const int    LARGEST = 8;

    static const Number * numbers(const Block & b, Number * to, float *) {
        nibbles<16>(b.qs, 8, to);
        return to;
    }
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) { store(to, halves_of(blocks, &Block::d)); }
};

struct Q4_1 {
    typedef block_q4_1 Block;
    typedef int8_t     Number;
    static const int    PIECES = 1;
    static const Second SECOND = LEASTS;
    static const int    LARGEST = 16;

    static const Number * numbers(const Block & b, Number * to, float *) {
        nibbles<16>(b.qs, 0, to);
        return to;
    }
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) {
        store(to, halves_of(blocks, &Block::d));
        store(to + WIDTH, -halves_of(blocks, &Block::m));
    }
};

struct Q5_0 {
    typedef block_q5_0 Block;
    typedef int8_t     Number;
    static const int    PIECES = 1;
    static const Second SECOND = NONE;
    static const int    LARGEST = 16;

    static const Number * numbers(const Block & b, Number * to, float *) {
        nibbles_of_five_bits(b.qs, b.qh, 16, to);
        return to;
    }
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) { store(to, halves_of(blocks, &Block::d)); }
};

struct Q5_1 {
    typedef block_q5_1 Block;
    typedef int8_t     Number;
    static const int    PIECES = 1;
    static const Second SECOND = LEASTS;
    static const int    LARGEST = 32;

    static const Number * numbers(const Block & b, Number * to, float *) {
        nibbles_of_five_bits(b.qs, b.qh, 0, to);
        return to;
    }
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) {
        store(to, halves_of(blocks, &Block::d));
        store(to + WIDTH, -halves_of(blocks, &Block::m));
    }
};

// kvalues_iq4nl and kvalues_fp4 of ggml-common.h, which defines them beside tables of a megabyte
alignas(16) const int8_t IQ4_NL_VALUES[] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
alignas(16) const int8_t FP4_VALUES[]    = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };

struct IQ4_NL {
    typedef block_iq4_nl Block;
    typedef int8_t       Number;
    static const int    PIECES = 1;
    static const Second SECOND = NONE;
    static const int    LARGEST = 128;

    static const Number * numbers(const Block & b, Number * to, float *) {
        look_up(IQ4_NL_VALUES, b.qs, to);
        return to;
    }
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) { store(to, halves_of(blocks, &Block::d)); }
};

struct MXFP4 {
    typedef block_mxfp4 Block;
    typedef int8_t      Number;
    static const int    PIECES = 1;
    static const Second SECOND = NONE;
    static const int    LARGEST = 16;

    static const Number * numbers(const Block & b, Number * to, float *) {
        look_up(FP4_VALUES, b.qs, to);
        return to;
    }
    // Half of 2^(e - 127), as the table has twice the values.
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) {
        for (int i = 0; i < WIDTH; i++) {
            const uint32_t e = blocks[i]->e, bits = e < 2 ? 0x00200000u << e : (e - 1) << 23;
            memcpy(to + i, &bits, sizeof(bits));
        }
    }
};

// the types of 256 numbers ------------------------------------------------------------------------------------------------

// The scales and leasts of q4_k and q5_k: eight of each, of 6 bits, in 12 bytes, times two halves. (get_scale_min_k4)
template <class Block> inline void scales_of_six_bits(const Block * const * blocks, float * to) {
    const Words  first  = words_of<Block>(blocks, [](const Block & b) { return (const uint8_t *) b.scales; });
    const Words  second = words_of<Block>(blocks, [](const Block & b) { return (const uint8_t *) b.scales + 4; });
    const Words  third  = words_of<Block>(blocks, [](const Block & b) { return (const uint8_t *) b.scales + 8; });
    const Floats d = halves_of(blocks, &Block::d), least = halves_of(blocks, &Block::dmin);
    for (int p = 0; p < 4; p++, to += 2 * WIDTH) {
        const int at = 8 * p;
        store(to, d * floats_of(first >> at & 63));
        store(to + WIDTH, least * floats_of(second >> at & 63));
        store(to + 8 * WIDTH, d * floats_of((third >> at & 15) | (first >> at >> 6 & 3) << 4));
        store(to + 9 * WIDTH, least * floats_of((third >> at >> 4 & 15) | (second >> at >> 6 & 3) << 4));
    }
}

// The scales of q3_k and q6_k: sixteen of 8 bits, two a piece, less a number, times a half.
template <class Block> inline void scales_of_bytes(const Block * const * blocks, const int8_t (*bytes)[16], int less, float * to) {
    const Floats d = halves_of(blocks, &Block::d);
    for (int j = 0; j < 16; j += 4) {
        uint32_t words[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            memcpy(words + i, bytes[i] + j, sizeof(uint32_t));
        }
        Words four;
        memcpy(&four, words, sizeof(four));
        for (int k = 0; k < 4; k++, to += WIDTH) {
            store(to, d * (__builtin_convertvector((Ints) (four << 8 * (3 - k)) >> 24, Floats) - (float) less));
        }
    }
}

struct Q4_K {
    typedef block_q4_K Block;
    typedef int8_t     Number;
    static const int    PIECES = 8;
    static const Second SECOND = LEASTS;
    static const int    LARGEST = 16;

    static const Number * numbers(const Block & b, Number * to, float *) {
        for (int p = 0; p < PIECES; p += 2) {
            nibbles<BLOCK>(b.qs + p / 2 * BLOCK, 0, to + p * BLOCK);
        }
        return to;
    }
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) { scales_of_six_bits(blocks, to); }
};

struct Q5_K {
    typedef block_q5_K Block;
    typedef int8_t     Number;
    static const int    PIECES = 8;
    static const Second SECOND = LEASTS;
    static const int    LARGEST = 32;

    static const Number * numbers(const Block & b, Number * to, float *) {
        for (int p = 0; p < PIECES; p += 2) {
            Number * low = to + p * BLOCK;
            nibbles<BLOCK>(b.qs + p / 2 * BLOCK, 0, low);
            for (int i = 0; i < BLOCK; i += 16) {
                const Bytes fifth = bytes_at(b.qh + i);
                put(bytes_at((uint8_t *) low + i) | (fifth >> p & 1) << 4, low + i);
                put(bytes_at((uint8_t *) low + BLOCK + i) | (fifth >> (p + 1) & 1) << 4, low + BLOCK + i);
            }
        }
        return to;
    }
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) { scales_of_six_bits(blocks, to); }
};

struct Q6_K {
    typedef block_q6_K  Block;
    typedef int8_t      Number;
    static const int    PIECES = 8;
    static const Second SECOND = HALVES;
    static const int    LARGEST = 32;

    static const Number * numbers(const Block & b, Number * to, float *) {
        for (int i = 0; i < QK_K / 4; i += 16) {  // of each of four pieces, which share their bytes
            const int   half = i / 32, at = i % 32;
            const Bytes low = bytes_at(b.ql + 64 * half + at), other = bytes_at(b.ql + 64 * half + 32 + at), high = bytes_at(b.qh + i);
            Number *    first = to + 128 * half + at;
            put((low & 15 | (high << 4 & 48)) - 32, first);
            put((other & 15 | (high << 2 & 48)) - 32, first + 32);
            put((low >> 4 | (high & 48)) - 32, first + 64);
            put((other >> 4 | (high >> 2 & 48)) - 32, first + 96);
        }
        return to;
    }
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) { 
        int8_t bytes[WIDTH][16];
        for (int i = 0; i < WIDTH; i++) {
            memcpy(bytes[i], blocks[i]->scales, sizeof(bytes[i]));
        }
        scales_of_bytes(blocks, bytes, 0, to);
    }
};

struct Q3_K {
    typedef block_q3_K  Block;
    typedef int8_t      Number;
    static const int    PIECES = 8;
    static const Second SECOND = HALVES;
    static const int    LARGEST = 4;

    static const Number * numbers(const Block & b, Number * to, float *) {
        for (int p = 0; p < PIECES; p++) {
            for (int i = 0; i < BLOCK; i += 16) {
                const Bytes low = bytes_at(b.qs + p / 4 * BLOCK + i) >> 2 * (p % 4) & 3, high = bytes_at(b.hmask + i) >> p & 1;
                put((low | high << 2) - 4, to + p * BLOCK + i);
            }
        }
        return to;
    }
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) {
        int8_t unpacked[WIDTH][16];
        for (int i = 0; i < WIDTH; i++) {
            const uint8_t * s = blocks[i]->scales;
            for (int j = 0; j < 16; j++) {
                unpacked[i][j] = (int8_t) ((s[j % 8] >> j / 8 * 4 & 15) | (s[8 + j % 4] >> j / 4 * 2 & 3) << 4);
            }
        }
        scales_of_bytes(blocks, unpacked, 32, to);
    }
};

struct IQ4_XS {
    typedef block_iq4_xs Block;
    typedef int8_t       Number;
    static const int    PIECES = 8;
    static const Second SECOND = NONE;
    static const int    LARGEST = 128;

    static const Number * numbers(const Block & b, Number * to, float *) {
        for (int p = 0; p < PIECES; p++) {
            look_up(IQ4_NL_VALUES, b.qs + p * BLOCK / 2, to + p * BLOCK);
        }
        return to;
    }
    static void scales(const Block * const * blocks, const float (*)[PIECES], float * to) {
        const Words  low = words_of<Block>(blocks, [](const Block & b) { return (const uint8_t *) b.scales_l; });
        const Floats d   = halves_of(blocks, &Block::d);
        uint32_t     high[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            high[i] = blocks[i]->scales_h;
        }
        Words two;
        memcpy(&two, high, sizeof(two));
        for (int p = 0; p < PIECES; p++) {
            store(to + p * WIDTH, d * (floats_of((low >> 4 * p & 15) | (two >> 2 * p & 3) << 4) - 32.0f));
        }
    }
};

// floating point ----------------------------------------------------------------------------------------------------------

// What a piece of such a length, in parts of its largest number, is divided by for its integers: q's length and that of as many
// activations are at most 46339, so their product has room in 32 bits, however their signs are (Cauchy).
inline float scale_by_length(float squares) {
    const float by_size = 1.0f / 32767, by_length = sqrtf(squares) / 46336;
    return by_length > by_size ? by_length : by_size;
}

// The largest integers that a piece's length allows, and their scale. Of weights of a usual spread a step is 1/8000 of it: less
// than the 11 bits of a half round.
inline float rounded_to_integers(const float * x, int16_t * to) {
    Ints   peak = {};
    Floats squares = {};
    for (int i = 0; i < BLOCK; i += WIDTH) {
        peak = larger(peak, bits_of(load(x + i)) & 0x7fffffff);
    }
    const float size = float_of(largest_of(peak));
    const float unit = size > 0 ? 1.0f / size : 0.0f;
    for (int i = 0; i < BLOCK; i += WIDTH) {
        const Floats part = load(x + i) * unit;
        squares += part * part;
    }
    const float scale = size * scale_by_length(sum_of(squares));
    const float by    = scale > 0 ? 1.0f / scale : 0.0f;
    for (int i = 0; i < BLOCK; i += WIDTH) {
        const Shorts low = __builtin_convertvector(bits_of(load(x + i) * by + ROUND), Shorts);
        memcpy(to + i, &low, sizeof(low));
    }
    return scale;
}

struct Block16 {
    uint16_t numbers[BLOCK];
};

struct F16 {
    typedef Block16  Block;
    typedef int16_t  Number;
    static const int    PIECES = 1;
    static const Second SECOND = NONE;

    static const Number * numbers(const Block & b, Number * to, float * own) {
        float x[BLOCK];
        for (int i = 0; i < BLOCK; i += WIDTH) {
            store(x + i, load_halves(b.numbers + i));
        }
        *own = rounded_to_integers(x, to);
        return to;
    }
    static void scales(const Block * const *, const float (*own)[PIECES], float * to) { memcpy(to, own, WIDTH * sizeof(float)); }
};

struct BF16 {
    typedef Block16  Block;
    typedef int16_t  Number;
    static const int    PIECES = 1;
    static const Second SECOND = NONE;

    static const Number * numbers(const Block & b, Number * to, float * own) {
        uint32_t bits[BLOCK];
        float    x[BLOCK];
        for (int i = 0; i < BLOCK; i++) {
            bits[i] = (uint32_t) b.numbers[i] << 16;
        }
        memcpy(x, bits, sizeof(x));
        *own = rounded_to_integers(x, to);
        return to;
    }
    static void scales(const Block * const *, const float (*own)[PIECES], float * to) { memcpy(to, own, WIDTH * sizeof(float)); }
};

}  // namespace
