// The kernels for 64-bit ARM: all but the products, which stay with ggml. They are on for their exactness: without them f32
// vectors are off by 1.8e-4, with them they are those of x64 to 1e-7. Run under qemu alone: how fast they are nobody has measured.
#if defined(__aarch64__) && defined(__ARM_NEON)
#    include <arm_neon.h>

#    define WIDTH 4

namespace {
typedef float FourFloats __attribute__((vector_size(16)));
inline FourFloats load_halves(const unsigned short * p) { return (FourFloats) vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
inline float      sum_of(FourFloats v) { return vaddvq_f32((float32x4_t) v); }
inline float      largest_of(FourFloats v) { return vmaxvq_f32((float32x4_t) v); }
}  // namespace

#    include "kernels/inl/vector-inl.h"

#    include "kernels/inl/kernels-inl.h"

extern const saur::Kernels kernels_neon;
const saur::Kernels        kernels_neon = { "NEON", gelu, attention, nullptr, softmax, norm, combine, nullptr, {}, nullptr };
#endif
