// What the rest of the shim knows of the functions that the linker puts between ggml and libc (wraps/linux.cpp).
#pragma once

namespace saur {

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
