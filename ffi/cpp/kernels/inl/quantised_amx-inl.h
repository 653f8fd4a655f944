// Included by arch/avx512.cpp (kernels-inl.h) after products-inl.h and amx-inl.h, on Linux; needs what amx-inl.h needs. At its end is
// the list of products by AMX: those of products-inl.h, of the same types.
//
// computes  MUL_MAT with quantised weights: W x, plus bias, GELU, residual where the graph goes on so
// layout    as amx-inl.h; each pass makes panels of bf16 of two times 16 columns, which stay in the cache
// rounds    weights and activations to bf16. That costs a tenth to a third of what rounding a quantised type's weights did, and an
//           eighth to a half of what ggml-cpu's activations of 8 bits cost. Exact operands were tried: two bf16 each, three products,
//           take 3.0 to 4.0 x the time of one product, so a whole MiniLM half of bf16's speed; bytes as f16_amx-inl.h has them 1.5 x
// sums      as amx-inl.h
// measured  384 x 1536, Xeon with AMX, 256 rows and 5, microseconds: bf16 in panels 559, 23; q8_0 655, 84; q4_0 646, 99 (by vectors
//           of 16-bit integers 1433, 65 and 1595, 77). MiniLM, paragraphs, of bf16's texts a processor second: .82 to .90, by vectors
//           .49 to .54
#pragma once
namespace {

// Byte AT of each four, which is 128 more than a number: scale * number - least, if `shift` is -(32768 + 128) * scale - least.
template <int AT> inline __m512 dequantised(__m512i bytes, __m512 scale, __m512 shift) {
    const __m512i to = _mm512_set1_epi32(0x47000000);  // 32768; its bits from the eighth on count one
    const __m512i places = _mm512_set4_epi32(0x0c00 + 0x100 * AT, 0x0800 + 0x100 * AT, 0x0400 + 0x100 * AT, 0x100 * AT);
    return _mm512_fmadd_ps((__m512) _mm512_mask_shuffle_epi8(to, 0x2222222222222222, bytes, places), scale, shift);
}

// Two numbers of each column, to the nearest bf16, beside each other.
inline Ints paired(__m512 even, __m512 odd) {
    const __m512i half = _mm512_set1_epi32(0x8000);
    const __m512i low = _mm512_srli_epi32(_mm512_add_epi32((__m512i) even, half), 16), high = _mm512_add_epi32((__m512i) odd, half);
    return (Ints) _mm512_mask_blend_epi16(0xaaaaaaaa, low, high);
}

const float ZERO_BYTE = 32768 + 128;

template <class Type>
WITH_AMX void pack_panel_amx(const char * weights, size_t row_bytes, int64_t rows, int64_t numbers, int32_t * panel, float *) {
    const int64_t NUMBERS = Type::PIECES * BLOCK;
    Blocks<Type>  blocks;
    for (int64_t b = 0; b * NUMBERS < numbers; b++) {
        blocks.read(weights, row_bytes, rows, b, numbers - b * NUMBERS);
        for (int p = 0; p < Type::PIECES; p++) {
            const void * piece[WIDTH];
            for (int i = 0; i < WIDTH; i++) {
                piece[i] = blocks.at[i] + p * BLOCK;
            }
            int32_t t[8 * WIDTH];
            transpose(piece, t);
            const float * of = blocks.scales + p * Blocks<Type>::SCALES;
            __m512 scale = (__m512) load(of), shift = scale * -ZERO_BYTE;
            if (Type::SECOND == LEASTS) {
                shift -= (__m512) load(of + WIDTH);
            }
            for (int i = 0; i < 8; i++, panel += 2 * WIDTH) {
                if (Type::SECOND == HALVES && i == 4) {
                    scale = (__m512) load(of + WIDTH);
                    shift = scale * -ZERO_BYTE;
                }
                const __m512i four = _mm512_xor_si512((__m512i) load(t + i * WIDTH), _mm512_set1_epi8(-128));
                store(panel, paired(dequantised<0>(four, scale, shift), dequantised<1>(four, scale, shift)));
                store(panel + WIDTH, paired(dequantised<2>(four, scale, shift), dequantised<3>(four, scale, shift)));
            }
        }
    }
}

template <class Type> WITH_AMX void product_rounded(const saur::Product & product, saur::Scratch & scratch) {
    const WholeTiles tiles;
    each_product(product, [&](const Matrices & m) { multiply_by_amx(m, pack_panel_amx<Type>, scratch); });
}

const saur::ProductOf PRODUCTS_AMX[] = {
    { GGML_TYPE_F32, product_f32, put_in_panels_f32, 0 },
    { GGML_TYPE_F16, product_f16_amx, put_in_panels_f16_amx, BLOCK },
    { GGML_TYPE_BF16, product<BF16, true>, put_in_panels_as_integers<BF16>, BLOCK },
    { GGML_TYPE_Q8_0, product_rounded<Q8_0>, nullptr, 0, true },
    { GGML_TYPE_Q4_0, product_rounded<Q4_0>, nullptr, 0, true },
    { GGML_TYPE_Q4_1, product_rounded<Q4_1>, nullptr, 0, true },
    { GGML_TYPE_Q5_0, product_rounded<Q5_0>, nullptr, 0, true },
    { GGML_TYPE_Q5_1, product_rounded<Q5_1>, nullptr, 0, true },
    { GGML_TYPE_Q4_K, product_rounded<Q4_K>, nullptr, 0, true },
    { GGML_TYPE_Q5_K, product_rounded<Q5_K>, nullptr, 0, true },
    { GGML_TYPE_Q6_K, product_rounded<Q6_K>, nullptr, 0, true },
    { GGML_TYPE_Q3_K, product_rounded<Q3_K>, nullptr, 0, true },
    { GGML_TYPE_IQ4_NL, product_rounded<IQ4_NL>, nullptr, 0, true },
    { GGML_TYPE_IQ4_XS, product_rounded<IQ4_XS>, nullptr, 0, true },
    { GGML_TYPE_MXFP4, product_rounded<MXFP4>, nullptr, 0, true },
    {},
};

}  // namespace
