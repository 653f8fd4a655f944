#include "guard/processor.h"

#include "os/os.h"

#include <initializer_list>

namespace saur {
namespace {

// Bits of XCR0.
constexpr uint64_t YMM = 0x6, ZMM = 0xe6, TILES = 0x60000;

struct Bit {
    saur_cpu_feature feature;
    unsigned         number;
    uint64_t         registers;
};

int32_t found(unsigned answer, uint64_t registers, std::initializer_list<Bit> bits) {
    int32_t features = 0;
    for (const Bit & bit : bits) {
        const bool has = (answer >> bit.number & 1) && (registers & bit.registers) == bit.registers;
        features |= has ? bit.feature : 0;
    }
    return features;
}

}  // namespace

// Leaves and bits: Intel SDM volume 2A, CPUID.
int32_t processor_features() {
    os::CpuLeaf l1, l7, l71;
    if (!os::cpuid(1, 0, l1) || !os::cpuid(7, 0, l7) || !os::cpuid(7, 1, l71)) {
        return -1;
    }
    const uint64_t r = os::saved_registers();
    return found(l1.ecx, r, { { SAUR_CPU_SSE42, 20, 0 },
                              { SAUR_CPU_AVX, 28, YMM },
                              { SAUR_CPU_FMA, 12, YMM },
                              { SAUR_CPU_F16C, 29, YMM } }) |
           found(l7.ebx, r, { { SAUR_CPU_AVX2, 5, YMM },
                              { SAUR_CPU_BMI2, 8, 0 },
                              { SAUR_CPU_AVX512F, 16, ZMM },
                              { SAUR_CPU_AVX512DQ, 17, ZMM },
                              { SAUR_CPU_AVX512BW, 30, ZMM },
                              { SAUR_CPU_AVX512VL, 31, ZMM } }) |
           found(l7.ecx, r, { { SAUR_CPU_AVX512_VBMI, 1, ZMM },
                              { SAUR_CPU_VAES, 9, YMM },
                              { SAUR_CPU_AVX512_VNNI, 11, ZMM } }) |
           found(l7.edx, r, { { SAUR_CPU_AMX_BF16, 22, TILES },
                              { SAUR_CPU_AMX_TILE, 24, TILES },
                              { SAUR_CPU_AMX_INT8, 25, TILES } }) |
           found(l71.eax, r, { { SAUR_CPU_AVX_VNNI, 4, YMM }, { SAUR_CPU_AVX512_BF16, 5, ZMM } });
}

}  // namespace saur
