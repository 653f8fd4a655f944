// The kernels for 64-bit ARM: all but the products, which stay with ggml. All of tests/native/kernels_check/kernels_check.cpp, and the shim's
// harness on them, pass under qemu; on a processor they were never measured, and kernels_of_cpu() leaves them off.
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
const saur::Kernels        kernels_neon = { "NEON", gelu, attention, nullptr, norm, combine, nullptr, {}, {}, nullptr };
#endif
