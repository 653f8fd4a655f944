// What the rest of the shim knows of the functions that the linker puts between ggml and libc (wraps/linux.cpp).
#pragma once
#include "guard/abort.h"

#include <exception>
#include <stdexcept>

namespace saur {

// Thrown out of code of llama.cpp that has no abort of its own.
struct Aborted : std::exception {
    const char * what() const noexcept override { return "aborted"; }
};

// Thrown out of llama.cpp where it makes a graph with a tensor that the file does not have.
struct MissingTensor : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// While one exists on a thread, memory that C++ asks for there is an abort point: once `abort` is set or the process leaves,
// operator new throws Aborted. Elsewhere than on Linux it does nothing.
class AbortPoints {
  public:
    explicit AbortPoints(const AbortFlag & abort);
    ~AbortPoints();
    AbortPoints(const AbortPoints &) = delete;
};

// While one exists on a thread, llama.cpp copies no logits out of its graphs there, if `skip` says so.
class SkipLogits {
  public:
    explicit SkipLogits(bool skip);
    ~SkipLogits();
    SkipLogits(const SkipLogits &) = delete;
};

// Whether a buffer that ggml clears takes no memory until somebody writes to it.
bool cleared_pages_are_free();

}  // namespace saur
