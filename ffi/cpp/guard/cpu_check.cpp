// Compares what ggml-cpu was compiled for with the CPU that runs, before ggml is called: a library from another
// machine's cache would otherwise end in SIGILL.
#include "guard/cpu_check.h"

#include "guard/processor.h"

extern "C" const int32_t saur_cpu_compiled;

namespace saur {
namespace {

// in the order of their bits, cpu_features.h
const char * const NAMES[] = { "SSE4.2",    "AVX",          "AVX2",          "FMA",           "F16C",
                               "BMI2",      "AVX512F",      "AVX512BW",      "AVX512_VNNI",   "AVX512_BF16",
                               "AVX512VBMI", "AVX_VNNI",    "AMX_INT8",      "VAES",
                               "AVX512DQ",  "AVX512VL",    "AMX_TILE",      "AMX_BF16" };
constexpr int      COUNT   = sizeof(NAMES) / sizeof(NAMES[0]);

std::string names_of(int32_t features) {
    std::string names;
    for (int i = 0; i < COUNT; i++) {
        if (features >> i & 1) {
            names += (names.empty() ? "" : ", ") + std::string(NAMES[i]);
        }
    }
    return names;
}

}  // namespace

std::string cpu_missing(int32_t also) { return names_of((saur_cpu_compiled | also) & ~processor_features()); }

std::string cpu_compiled() { return names_of(saur_cpu_compiled); }

std::string cpu_features() {
    const int32_t features = processor_features();
    return features == -1 ? "" : names_of(features);  // -1: of another architecture
}

}  // namespace saur
