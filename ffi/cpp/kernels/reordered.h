// Products of a model's weights by oneDNN, in a library that is built with it (build --onednn). Elsewhere there are none.
#pragma once
#include <cstdint>
#include <memory>

struct ggml_tensor;

namespace saur {

class Scratch;
struct Kernels;

// The weights of one model in the order that oneDNN wants, each made when a product first needs it; its contexts share them.
class Reordered {
  public:
    Reordered();
    ~Reordered();
    Reordered(const Reordered &) = delete;

    // Whether a MUL_MAT is one of weights that are to be multiplied so.
    bool wants(const Kernels & kernels, const ggml_tensor * op) const;
    // Computes it on the calling thread. False: oneDNN has no fast way on this processor, and nothing is done.
    bool multiply(const Kernels & kernels, ggml_tensor * op, Scratch & scratch);

  private:
    struct Held;
    std::unique_ptr<Held> held;  // NULL: built without oneDNN
};

// Whether the library is built with it.
bool has_onednn();

}  // namespace saur
