// The kernels for CPUs with AVX2, FMA and F16C; compiled for those alone, see build/CMakeLists.txt.
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#    include <immintrin.h>

#    define WIDTH 8
#    define ROWS  6  // of a tile: two registers of 16 for each

namespace {
inline __m256 load_halves(const unsigned short * p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) p)); }
inline float  sum_of(__m256 v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    four        = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
inline float largest_of(__m256 v) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    four        = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}
}  // namespace

#    include "kernels/inl/vector-inl.h"

namespace {

inline int32_t largest_of(Ints v) {
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128((__m256i) v), _mm256_extracti128_si256((__m256i) v, 1));
    four         = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

inline Ints dot_pairs(Ints sum, Ints a, Ints b) { return sum + (Ints) _mm256_madd_epi16((__m256i) a, (__m256i) b); }

// 16 bytes as pairs of 16-bit integers
inline Ints widened(const int8_t * bytes) { return (Ints) _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *) bytes)); }

inline Bytes shuffled(Bytes from, Bytes places) { return (Bytes) _mm_shuffle_epi8((__m128i) from, (__m128i) places); }

// Lane i is the sum of the i-th vector's lanes.
inline Ints sum_of_each(const Ints * v) {
    __m256i four[2];
    for (int i = 0; i < 2; i++) {
        four[i] = _mm256_hadd_epi32(_mm256_hadd_epi32((__m256i) v[4 * i], (__m256i) v[4 * i + 1]),
                                    _mm256_hadd_epi32((__m256i) v[4 * i + 2], (__m256i) v[4 * i + 3]));
    }
    return (Ints) _mm256_permute2x128_si256(four[0], four[1], 0x20) + (Ints) _mm256_permute2x128_si256(four[0], four[1], 0x31);
}

// Of 8 rows of 32 bytes, the i-th vector of `out` gets the i-th four bytes of each, one lane a row.
inline void transpose(const void * const * rows, int32_t * out) {
    __m256i r[8], t[8];
    for (int i = 0; i < 8; i++) {
        r[i] = _mm256_loadu_si256((const __m256i *) rows[i]);
    }
    for (int i = 0; i < 8; i += 2) {
        t[i]     = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i]     = _mm256_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        store(out + i * WIDTH, (Ints) _mm256_permute2x128_si256(r[i], r[i + 4], 0x20));
        store(out + (i + 4) * WIDTH, (Ints) _mm256_permute2x128_si256(r[i], r[i + 4], 0x31));
    }
}

// 8 rows of 32 bytes become 16 vectors of pairs of 16-bit integers, one lane a row.
inline void pack_block(const int8_t * const * rows, int32_t * out) {
    int32_t t[8 * WIDTH];
    transpose((const void * const *) rows, t);
    // Of each four bytes the first two, then the last two, each into the upper half of 16 bits and then shifted down.
    for (int i = 0; i < 8; i++) {
        const __m256i four = _mm256_loadu_si256((const __m256i *) (t + i * WIDTH));
        const __m256i low  = _mm256_slli_epi16(four, 8);                                  // bytes 0 and 2
        const __m256i a    = _mm256_blend_epi16(low, _mm256_slli_epi32(four, 16), 0xaa);  // bytes 0 and 1
        const __m256i b    = _mm256_blend_epi16(_mm256_srli_epi32(low, 16), four, 0xaa);  // bytes 2 and 3
        store(out + 2 * i * WIDTH, (Ints) _mm256_srai_epi16(a, 8));
        store(out + (2 * i + 1) * WIDTH, (Ints) _mm256_srai_epi16(b, 8));
    }
}

}  // namespace

#    include "kernels/inl/kernels-inl.h"

extern const saur::Kernels kernels_avx2;
const saur::Kernels        kernels_avx2 = { "AVX2", gelu, attention, nullptr, softmax, norm, combine, PRODUCTS, {}, nullptr };
#endif
