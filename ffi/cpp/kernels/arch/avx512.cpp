// The kernels for CPUs with AVX-512 and VNNI; compiled for those alone, see build/CMakeLists.txt.
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)
#    include <immintrin.h>

#    define WIDTH 16
#    define ROWS  12  // of a tile: two registers of 32 for each
#    define HAS_BF16

#    if defined(__linux__) && defined(__x86_64__)
#        define HAS_AMX

#        include <sys/syscall.h>
#        include <unistd.h>

namespace {
// The kernel lends a process the matrix unit's registers when it asks for them.
bool may_use_amx() {
    const long ask = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, ask, tile_data) == 0;
}
}  // namespace
#    endif

namespace {
inline __m512 load_halves(const unsigned short * p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) p)); }
inline float  sum_of(__m512 v) { return _mm512_reduce_add_ps(v); }
inline float  largest_of(__m512 v) { return _mm512_reduce_max_ps(v); }
}  // namespace

#    include "kernels/inl/vector-inl.h"

namespace {

inline int32_t largest_of(Ints v) { return _mm512_reduce_max_epi32((__m512i) v); }

inline Ints dot_pairs(Ints sum, Ints a, Ints b) {
    return (Ints) _mm512_dpwssd_epi32((__m512i) sum, (__m512i) a, (__m512i) b);
}

// 32 bytes as pairs of 16-bit integers
inline Ints widened(const int8_t * bytes) { return (Ints) _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *) bytes)); }

inline Bytes shuffled(Bytes from, Bytes places) { return (Bytes) _mm_shuffle_epi8((__m128i) from, (__m128i) places); }

// Lane i is the sum of the i-th vector's lanes.
inline Ints sum_of_each(const Ints * v) {
    __m512i two[8], four[4], eight[2];
    for (int i = 0; i < 8; i++) {
        const __m512i a = (__m512i) v[2 * i], b = (__m512i) v[2 * i + 1];
        two[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    }
    for (int i = 0; i < 4; i++) {
        four[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(two[2 * i], two[2 * i + 1]), _mm512_unpackhi_epi64(two[2 * i], two[2 * i + 1]));
    }
    const auto by_quarters = [](__m512i a, __m512i b) {
        return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
    };
    eight[0] = by_quarters(four[0], four[1]);
    eight[1] = by_quarters(four[2], four[3]);
    return (Ints) by_quarters(eight[0], eight[1]);
}

// Of 16 rows of 32 bytes, the i-th vector of `out` gets the i-th four bytes of each, one lane a row.
inline void transpose(const void * const * rows, int32_t * out) {
    __m512i r[8], t[8];
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *) rows[i])),
                                  _mm256_loadu_si256((const __m256i *) rows[i + 8]), 1);
    }
    // Both halves are transposed as 8 x 8 groups of four bytes.
    for (int i = 0; i < 8; i += 2) {
        t[i]     = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        r[i]     = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13), high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
    for (int i = 0; i < 4; i++) {
        store(out + i * WIDTH, (Ints) _mm512_permutex2var_epi64(r[i], low, r[i + 4]));
        store(out + (i + 4) * WIDTH, (Ints) _mm512_permutex2var_epi64(r[i], high, r[i + 4]));
    }
}

// 16 rows of 32 bytes become 16 vectors of pairs of 16-bit integers, one lane a row.
inline void pack_block(const int8_t * const * rows, int32_t * out) {
    int32_t t[8 * WIDTH];
    transpose((const void * const *) rows, t);
    // Of each four bytes the first two, then the last two, each into the upper half of 16 bits and then shifted down.
    const __m512i first = _mm512_set1_epi32(0x01800080), second = _mm512_set1_epi32(0x03800280);
    const __m512i lanes = _mm512_set4_epi32(0x0c000c00, 0x08000800, 0x04000400, 0);
    for (int i = 0; i < 8; i++) {
        const __m512i four = _mm512_loadu_si512(t + i * WIDTH);
        const __m512i a = _mm512_shuffle_epi8(four, _mm512_add_epi8(first, lanes));
        const __m512i b = _mm512_shuffle_epi8(four, _mm512_add_epi8(second, lanes));
        store(out + 2 * i * WIDTH, (Ints) _mm512_srai_epi16(a, 8));
        store(out + (2 * i + 1) * WIDTH, (Ints) _mm512_srai_epi16(b, 8));
    }
}

}  // namespace

#    include "kernels/inl/kernels-inl.h"

extern const saur::Kernels kernels_avx512, kernels_avx512_bf16, kernels_amx;

const saur::Kernels kernels_avx512 = { "AVX-512", gelu, attention, nullptr, softmax, norm, combine, PRODUCTS, {}, nullptr };
const saur::Kernels kernels_avx512_bf16 = { "AVX-512 with BF16", gelu, attention, nullptr, softmax, norm, combine, PRODUCTS,
                                            { GGML_TYPE_BF16, product_bf16, put_in_panels_bf16, 0 }, nullptr };
#    ifdef HAS_AMX
const saur::Kernels kernels_amx = { "AVX-512 with AMX", gelu, attention, attention_amx, softmax, norm, combine, PRODUCTS_AMX,
                                    { GGML_TYPE_BF16, product_amx, put_in_panels_bf16, 0 }, may_use_amx };
#    endif
#endif
