// What the processor that runs can do: asked in one place, for "missing" (guard/cpu_check.cpp) and "usable"
// (kernels/arch/usable.cpp).
#pragma once
#include "guard/cpu_features.h"

#include <cstdint>

namespace saur {

// The features (cpu_features.h) that the processor has and its system keeps the registers of; -1, all of them, on another
// architecture than x86-64, where builds target the machine's baseline.
int32_t processor_features();

}  // namespace saur
