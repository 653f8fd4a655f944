// The weights of a model that are in panels (see kernels/inl/panels-inl.h), each in its own place: no pass has to pack it again. What
// that takes is the scales of 16-bit types, a float for 32 numbers. Only our products can read such weights then.
#pragma once
#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>

struct ggml_tensor;

namespace saur {

class Scratch;
struct Kernels;

class PanelledWeights {
  public:
    PanelledWeights() = default;
    PanelledWeights(const PanelledWeights &) = delete;

    // From now on none is put into panels: a context without kernels reads them. False: some are.
    bool leave_all();
    // An operator that is no product of ours reads a tensor, so it stays as it was loaded.
    void leave(const ggml_tensor * weights);
    // A product of ours is going to read a tensor.
    void expect(const Kernels & kernels, const ggml_tensor * weights);
    // Puts a tensor into panels when a product needs it, on the calling thread. Whether it is in panels, and its scales, if any.
    bool prepare(const Kernels & kernels, const ggml_tensor * weights, Scratch & scratch, const float *& scales);
    // Bytes of the scales of all that is in panels or is going to be.
    size_t bytes();

    // Whether a tensor is of those that may be in panels.
    static bool wants(const Kernels & kernels, const ggml_tensor * weights);

  private:
    struct Panels {
        enum { EXPECTED, AS_LOADED, IN_PANELS } state;
        size_t                   scales;  // how many
        std::unique_ptr<float[]> numbers;
    };
    std::mutex                               mutex;
    std::unordered_map<const void *, Panels> all;  // by the tensor's data
    bool                                     none = false;
};

}  // namespace saur
