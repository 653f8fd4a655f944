// The weights of a model that are in panels (see kernels/inl/panels-inl.h), each in its own place: no pass has to pack it again, and
// it takes no memory. Only our products can read it then.
#pragma once
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
    // Puts a tensor into panels when a product needs it, on the calling thread. Whether it is in panels.
    bool prepare(const Kernels & kernels, const ggml_tensor * weights, Scratch & scratch);

    // Whether a tensor is of those that may be in panels.
    static bool wants(const Kernels & kernels, const ggml_tensor * weights);

  private:
    enum State { AS_LOADED, IN_PANELS };
    std::mutex                              mutex;
    std::unordered_map<const void *, State> states;  // by the tensor's data
    bool                                    none = false;
};

}  // namespace saur
