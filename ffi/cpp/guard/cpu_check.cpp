// Compares what ggml-cpu was compiled for with the CPU that runs, before ggml is called: a library from another
// machine's cache would otherwise end in SIGILL.
#include "guard/guard.h"
#include "shim/shim.h"

#include <string>

#if defined(_MSC_VER) && (defined(_M_X64) || defined(_M_IX86))
#    include <immintrin.h>
#    include <intrin.h>
#endif

extern "C" const int32_t saur_cpu_compiled;

namespace {

const char * const NAMES[] = { "SSE4.2",    "AVX",          "AVX2",          "FMA",           "F16C",
                               "BMI2",      "AVX512F",      "AVX512BW",      "AVX512_VNNI",   "AVX512_BF16",
                               "AVX512VBMI", "AVX_VNNI",    "AMX_INT8",      "VAES" };
constexpr int      COUNT   = sizeof(NAMES) / sizeof(NAMES[0]);

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#    include <cpuid.h>

// Leaf and register bits: Intel SDM volume 2A, CPUID. Read by hand since the names that __builtin_cpu_supports
// knows differ between compilers.
struct Leaf {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};
Leaf leaf(unsigned number, unsigned sub) {
    Leaf l;
    if (__get_cpuid_max(0, nullptr) >= number) {
        __cpuid_count(number, sub, l.eax, l.ebx, l.ecx, l.edx);
    }
    return l;
}
#elif defined(_MSC_VER) && (defined(_M_X64) || defined(_M_IX86))
struct Leaf {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};
Leaf leaf(unsigned number, unsigned sub) {  // not run yet: no Windows machine at hand
    int  r[4];
    Leaf l;
    __cpuid(r, 0);
    if ((unsigned) r[0] >= number) {
        __cpuidex(r, (int) number, (int) sub);
        l.eax = (unsigned) r[0];
        l.ebx = (unsigned) r[1];
        l.ecx = (unsigned) r[2];
        l.edx = (unsigned) r[3];
    }
    return l;
}
#else
#    define SAUR_NO_CPUID
#endif

int32_t present() {
#if defined(SAUR_NO_CPUID)
    return -1;  // no check on this architecture; ARM builds target the machine's baseline
#else
    const Leaf l1 = leaf(1, 0), l7 = leaf(7, 0), l71 = leaf(7, 1);
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
#endif
}

}  // namespace

// Writes the names of what is compiled in (or asked for in `also`, bits as in cpu_features.c) and this CPU lacks.
SAUR_API int32_t saur_cpu_missing(char * out, int32_t size, int32_t also) {
    const int32_t missing = (saur_cpu_compiled | also) & ~present();
    std::string   names;
    for (int i = 0; i < COUNT; i++) {
        if (missing >> i & 1) {
            names += (names.empty() ? "" : ", ") + std::string(NAMES[i]);
        }
    }
    return saur::copy_text(names, out, size);
}
