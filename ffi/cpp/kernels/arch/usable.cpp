// Finds out which kernels the processor can run.
#include "kernels/kernels.h"

#include "guard/processor.h"
#include "os/os.h"

#if defined(SAUR_KERNELS_X86)
extern const saur::Kernels kernels_avx2, kernels_avx512, kernels_avx512_bf16;
#    if defined(__linux__)
extern const saur::Kernels kernels_amx;
#    endif
#elif defined(SAUR_KERNELS_ARM)
extern const saur::Kernels kernels_neon;
#endif

namespace saur {
#if defined(SAUR_KERNELS_X86)
namespace {

// What the compiler was told for each file of this folder, build/CMakeLists.txt.
constexpr int32_t AVX2   = SAUR_CPU_AVX2 | SAUR_CPU_FMA | SAUR_CPU_F16C;
constexpr int32_t AVX512 = AVX2 | SAUR_CPU_AVX512F | SAUR_CPU_AVX512BW | SAUR_CPU_AVX512VL | SAUR_CPU_AVX512DQ |
                           SAUR_CPU_AVX512_VNNI;
constexpr int32_t BF16   = AVX512 | SAUR_CPU_AVX512_BF16;
constexpr int32_t AMX    = BF16 | SAUR_CPU_AMX_TILE | SAUR_CPU_AMX_BF16 | SAUR_CPU_AMX_INT8;

// Whether AVX512-BF16 multiplies as fast as 16-bit integers: a cycle an instruction on AMD. Intel's cores with AMX take two, half
// as fast as floats even (Xeon of family 6, model 207, lent without AMX: 43 of 89 G products a second, integers 185).
bool multiplies_bf16_well() {
    os::CpuLeaf vendor;
    return os::cpuid(0, 0, vendor) && vendor.ebx == 0x68747541;  // "Auth", of AuthenticAMD
}

}  // namespace
#endif

std::vector<const Kernels *> usable_kernels() {
    std::vector<const Kernels *> all;
#if defined(SAUR_KERNELS_X86)
    const int32_t features = processor_features();
    const auto    has      = [&](int32_t asked) { return (features & asked) == asked; };
#    if defined(__linux__)
    if (has(AMX) && kernels_amx.may_be_used()) {
        all.push_back(&kernels_amx);
    }
#    endif
    if (has(BF16) && multiplies_bf16_well()) {
        all.push_back(&kernels_avx512_bf16);
    }
    if (has(AVX512)) {
        all.push_back(&kernels_avx512);
    }
    if (has(BF16) && !multiplies_bf16_well()) {  // for kernels_check
        all.push_back(&kernels_avx512_bf16);
    }
    if (has(AVX2)) {
        all.push_back(&kernels_avx2);
    }
#elif defined(SAUR_KERNELS_ARM)
    all.push_back(&kernels_neon);
#endif
    return all;
}

const Kernels * kernels_of_cpu() {
    static const Kernels * const best = [] {
        const auto all = usable_kernels();
        return all.empty() ? nullptr : all[0];
    }();
    return best;
}

}  // namespace saur
