// Our own ggml backend, beside stock ggml's for the CPU: it takes the operators that those compute slowly or inexactly.
//
// It is registered from outside, of type ACCEL, so llama.cpp gives every context one and asks it, for each operator of
// each graph, whether it wants it. It wants some on a thread with a KernelScope and nothing elsewhere; as a context of
// one thread is made and computed on its lane's thread, that decides it for each context.
#pragma once
#include "ggml.h"
#include "kernels/panelled_weights.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace saur {

// Two functions go by that name; see kernels/inl/gelu-inl.h.
enum class Gelu { tanh, erf };

// The one that a model was trained with, where its graph says only GELU: by its hidden_act of transformers, if the file has it,
// else by the architecture (llama.cpp's name).
Gelu gelu_of(const std::string & architecture, const std::string & activation);

// What the kernels write in between; one a context, grown as needed.
class Scratch {
  public:
    Scratch() = default;
    ~Scratch();
    Scratch(const Scratch &) = delete;

    enum Use { ACTIVATIONS, SCALES, PANEL, PANEL_SCALES, RANGES, PLACES, MASK, KEYS, VALUES, SCORES, COUNT };
    // At least so many bytes, on a cache line's boundary; what was in them is there unless they are more than before.
    // Throws std::bad_alloc.
    void * get(Use use, size_t bytes);
    template <class T> T * get(Use use, int64_t count) { return (T *) get(use, (size_t) count * sizeof(T)); }

    // Whether ACTIVATIONS and SCALES are of this tensor, packed so: several products in a row have the same. Who gets
    // ACTIVATIONS says what they hold afterwards, else nothing.
    bool holds(const ggml_tensor * x, const void * how) const { return x && x == held && how == held_how; }
    void hold(const ggml_tensor * x, const void * how) { held = x, held_how = how; }
    void let_go() { held = nullptr; }

  private:
    void *              data[COUNT] = {};
    size_t              size[COUNT] = {};
    const ggml_tensor * held     = nullptr;
    const void *        held_how = nullptr;
};

// A MUL_MAT, with the operators that follow it and are computed while its numbers are at hand.
struct Product {
    ggml_tensor *       op;
    ggml_tensor *       out;                  // of the last operator; in place of the residual, it may be
    const ggml_tensor * bias      = nullptr;  // a row that is added to each
    bool                gelu      = false;
    Gelu                kind      = Gelu::tanh;
    const ggml_tensor * residual  = nullptr;  // as many rows, added at last
    bool                in_panels = false;    // the weights
    const float *       scales    = nullptr;  // theirs, if they are in panels that have some (ProductOf)
};

// A NORM or RMS_NORM, with the MUL and ADD of a row that follow it.
struct Norm {
    ggml_tensor *       op;
    ggml_tensor *       out;
    const ggml_tensor * scale = nullptr;
    const ggml_tensor * shift = nullptr;
};

// What multiplies with weights of one type.
struct ProductOf {
    ggml_type type;
    void (*product)(const Product & product, Scratch & scratch);
    // Puts such weights into panels in their own place; false: their sizes don't allow it. NULL: it never does. `scales` has one for
    // each `numbers_a_scale` of them.
    bool (*put_in_panels)(const ggml_tensor * weights, float * scales, Scratch & scratch);
    enum { A_ROW = -1 };
    int numbers_a_scale;  // 0: such panels have no scales; A_ROW: one for all of a row
};

// The operators for one instruction set. Each computes the whole tensor, on the calling thread. NULL: ggml's is no worse.
struct Kernels {
    const char * name;
    void (*gelu)(Gelu kind, ggml_tensor * op);               // UNARY and GLU
    void (*attention)(ggml_tensor * op, Scratch & scratch);  // FLASH_ATTN_EXT
    void (*attention_bf16)(ggml_tensor * op, Scratch & scratch);  // the same of numbers rounded to bf16
    void (*softmax)(ggml_tensor * op, Scratch & scratch);         // SOFT_MAX
    void (*norm)(const Norm & norm);
    void (*combine)(ggml_tensor * op);                             // ADD and MUL
    const ProductOf * products;  // the last one has no function; NULL: there are none
    ProductOf         bf16;      // by the processor's own instructions, before that of `products`
    bool (*may_be_used)();       // asks the operating system; NULL: there is no need

    // Of a type of weights; NULL: there is none.
    const ProductOf * product_of(ggml_type type) const;
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
struct KernelOptions {
    Gelu gelu;
    bool bf16 = false;  // nearly all weights are, so numbers are rounded to it anyway
    // The model's, which outlives the context. NULL: its weights are left as they are.
    PanelledWeights * panelled = nullptr;
};

// Whether the kernels can compute an operator.
bool can_compute(const Kernels & kernels, const ggml_tensor * op);
// Computes those of a graph's operators that are to be.
void compute(const Kernels & kernels, const KernelOptions & options, ggml_cgraph * graph, Scratch & scratch);

// While one exists on a thread, contexts made and computed on it use the kernels so; or not, if it is empty.
class KernelScope {
  public:
    explicit KernelScope(std::optional<KernelOptions> options);
    ~KernelScope();
    KernelScope(const KernelScope &) = delete;
};

}  // namespace saur
