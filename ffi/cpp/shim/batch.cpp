// The exported functions of a pass, and what they refuse; pass.cpp computes it.
#include "shim/pass.h"
#include "shim/shim.h"

#include <algorithm>

using namespace saur;

namespace {

// llama.cpp asserts on these, on whatever thread it is on, or answers with numbers that mean nothing.
int32_t refuse(saur_lane * lane, const int32_t * tokens, int32_t n_tokens, const int32_t * lengths,
               const int32_t * prefix_lengths, int32_t n_sequences) {
    if (!lane->context) {
        return SAUR_NO_CONTEXT;
    }
    if (lane->lost) {
        return SAUR_LOST;
    }
    if (n_tokens < 1 || n_sequences < 1) {
        return SAUR_EMPTY;
    }
    if (n_sequences > std::min((int32_t) llama_n_seq_max(lane->context), lane->shares_prefix ? prefix_sequence() : INT32_MAX)) {
        return SAUR_TOO_MANY_SEQUENCES;
    }
    const llama_model * model   = llama_get_model(lane->context);
    const int32_t       longest = std::min<int32_t>(llama_model_n_ctx_train(model), (int32_t) llama_n_ctx_seq(lane->context));
    int64_t             sum = 0, own = 0, longest_prefix = 0;
    for (int32_t s = 0; s < n_sequences; s++) {
        if (lengths[s] < 1) {
            return SAUR_EMPTY;
        }
        if (lengths[s] > longest) {
            return SAUR_SEQUENCE_TOO_LONG;
        }
        const int32_t prefix = usable_prefix(lane, lengths[s], prefix_lengths[s]);
        sum += lengths[s];
        own += lengths[s] - prefix;
        longest_prefix = std::max<int64_t>(longest_prefix, prefix);
    }
    if (sum != n_tokens) {
        return SAUR_BAD_ARGUMENT;
    }
    // An encoder must see a sequence whole, in one step.
    if (own + longest_prefix > (int64_t) (lane->splits_batch ? llama_n_batch(lane->context) : llama_n_ubatch(lane->context))) {
        return SAUR_BATCH_TOO_LARGE;
    }
    const int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    const bool    inside  = std::all_of(tokens, tokens + n_tokens, [&](int32_t t) { return t >= 0 && t < n_vocab; });
    return inside ? SAUR_OK : SAUR_BAD_TOKEN;
}

}  // namespace

int32_t saur_batch_encode(saur_lane * lane, const int32_t * tokens, int32_t n_tokens, const int32_t * lengths,
                          const int32_t * segment_b, const int32_t * prefix_lengths, int32_t n_sequences) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    return answer<int32_t>(SAUR_OUT_OF_MEMORY, [&] {
        const int32_t refusal = refuse(lane, tokens, n_tokens, lengths, prefix_lengths, n_sequences);
        if (refusal != SAUR_OK) {
            return refusal;
        }
        lane->tokens.assign(tokens, tokens + n_tokens);
        lane->lengths.assign(lengths, lengths + n_sequences);
        lane->segment_b.assign(segment_b, segment_b + n_sequences);
        lane->prefix_lengths.assign(prefix_lengths, prefix_lengths + n_sequences);
        lane->abort = 0;
        return lane->start([lane] {
            lane->lost       = true;  // stays so if an assertion takes us out of here
            const int32_t rc = compute_pass(lane);
            lane->lost       = false;
            return rc;
        });
    });
}

// Copies the rows of the last encode: sequences x dimensions, tokens x dimensions with pooling none, sequences x labels
// with pooling rank, sequences x answers. Returns how many floats there are.
int32_t saur_pooling_embeddings(saur_lane * lane, float * out, int32_t size) {
    if (!lane->idle() || size < (int32_t) lane->embeddings.size()) {
        return SAUR_BAD_ARGUMENT;
    }
    std::copy(lane->embeddings.begin(), lane->embeddings.end(), out);
    return (int32_t) lane->embeddings.size();
}
