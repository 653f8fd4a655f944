/* The features of x86-64 processors that matter here, one bit each, for C and C++. tests/ffi/open_test.ts has the names. */
#pragma once

enum saur_cpu_feature {
    SAUR_CPU_SSE42       = 1 << 0,
    SAUR_CPU_AVX         = 1 << 1,
    SAUR_CPU_AVX2        = 1 << 2,
    SAUR_CPU_FMA         = 1 << 3,
    SAUR_CPU_F16C        = 1 << 4,
    SAUR_CPU_BMI2        = 1 << 5,
    SAUR_CPU_AVX512F     = 1 << 6,
    SAUR_CPU_AVX512BW    = 1 << 7,
    SAUR_CPU_AVX512_VNNI = 1 << 8,
    SAUR_CPU_AVX512_BF16 = 1 << 9,
    SAUR_CPU_AVX512_VBMI = 1 << 10,
    SAUR_CPU_AVX_VNNI    = 1 << 11,
    SAUR_CPU_AMX_INT8    = 1 << 12,
    SAUR_CPU_VAES        = 1 << 13,
    /* what our kernels ask for besides */
    SAUR_CPU_AVX512DQ    = 1 << 14,
    SAUR_CPU_AVX512VL    = 1 << 15,
    SAUR_CPU_AMX_TILE    = 1 << 16,
    SAUR_CPU_AMX_BF16    = 1 << 17
};
