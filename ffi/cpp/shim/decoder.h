// What only decoders have: sequences computed in steps, and a language model's head that embeddings do not need.
#pragma once
#include "llama.h"

#include <cstdint>
#include <vector>

struct saur_lane;

namespace saur {

struct LoadedModel;

// Whether a sequence can be computed in steps, and a common prefix once for several sequences: tokens attend only to those
// before them, whose keys and values the memory holds token by token.
bool is_causal_decoder(const LoadedModel & loaded);

// Whether the graph has the hidden states that embeddings are made of as a tensor with a name, before the head.
bool exposes_hidden_states(const llama_model * model);

// Whether llama.cpp's classification head reads the last token's hidden state, by one matrix and a softmax.
bool classifies_last_token(const llama_model * model);

// The last hidden states, after the final norm, of the tokens that were marked as outputs, in their order.
//
// llama.cpp computes the head for every token when it is asked for embeddings: of gemma3-270m that is more than half of
// the work, and 1 MB of logits a token. It is not asked for them here. Its callback for each tensor of the graph sees
// these rows, exactly those that embeddings are made of, and ends the pass before the head.
struct HiddenStates {
    int64_t            width = 0;
    std::vector<float> rows;

    static bool on_tensor(ggml_tensor * tensor, bool ask, void * states);  // a ggml_backend_sched_eval_callback
};

// The sequence that holds what several others begin with. One more than a pass has: with a unified memory all of
// llama.cpp's 256 may be used, however many a context is made for.
inline int32_t prefix_sequence() { return (int32_t) llama_max_parallel_sequences() - 1; }

}  // namespace saur
