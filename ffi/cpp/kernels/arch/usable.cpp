// Finds out which kernels the processor can run.
#include "kernels/kernels.h"

#if defined(SAUR_KERNELS_X86)
extern const saur::Kernels kernels_avx2, kernels_avx512, kernels_avx512_bf16;
#    if defined(__linux__)
extern const saur::Kernels kernels_amx;
#    endif
#elif defined(SAUR_KERNELS_ARM)
extern const saur::Kernels kernels_neon;
#endif

namespace saur {

std::vector<const Kernels *> usable_kernels() {
    std::vector<const Kernels *> all;
#if defined(SAUR_KERNELS_X86)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")) {
#    if defined(__linux__)
        if (__builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") && __builtin_cpu_supports("avx512bf16") &&
            kernels_amx.may_be_used()) {
            all.push_back(&kernels_amx);
        }
#    endif
        all.push_back(__builtin_cpu_supports("avx512bf16") ? &kernels_avx512_bf16 : &kernels_avx512);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {  // no CPU has them without F16C
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
        // ARM's pass tests/native/kernels_check/kernels_check.cpp under qemu. Whether they are any faster nobody has measured, so they are off.
#if defined(SAUR_KERNELS_ARM)
        return (const Kernels *) nullptr;
#else
        return all.empty() ? nullptr : all[0];
#endif
    }();
    return best;
}

}  // namespace saur
