// What the compiler was told this CPU can do. Compiled with exactly ggml-cpu's options, and holds no code, so that it
// can be read on a CPU that would not survive ggml-cpu's first instruction. The bits are named in cpu_features.h.
#include "guard/cpu_features.h"

#include <stdint.h>

extern const int32_t saur_cpu_compiled;

// Somebody else's libraries (build --llama) choose their code by the CPU that runs: nothing to compare.
const int32_t saur_cpu_compiled = 0
#if !defined(SAUR_PREBUILT)
#if defined(__SSE4_2__)
    | SAUR_CPU_SSE42
#endif
#if defined(__AVX__)
    | SAUR_CPU_AVX
#endif
#if defined(__AVX2__)
    | SAUR_CPU_AVX2
#endif
#if defined(__FMA__)
    | SAUR_CPU_FMA
#endif
#if defined(__F16C__)
    | SAUR_CPU_F16C
#endif
#if defined(__BMI2__)
    | SAUR_CPU_BMI2
#endif
#if defined(__AVX512F__)
    | SAUR_CPU_AVX512F
#endif
#if defined(__AVX512BW__)
    | SAUR_CPU_AVX512BW
#endif
#if defined(__AVX512VNNI__)
    | SAUR_CPU_AVX512_VNNI
#endif
#if defined(__AVX512BF16__)
    | SAUR_CPU_AVX512_BF16
#endif
#if defined(__AVX512VBMI__)
    | SAUR_CPU_AVX512_VBMI
#endif
#if defined(__AVXVNNI__)
    | SAUR_CPU_AVX_VNNI
#endif
#if defined(__AMX_INT8__)
    | SAUR_CPU_AMX_INT8
#endif
#if defined(__VAES__)
    | SAUR_CPU_VAES
#endif
#if defined(__AVX512DQ__)
    | SAUR_CPU_AVX512DQ
#endif
#if defined(__AVX512VL__)
    | SAUR_CPU_AVX512VL
#endif
#if defined(__AMX_TILE__)
    | SAUR_CPU_AMX_TILE
#endif
#if defined(__AMX_BF16__)
    | SAUR_CPU_AMX_BF16
#endif
#endif
    ;
