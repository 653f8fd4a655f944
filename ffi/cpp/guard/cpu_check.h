// Compares what ggml-cpu was compiled for with the processor that runs, before ggml is called.
#pragma once
#include <cstdint>
#include <string>

namespace saur {

// The names of what is compiled in (or asked for in `also`, bits as in cpu_features.c) and this processor lacks.
std::string cpu_missing(int32_t also);

// The names of what is compiled in, and of what this processor has; nothing on other architectures than x86-64.
std::string cpu_compiled();
std::string cpu_features();

}  // namespace saur
