// Compares what ggml-cpu was compiled for with the CPU that runs, before ggml is called: a library from another
// machine's cache would otherwise end in SIGILL.
#include "guard/cpu_check.h"

#include "os/os.h"

extern "C" const int32_t saur_cpu_compiled;

namespace saur {
namespace {

const char * const NAMES[] = { "SSE4.2",    "AVX",          "AVX2",          "FMA",           "F16C",
                               "BMI2",      "AVX512F",      "AVX512BW",      "AVX512_VNNI",   "AVX512_BF16",
                               "AVX512VBMI", "AVX_VNNI",    "AMX_INT8",      "VAES" };
constexpr int      COUNT   = sizeof(NAMES) / sizeof(NAMES[0]);

int32_t present() {
    os::CpuLeaf l1, l7, l71;
    if (!os::cpuid(1, 0, l1) || !os::cpuid(7, 0, l7) || !os::cpuid(7, 1, l71)) {
        return -1;  // no check on this architecture; ARM builds target the machine's baseline
    }
    const bool bits[COUNT] = {
        (l1.ecx >> 20 & 1) != 0,  (l1.ecx >> 28 & 1) != 0,  (l7.ebx >> 5 & 1) != 0,  (l1.ecx >> 12 & 1) != 0,
        (l1.ecx >> 29 & 1) != 0,  (l7.ebx >> 8 & 1) != 0,   (l7.ebx >> 16 & 1) != 0, (l7.ebx >> 30 & 1) != 0,
        (l7.ecx >> 11 & 1) != 0,  (l71.eax >> 5 & 1) != 0,  (l7.ecx >> 1 & 1) != 0,  (l71.eax >> 4 & 1) != 0,
        (l7.edx >> 25 & 1) != 0,  (l7.ecx >> 9 & 1) != 0,
    };
    int32_t mask = 0;
    for (int i = 0; i < COUNT; i++) {
        mask |= bits[i] ? 1 << i : 0;
    }
    return mask;
}

}  // namespace

std::string cpu_missing(int32_t also) {
    const int32_t missing = (saur_cpu_compiled | also) & ~present();
    std::string   names;
    for (int i = 0; i < COUNT; i++) {
        if (missing >> i & 1) {
            names += (names.empty() ? "" : ", ") + std::string(NAMES[i]);
        }
    }
    return names;
}

}  // namespace saur
