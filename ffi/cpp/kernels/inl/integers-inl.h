// Included by arch/*.cpp (kernels-inl.h) after blocks-inl.h; needs WIDTH, ROWS, transpose, dot_pairs, widened, sum_of_each,
// pack_block, largest_of.
//
// computes  MUL_MAT with weights of every type of blocks-inl.h: W x, plus bias, GELU, residual where the graph goes on so
// layout    panels of pairs of 16-bit integers (panels-inl.h), 16 words to a piece of 32 numbers, with its scales (blocks-inl.h):
//             one piece of a panel  16 x WIDTH words | its scales  WIDTH floats, or twice as many
//             one piece of a tile   16 x R words     | its scales  R floats, and R sums of its numbers
//           Quantised weights become panels in each pass and stay as they are in memory; 16-bit floats become panels in their own
//           place, once, with a float for 32 of them beside
// rounds    activations to 16 bits, by the largest of each piece, or by its length; stock rounds them to 8 bits, which costs more
//           of the result than the weights' own rounding does
// sums      a piece exactly, in 32-bit integers; the pieces from 0 on as 32-bit floats, also those of one row alone
// measured  768 x 768, Xeon (AVX-512, no AMX), G products a second at 256 rows | 5 rows | stock at 256 and 5: f16 118 | 104 | 35,
//           38; q8_0 121 | 45 | 36, 32; q4_0 120 | 38 | 32, 28; q4_k 117 | 45 | 24, 24; q6_k 108 | 35 | 23, 23. Making panels in each
//           pass costs 2 % (q8_0) to 12 % (q6_k, with its second scales) of 256 rows; made once, they would take 2.1 bytes a weight,
//           four times a file of 4 bits. A single row of the quantised types takes 1.0 to 2.4 x stock's time. Least cosine of MiniLM
//           q8_0 over 152 texts .9993, of stock's .9978.
#pragma once
namespace {

// A row's activations to 16 bits: pairs[j * stride] is the j-th pair. A block has two scales: what to multiply with, and the sum
// of its numbers. BY_LENGTH: for weights that are as long themselves (blocks-inl.h).
template <bool BY_LENGTH> void quantize_row(const float * x, int64_t numbers, int32_t * pairs, float * scales, int64_t stride) {
    for (int64_t b = 0; b < numbers; b += BLOCK, x += BLOCK) {
        Floats part[BLOCK / WIDTH];
        // By their bits, infinity is above every number and NaN above infinity: the scale passes both on.
        Ints peak = {};
        for (int i = 0; i < BLOCK / WIDTH; i++) {
            part[i] = numbers - b > i * WIDTH ? load_part(x + i * WIDTH, numbers - b - i * WIDTH) : Floats{};
            peak    = larger(peak, bits_of(part[i]) & 0x7fffffff);
        }
        const float size  = float_of(largest_of(peak));
        float       scale = size / 32767.0f;
        if (BY_LENGTH) {
            const float unit    = size > 0 ? 1.0f / size : 0.0f;
            Floats      squares = {};
            for (int i = 0; i < BLOCK / WIDTH; i++) {
                squares += part[i] * unit * (part[i] * unit);
            }
            scale = size * scale_by_length(sum_of(squares));
        }
        const float by  = scale > 0 ? 1.0f / scale : 0.0f;
        Ints        sum = {};
        int32_t     packed[WORDS];
        for (int i = 0; i < BLOCK / WIDTH; i++) {
            const Floats near = part[i] * by + ROUND;
            const Shorts low  = __builtin_convertvector(bits_of(near), Shorts);
            memcpy((int16_t *) packed + i * WIDTH, &low, sizeof(low));
            sum += bits_of(near) - bits_of(splat(ROUND));
        }
        for (int j = 0; j < WORDS; j++, pairs += stride) {
            *pairs = packed[j];
        }
        scales[0]      = scale;
        scales[stride] = scale * sum_of(__builtin_convertvector(sum, Floats));
        scales += 2 * stride;
    }
}

inline void pack_block(const int16_t * const * rows, int32_t * out) {
    for (int half = 0; half < 2; half++) {
        const void * from[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            from[i] = rows[i] + half * WORDS;
        }
        transpose(from, out + half * WORDS / 2 * WIDTH);
    }
}

// WIDTH blocks of rows of weights side by side, as integers.
template <class Type> struct Blocks {
    typedef typename Type::Number Number;
    static const int SCALES = Type::SECOND == NONE ? WIDTH : 2 * WIDTH;  // of a piece

    const Number * at[WIDTH];
    float          scales[Type::PIECES * SCALES];

    // The scales alone of rows from `rows` on, or of as many as there are.
    void read_scales(const char * rows, size_t row_bytes, int64_t count, int64_t block) {
        const typename Type::Block * from[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            from[i] = (const typename Type::Block *) (rows + (size_t) (i < count ? i : count - 1) * row_bytes) + block;
        }
        Type::scales(from, nullptr, scales);
    }
    // Of rows from `rows` on, or of as many as there are; n: the numbers that a row still has there.
    void read(const char * rows, size_t row_bytes, int64_t count, int64_t block, int64_t n) {
        typedef typename Type::Block Block;
        const Block * from[WIDTH];
        Block         rest[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            from[i] = (const Block *) (rows + (size_t) (i < count ? i : count - 1) * row_bytes) + block;
            if (n < Type::PIECES * BLOCK) {
                memset(rest + i, 0, sizeof(Block));
                memcpy(rest + i, from[i], (size_t) n * sizeof(Block) / (Type::PIECES * BLOCK));
                from[i] = rest + i;
            }
        }
        fetch(rows + WIDTH * row_bytes, block, sizeof(Block));
        float own[WIDTH][Type::PIECES];
        for (int i = 0; i < WIDTH; i++) {
            at[i] = Type::numbers(*from[i], space[i], own[i]);
        }
        Type::scales(from, own, scales);
    }

  private:
    alignas(64) Number space[WIDTH][Type::PIECES * BLOCK];
};

template <class Type>
void pack_panel(const char * weights, size_t row_bytes, int64_t rows, int64_t numbers, int32_t * panel, float * scales) {
    const int64_t NUMBERS = Type::PIECES * BLOCK;
    Blocks<Type>  blocks;
    for (int64_t b = 0; b * NUMBERS < numbers; b++) {
        blocks.read(weights, row_bytes, rows, b, numbers - b * NUMBERS);
        for (int p = 0; p < Type::PIECES; p++, panel += WORDS * WIDTH) {
            const typename Type::Number * piece[WIDTH];
            for (int i = 0; i < WIDTH; i++) {
                piece[i] = blocks.at[i] + p * BLOCK;
            }
            pack_block(piece, panel);
        }
        memcpy(scales, blocks.scales, sizeof(blocks.scales));
        scales += Type::PIECES * Blocks<Type>::SCALES;
    }
}

// Dot products are kept in several chains where few rows would leave the multipliers waiting. STREAMED: the panel is in memory, and
// was not made right before.
template <int R, bool STREAMED> inline void dot_words(Ints (&sums)[R], const int32_t * pairs, const int32_t * panel, int words) {
    constexpr int chains = R == 1 ? 8 : R <= 3 ? 4 : R <= 5 ? 2 : 1;
    Ints          dots[chains][R] = {};
#pragma GCC unroll 1  // gcc 12 unrolls eight words as a whole and keeps the sums in memory: .77 of the speed (q6_k, AVX2)
    for (int j = 0; j < words; j += chains) {
        for (int c = 0; c < chains; c++) {
            const Ints w = load(panel + (j + c) * WIDTH);
            if (STREAMED) {
                __builtin_prefetch(panel + (j + c + WORDS_AHEAD) * WIDTH);
            }
            for (int r = 0; r < R; r++) {
                dots[c][r] = dot_pairs(dots[c][r], w, splat(pairs[(j + c) * R + r]));
            }
        }
    }
    for (int r = 0; r < R; r++) {
        sums[r] = dots[0][r];
        for (int c = 1; c < chains; c++) {
            sums[r] += dots[c][r];
        }
    }
}

template <int R, Second SECOND, bool STREAMED> void multiply(const Tile & tile, const int32_t * panel, const float * scales, int64_t blocks) {
    const int       parts = SECOND == HALVES ? 2 : 1;
    Floats          sums[R] = {};
    const int32_t * pairs   = tile.words;
    for (int64_t b = 0; b < blocks; b++) {
        const float * by = tile.scales + 2 * b * R;
        for (int part = 0; part < parts; part++, pairs += WORDS / parts * R, panel += WORDS / parts * WIDTH, scales += WIDTH) {
            Ints dots[R];
            dot_words<R, STREAMED>(dots, pairs, panel, WORDS / parts);
            const Floats scale = load(scales);
            for (int r = 0; r < R; r++) {
                sums[r] += __builtin_convertvector(dots[r], Floats) * (scale * by[r]);
            }
        }
        if (SECOND == LEASTS) {
            const Floats least = load(scales);
            for (int r = 0; r < R; r++) {
                sums[r] -= least * by[R + r];
            }
            scales += WIDTH;
        }
    }
    for (int r = 0; r < R; r++) {
        store_part(tile.out + (size_t) r * tile.stride, sums[r], tile.columns);
    }
}

template <Second S, bool M> struct ByIntegers {
    static const Multiply MULTIPLY[ROWS + 1];
};
template <Second S, bool M>
const Multiply ByIntegers<S, M>::MULTIPLY[ROWS + 1] = {
    nullptr,        multiply<1, S, M>, multiply<2, S, M>, multiply<3, S, M>,  multiply<4, S, M>,  multiply<5, S, M>,  multiply<6, S, M>,
#if ROWS > 6
    multiply<7, S, M>, multiply<8, S, M>, multiply<9, S, M>, multiply<10, S, M>, multiply<11, S, M>, multiply<12, S, M>,
#endif
};

inline Ints pairs_of(const int8_t * numbers) { return widened(numbers); }
inline Ints pairs_of(const int16_t * numbers) { return load((const int32_t *) numbers); }

// One row does not pay for panels: each number of the result is a dot product of its own, summed as those of many rows are. (Not
// where halves of a piece have scales of their own: a vector may hold both.)
template <class Type, bool BY_LENGTH> void multiply_row(const Matrices & m, saur::Scratch & scratch) {
    const int64_t NUMBERS = Type::PIECES * BLOCK, pieces = (m.numbers + BLOCK - 1) / BLOCK;
    auto *        pairs   = scratch.get<int32_t>(saur::Scratch::ACTIVATIONS, pieces * WORDS);
    auto *        scales  = scratch.get<float>(saur::Scratch::SCALES, 2 * pieces);
    quantize_row<BY_LENGTH>((const float *) m.x, m.numbers, pairs, scales, 1);
    Blocks<Type> blocks;
    for (int64_t c = 0; c < m.columns; c += WIDTH) {
        const int64_t some = m.columns - c < WIDTH ? m.columns - c : WIDTH;
        Floats        sum  = {};
        for (int64_t b = 0; b * NUMBERS < m.numbers; b++) {
            blocks.read(m.weights + (size_t) c * m.weights_stride, m.weights_stride, some, b, m.numbers - b * NUMBERS);
            for (int p = 0; p < Type::PIECES; p++) {
                const int32_t * x = pairs + (b * Type::PIECES + p) * WORDS;
                const float *   by = scales + 2 * (b * Type::PIECES + p), *of = blocks.scales + p * Blocks<Type>::SCALES;
                Ints            dots[WIDTH] = {};
                for (int i = 0; i < WIDTH; i++) {
                    for (int j = 0; j < WORDS; j += WIDTH) {
                        dots[i] = dot_pairs(dots[i], pairs_of(blocks.at[i] + p * BLOCK + 2 * j), load(x + j));
                    }
                }
                sum += __builtin_convertvector(sum_of_each(dots), Floats) * (load(of) * by[0]);
                if (Type::SECOND == LEASTS) {
                    sum -= load(of + WIDTH) * by[1];
                }
            }
        }
        float numbers[WIDTH];
        store(numbers, sum);
        finish(m, numbers, 0, 1, c);
    }
}

template <class Type, bool BY_LENGTH> Format format_of() {
    return { BLOCK, quantize_row<BY_LENGTH>, pack_panel<Type>, ByIntegers<Type::SECOND, BY_LENGTH>::MULTIPLY };
}

template <class Type, bool BY_LENGTH = false> void product(const saur::Product & product, saur::Scratch & scratch) {
    each_product(product, [&](const Matrices & m) {
        if (m.rows == 1 && !m.in_panels && Type::SECOND != HALVES) {
            multiply_row<Type, BY_LENGTH>(m, scratch);
        } else {
            multiply_by_panels(m, format_of<Type, BY_LENGTH>(), scratch);
        }
    });
}

// Of 16-bit floats: as many bytes as integers, but for their scales.
template <class Type> bool put_in_panels_as_integers(const ggml_tensor * weights, float * scales, saur::Scratch & scratch) {
    return put_in_panels(weights, format_of<Type, true>(), scales, scratch);
}

}  // namespace
