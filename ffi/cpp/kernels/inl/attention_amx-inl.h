// Included by arch/avx512.cpp (kernels-inl.h) after amx-inl.h and attention-inl.h, on Linux; needs WIDTH 16, transpose.
//
// computes  FLASH_ATTN_EXT of models with bf16 weights, as attention-inl.h, with keys and values of 16-bit floats
// layout    of one head and one run of tokens, as matrix tiles of 16 rows of 32 bf16:
//             queries [32 dimensions][16 queries], and what the bf16 lack
//             keys    [16 tokens][32 dimensions], and what the bf16 lack
//             values  [32 tokens][16 dimensions]
// rounds    values, and the weights that they are summed with, to bf16, as the activations of such a model's products are.
//           Scores may be large, and what is lost of them shows after the exponential: a query and a key are each the sum of
//           two bf16, which a 16-bit float is exactly, and all but the least of the four products are summed.
// sums      32-bit floats; values by a token's place among those of its sight (sight-inl.h): even and odd ones of each TOKENS
//           apart, then both. Tokens of it that a query does not see count as zeros.
// measured  passages of 512 tokens 1.41 x the texts a second of processor time (best; median 1.25), mixed paragraphs 1.06
//           (1.02), MiniLM, Xeon with AMX; least cosine of 200 paragraphs .999978, by vectors .999979, everything rounded
//           .999971 (commit 08b192f)
#pragma once
namespace {

const int64_t TOKENS = BLOCK, TILE_HALVES = TALL * BLOCK;

// Thirty-two numbers.
WITH_AMX inline void store_bf16(uint16_t * to, Floats first, Floats second) {
    const __m512bh pairs = _mm512_cvtne2ps_pbh((__m512) second, (__m512) first);
    memcpy(to, &pairs, sizeof(pairs));
}

// What the bf16 next to some numbers lack.
WITH_AMX inline Floats rest_of(Floats v) {
    const __m256bh halves = _mm512_cvtneps_pbh((__m512) v);
    __m256i        bits;
    memcpy(&bits, &halves, sizeof(bits));
    return v - (Floats) ((Words) _mm512_cvtepu16_epi32(bits) << 16);
}

// The two sequences of numbers in turns.
WITH_AMX inline void store_bf16_in_turns(uint16_t * to, Floats even, Floats odd) {
    const __m256bh a = _mm512_cvtneps_pbh((__m512) even), b = _mm512_cvtneps_pbh((__m512) odd);
    __m256i        bits[2];
    memcpy(bits, &a, sizeof(a));
    memcpy(bits + 1, &b, sizeof(b));
    store((int32_t *) to, (Ints) ((Words) _mm512_cvtepu16_epi32(bits[0]) | (Words) _mm512_cvtepu16_epi32(bits[1]) << 16));
}

// Keys and values of one head over [begin, end), as tiles for the second factor: keys by 16 tokens and 32 dimensions, a tile
// and what it lacks; values by 32 tokens and 16 dimensions. Zeros fill them up.
struct TiledHead {
    int64_t    dimensions, blocks;          // of 32 dimensions
    int64_t    out_dimensions, out_blocks;  // of 16
    int64_t    begin;
    uint16_t * keys;
    uint16_t * values;

    // those of sixteen tokens' keys, and of TOKENS tokens' values
    uint16_t * keys_of(int64_t sixteen) const { return keys + sixteen * 2 * blocks * TILE_HALVES; }
    uint16_t * values_of(int64_t run) const { return values + run * out_blocks * TILE_HALVES; }
};

inline Floats halves_of(const char * row, bool there, int64_t at, int64_t dimensions) {
    return there && at < dimensions ? load_halves_part((const uint16_t *) row + at, dimensions - at) : Floats{};
}

// Of sixteen tokens from `at` on, if there are so many.
WITH_AMX void tile_keys(const TiledHead & h, const ggml_tensor * k, const Sight & sight, int64_t at, int64_t i2, int64_t i3,
                        uint16_t * tiles) {
    const int64_t n = sight.end - sight.begin - at;
    alignas(64) uint16_t rows[2][WIDTH][BLOCK];
    for (int64_t c = 0; c < h.blocks * BLOCK; c += BLOCK) {
        for (int64_t t = 0; t < WIDTH; t++) {
            const char * row   = t < n ? sight.row_of(k, at + t, i2, i3) : nullptr;
            const Floats first = halves_of(row, t < n, c, h.dimensions), second = halves_of(row, t < n, c + WIDTH, h.dimensions);
            store_bf16(rows[0][t], first, second);
            store_bf16(rows[1][t], rest_of(first), rest_of(second));
        }
        for (int part = 0; part < 2; part++, tiles += TILE_HALVES) {
            for (int half = 0; half < 2; half++) {
                const void * from[WIDTH];
                for (int t = 0; t < WIDTH; t++) {
                    from[t] = rows[part][t] + half * WORDS;
                }
                transpose(from, (int32_t *) tiles + half * WORDS / 2 * WIDTH);
            }
        }
    }
}

// Of TOKENS tokens from `at` on, if there are so many.
WITH_AMX void tile_values(const TiledHead & h, const ggml_tensor * v, const Sight & sight, int64_t at, int64_t i2, int64_t i3,
                          uint16_t * tiles) {
    const int64_t n       = sight.end - sight.begin - at;
    const auto    part_of = [&](int64_t t, int64_t from) {
        return halves_of(t < n ? sight.row_of(v, at + t, i2, i3) : nullptr, t < n, from, h.out_dimensions);
    };
    for (int64_t b = 0; b < h.out_blocks; b++) {
        for (int64_t t = 0; t < TOKENS; t += 2, tiles += BLOCK) {
            store_bf16_in_turns(tiles, part_of(t, b * WIDTH), part_of(t + 1, b * WIDTH));
        }
    }
}

// The scores of 16 queries with N times 16 tokens; `queries` are tiles, each before what it lacks.
template <int N>
WITH_AMX void score_tiles(const TiledHead & h, const uint16_t * queries, const uint16_t * keys, float * scores, size_t stride) {
    const int64_t step = 2 * h.blocks * TILE_HALVES;
    _tile_zero(0);
    _tile_zero(1);
    if (N > 2) _tile_zero(2);
    if (N > 2) _tile_zero(3);
    for (int64_t b = 0; b < h.blocks; b++, queries += 2 * TILE_HALVES, keys += 2 * TILE_HALVES) {
        _tile_loadd(4, queries, 64);
        _tile_loadd(5, queries + TILE_HALVES, 64);
#define SCORE(i)                                           \
        _tile_loadd(6, keys + i * step, 64);               \
        _tile_dpbf16ps(i, 4, 6);                           \
        _tile_loadd(7, keys + i * step + TILE_HALVES, 64); \
        _tile_dpbf16ps(i, 5, 6);                           \
        _tile_dpbf16ps(i, 4, 7)
        SCORE(0);
        SCORE(1);
        if (N > 2) {
            SCORE(2);
            SCORE(3);
        }
#undef SCORE
    }
    _tile_stored(0, scores, stride);
    _tile_stored(1, scores + WIDTH, stride);
    if (N > 2) _tile_stored(2, scores + 2 * WIDTH, stride);
    if (N > 2) _tile_stored(3, scores + 3 * WIDTH, stride);
}

// The weighted sums of `runs` times TOKENS tokens' values, of N times 16 dimensions; `stride` is of the weights, in bytes.
template <int N>
WITH_AMX void weigh_tiles(const TiledHead & h, const uint16_t * weights, size_t stride, const uint16_t * values, int64_t runs,
                          float (*out)[TALL * WIDTH]) {
    _tile_zero(0);
    if (N > 1) _tile_zero(1);
    for (int64_t i = 0; i < runs; i++, values += h.out_blocks * TILE_HALVES) {
        _tile_loadd(4, weights + i * TOKENS, stride);
        _tile_loadd(5, values, 64);
        _tile_dpbf16ps(0, 4, 5);
        if (N > 1) {
            _tile_loadd(6, values + TILE_HALVES, 64);
            _tile_dpbf16ps(1, 4, 6);
        }
    }
    _tile_stored(0, out[0], 64);
    if (N > 1) _tile_stored(1, out[1], 64);
}

struct ByTiles {
    typedef TiledHead Keys;
    static const int  QUERIES = (int) TALL;

    static TiledHead read(const ggml_tensor * k, const ggml_tensor * v, int64_t i2, int64_t i3, const Sight & sight,
                          saur::Scratch & scratch) {
        TiledHead     h = { k->ne[0], rounded_up(k->ne[0], BLOCK) / BLOCK, v->ne[0], rounded_up(v->ne[0], WIDTH) / WIDTH, sight.begin, nullptr, nullptr };
        const int64_t padded = rounded_up(sight.end - sight.begin, TOKENS);
        h.keys   = scratch.get<uint16_t>(saur::Scratch::KEYS, padded * 2 * h.blocks * BLOCK);
        h.values = scratch.get<uint16_t>(saur::Scratch::VALUES, padded * h.out_blocks * WIDTH);
        for (int64_t t = 0; t < padded; t += WIDTH) {
            tile_keys(h, k, sight, t, i2, i3, h.keys_of(t / WIDTH));
        }
        for (int64_t t = 0; t < padded; t += TOKENS) {
            tile_values(h, v, sight, t, i2, i3, h.values_of(t / TOKENS));
        }
        return h;
    }

    WITH_AMX static void attend(const TiledHead & h, const Queries & tile, saur::Scratch & scratch) {
        // The tiles' tokens begin at a multiple of TOKENS from the head's, somewhat before the queries' perhaps.
        const int64_t at = tile.begin - h.begin, first = at / TOKENS * TOKENS, before = at - first, n = tile.end - tile.begin;
        const int64_t count = rounded_up(before + n, TOKENS), stride = count + WIDTH;
        float *       scores  = scratch.get<float>(saur::Scratch::SCORES, TALL * (stride + count / 2 + h.blocks * BLOCK));
        auto *        weights = (uint16_t *) (scores + TALL * stride), *queries = weights + TALL * count;
        for (int64_t c = 0; c < h.blocks * BLOCK; c += BLOCK) {
            for (int r = 0; r < TALL; r++) {
                const auto part = [&](int64_t from) {
                    return r < tile.rows && from < h.dimensions ? load_part(tile.queries[r] + from, h.dimensions - from) * tile.scale : Floats{};
                };
                const Floats lower = part(c), upper = part(c + WIDTH);
                uint16_t *   to    = queries + 2 * c * TALL + r * BLOCK;
                store_bf16(to, lower, upper);
                store_bf16(to + TILE_HALVES, rest_of(lower), rest_of(upper));
            }
        }
        settle();
        int64_t t = 0;
        for (; t + 4 * WIDTH <= count; t += 4 * WIDTH) {
            score_tiles<4>(h, queries, h.keys_of((first + t) / WIDTH), scores + t, (size_t) stride * sizeof(float));
        }
        for (; t < count; t += 2 * WIDTH) {
            score_tiles<2>(h, queries, h.keys_of((first + t) / WIDTH), scores + t, (size_t) stride * sizeof(float));
        }
        settle();
        float totals[TALL] = {};
        for (int r = 0; r < tile.rows; r++) {
            float * row = scores + r * stride;
            totals[r]   = soften_row(tile, r, row + before, tile.begin, n);
            memset(row, 0, (size_t) before * sizeof(float));
            memset(row + before + n, 0, (size_t) (count - before - n) * sizeof(float));
            for (int64_t i = 0; i < count; i += BLOCK) {
                store_bf16(weights + r * count + i, load(row + i), load(row + i + WIDTH));
            }
        }
        memset(weights + tile.rows * count, 0, (size_t) ((TALL - tile.rows) * count) * sizeof(uint16_t));
        for (int64_t b = 0; b < h.out_blocks; b += 2) {
            alignas(64) float out[2][TALL * WIDTH];
            const auto        weigh = b + 1 < h.out_blocks ? weigh_tiles<2> : weigh_tiles<1>;
            settle();
            weigh(h, weights, (size_t) count * sizeof(uint16_t), h.values_of(first / TOKENS) + b * TILE_HALVES, count / TOKENS, out);
            settle();
            for (int r = 0; r < tile.rows; r++) {
                const float by = totals[r] == 0 ? 0.0f : 1.0f / totals[r];
                for (int64_t i = 0; i < 2 && b + i < h.out_blocks; i++) {
                    const int64_t c = (b + i) * WIDTH;
                    store_part(tile.out[r] + c, load(out[i] + r * WIDTH) * by, h.out_dimensions - c);
                }
            }
        }
    }
};

WITH_AMX void attention_amx(ggml_tensor * op, saur::Scratch & scratch) {
    if (op->src[1]->type != GGML_TYPE_F16 || op->src[2]->type != GGML_TYPE_F16) {
        return attention(op, scratch);
    }
    const WholeTiles tiles;
    attend_by<ByTiles>(op, scratch);
}

}  // namespace
