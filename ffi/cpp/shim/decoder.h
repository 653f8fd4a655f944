// What only decoders have: sequences that can be gone on with, and a language model's head that vectors do not need.
#pragma once
#include "llama.h"

#include <cstdint>
#include <vector>

struct saur_lane;

namespace saur {

// Whether every token sees the whole text, though the file does not say so.
bool sees_the_whole(const llama_model * model);

// Whether a sequence can be computed in parts, and a part for several sequences at once: tokens see only those before
// them, and the memory holds those token by token.
bool goes_on(const llama_model * model);

// Whether the graph gives what embeddings are made of by a name, before the head.
bool gives_states(const llama_model * model);

// Whether llama.cpp makes a classification head's outputs of the last token's state, by one matrix and a softmax.
bool scores_last(const llama_model * model);

// The last hidden states, after the final norm, of the tokens that were marked as outputs, in their order.
//
// llama.cpp computes the head for every token when it is asked for embeddings: of gemma3-270m that is more than half of
// the work, and 1 MB of logits a token. It is not asked for them here. Its callback for each tensor of the graph sees
// these rows, exactly those that embeddings are made of, and ends the pass before the head.
struct States {
    int64_t            width = 0;
    std::vector<float> rows;

    static bool on_tensor(ggml_tensor * tensor, bool ask, void * states);  // a ggml_backend_sched_eval_callback
};

// While one exists on a thread, no logits are read there, if it is so wanted; see wraps/linux.cpp.
class WithoutLogits {
  public:
    explicit WithoutLogits(bool without);
    ~WithoutLogits();
    WithoutLogits(const WithoutLogits &) = delete;
};

// The sequence that holds what several others begin with. One more than a pass has: with a unified memory all of
// llama.cpp's 256 may be used, however many a context is made for.
inline int32_t prefix_sequence() { return (int32_t) llama_max_parallel_sequences() - 1; }

}  // namespace saur
