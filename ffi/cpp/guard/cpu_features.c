// What the compiler was told this CPU can do. Compiled with exactly ggml-cpu's options, and holds no code, so that it
// can be read on a CPU that would not survive ggml-cpu's first instruction. The bits are named in cpu_check.cpp.
#include <stdint.h>

extern const int32_t saur_cpu_compiled;

// Somebody else's libraries (build --llama) choose their code by the CPU that runs: nothing to compare.
const int32_t saur_cpu_compiled = 0
#if !defined(SAUR_PREBUILT)
#if defined(__SSE4_2__)
    | 1 << 0
#endif
#if defined(__AVX__)
    | 1 << 1
#endif
#if defined(__AVX2__)
    | 1 << 2
#endif
#if defined(__FMA__)
    | 1 << 3
#endif
#if defined(__F16C__)
    | 1 << 4
#endif
#if defined(__BMI2__)
    | 1 << 5
#endif
#if defined(__AVX512F__)
    | 1 << 6
#endif
#if defined(__AVX512BW__)
    | 1 << 7
#endif
#if defined(__AVX512VNNI__)
    | 1 << 8
#endif
#if defined(__AVX512BF16__)
    | 1 << 9
#endif
#if defined(__AVX512VBMI__)
    | 1 << 10
#endif
#if defined(__AVXVNNI__)
    | 1 << 11
#endif
#if defined(__AMX_INT8__)
    | 1 << 12
#endif
#if defined(__VAES__)
    | 1 << 13
#endif
#endif
    ;
