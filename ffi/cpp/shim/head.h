// A head of our own: what is computed of the rows that llama.cpp gives, where its graph ends too early or in another head than
// the model was trained with. docs/internals/heads.md says how a file holds one.
#pragma once
#include "guard/gguf/model_files.h"
#include "kernels/matrix.h"
#include "llama.h"
#include "status.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace saur {

// Rows of numbers, back to back.
struct Rows {
    std::vector<float> numbers;
    int64_t            n = 0, width = 0;
};

class Head {
  public:
    enum class Kind { linear, layer_norm, tanh, relu, gelu, gelu_tanh, silu, l2, mean, cls, last, max };

    struct Step {
        Kind                          kind;
        std::shared_ptr<const Matrix> matrix{};        // of linear
        std::vector<float>            scale{}, shift{};  // of layer_norm; there may be no shift
        float                         epsilon = 0;
    };

    // The head that the model's metadata describe (`llamasaur.head.*`), or that its class is known to have; NULL: none of ours.
    // Throws Unsound.
    static std::unique_ptr<const Head> read(const ModelFiles & files, const llama_model * model);

    // Whether its outputs are a classifier's, and are wanted with pooling rank alone; else every embedding goes through it.
    bool    ranks() const { return classifies; }
    // Of a row of its outputs.
    int64_t width() const { return outputs; }
    // How many numbers of it are in the metadata, and in no tensor that llama.cpp counts.
    int64_t numbers() const { return in_metadata; }
    // What it takes in memory: its numbers, their panels, and the letters that llama.cpp keeps of those in the metadata.
    size_t  bytes() const;

    // What llama.cpp is asked for where a pooling is asked of us; of each token nothing is reduced.
    Pooling pooling_of_rows(Pooling asked) const;
    // Whether a step makes one row of all rows of a sequence.
    bool    reduces() const;

    // Computes all steps; those that reduce, where `lengths` has the rows of each sequence: none, and there is a row a
    // sequence or each is wanted. By the kernels where `scratch` is there.
    Rows compute(Rows rows, std::vector<int32_t> lengths, Scratch * scratch) const;

  private:
    bool              classifies  = false;
    int64_t           outputs     = 0;
    int64_t           in_metadata = 0;
    size_t            letters     = 0;
    Pooling           first       = POOLING_UNSPECIFIED;  // what llama.cpp pools by before the steps
    std::vector<Step> steps;
};

}  // namespace saur
