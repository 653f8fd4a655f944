// Our own ggml backend, beside stock ggml's for the CPU: it takes the operators that those compute slowly or inexactly.
//
// It is registered from outside, of type ACCEL, so llama.cpp gives every context one and asks it, for each operator of
// each graph, whether it wants it. It wants some on a thread with a KernelScope and nothing elsewhere; as a context of
// one thread is made and computed on its lane's thread, that decides it for each context.
#pragma once
#include "ggml.h"
#include "reordered.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace saur {

// Two functions go by that name; see kernels_gelu.h.
enum class Gelu { tanh, erf };

// The one that an architecture (llama.cpp's name) was trained with, where its graph says only GELU.
Gelu gelu_of(const std::string & architecture);

// What the kernels write in between; one a context, grown as needed.
class Scratch {
  public:
    Scratch() = default;
    ~Scratch();
    Scratch(const Scratch &) = delete;

    enum Use { ACTIVATIONS, SCALES, PANEL, PANEL_SCALES, RANGES, KEYS, VALUES, SCORES, COUNT };
    // At least so many bytes, on a cache line's boundary; what was in them may be gone. Throws std::bad_alloc.
    void * get(Use use, size_t bytes);
    template <class T> T * get(Use use, int64_t count) { return (T *) get(use, (size_t) count * sizeof(T)); }

  private:
    void * data[COUNT] = {};
    size_t size[COUNT] = {};
};

// The operators for one instruction set. Each computes the whole tensor, on the calling thread. NULL: ggml's is no worse.
struct Kernels {
    const char * name;
    void (*gelu)(Gelu kind, ggml_tensor * op);                  // UNARY and GLU
    void (*attention)(ggml_tensor * op, Scratch & scratch);     // FLASH_ATTN_EXT
    void (*product)(ggml_tensor * op, Scratch & scratch);       // MUL_MAT with q8_0 weights
    void (*product_f32)(ggml_tensor * op, Scratch & scratch);   // with f32 weights
    void (*product_bf16)(ggml_tensor * op, Scratch & scratch);  // with bf16 weights
    void (*to_bf16)(const float * x, uint16_t * out, int64_t n);  // NULL where product_bf16 is
    bool (*may_be_used)();  // asks the operating system; NULL: there is no need
};

// Those that the CPU can run, the best first.
std::vector<const Kernels *> usable_kernels();
// The best; NULL: there are none.
const Kernels * kernels_of_cpu();

// What they compute, "name\0name\0"; empty where there are none.
std::string kernel_names();


// Makes the backend known to ggml; idempotent. Call it after every other backend is there.
void register_kernels();

// What a context computes with.
struct Computing {
    Gelu        gelu;
    Reordered * weights;  // the model's, which outlives the context; NULL: no oneDNN
};

// Whether the kernels can compute an operator, and its computation.
bool can_compute(const Kernels & kernels, const Computing & computing, const ggml_tensor * op);
void compute(const Kernels & kernels, const Computing & computing, ggml_tensor * op, Scratch & scratch);

// While one exists on a thread, contexts made and computed on it use the kernels so; or not, if it is empty.
class KernelScope {
  public:
    explicit KernelScope(std::optional<Computing> computing);
    ~KernelScope();
    KernelScope(const KernelScope &) = delete;
};

}  // namespace saur
