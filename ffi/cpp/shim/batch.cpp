// The exported functions of a pass, and what they refuse; pass.cpp computes it.
#include "shim/answer.h"
#include "shim/pass.h"
#include "shim/shim.h"

#include <algorithm>

using namespace saur;

namespace {

// llama.cpp asserts on these, on whatever thread it is on, or answers with numbers that mean nothing.
int32_t refuse(const LaneContext & context, const Slot & slot) {
    const auto    n_sequences = (int32_t) slot.sequences.size();
    const int32_t n_seq_max   = (int32_t) llama_n_seq_max(context.llama);
    if (n_sequences > std::min(n_seq_max, context.shares_prefix ? prefix_sequence() : INT32_MAX)) {
        return SAUR_TOO_MANY_SEQUENCES;
    }
    const llama_model * model   = llama_get_model(context.llama);
    const int32_t       longest = std::min<int32_t>(llama_model_n_ctx_train(model), (int32_t) llama_n_ctx_seq(context.llama));
    int64_t             sum = 0, own = 0, longest_prefix = 0;
    for (const Sequence & sequence : slot.sequences) {
        if (sequence.length < 1) {
            return SAUR_EMPTY;
        }
        if (sequence.length > longest) {
            return SAUR_SEQUENCE_TOO_LONG;
        }
        const int32_t prefix = usable_prefix(context, sequence);
        sum += sequence.length;
        own += sequence.length - prefix;
        longest_prefix = std::max<int64_t>(longest_prefix, prefix);
    }
    if (sum != (int64_t) slot.tokens.size()) {
        return SAUR_BAD_ARGUMENT;
    }
    // An encoder must see a sequence whole, in one ubatch.
    if (own + longest_prefix > (int64_t) (context.splits_batch ? llama_n_batch(context.llama) : llama_n_ubatch(context.llama))) {
        return SAUR_BATCH_TOO_LARGE;
    }
    const auto n_vocab = (uint32_t) llama_vocab_n_tokens(llama_model_get_vocab(model));
    const bool inside  = std::all_of(slot.tokens.begin(), slot.tokens.end(), [&](int32_t t) {
        return (uint32_t) t < n_vocab;  // a negative one is larger than any
    });
    return inside ? SAUR_OK : SAUR_BAD_TOKEN;
}

}  // namespace

int32_t saur_batch_encode(saur_lane * lane, const int32_t * tokens, int32_t n_tokens, const int32_t * lengths,
                          const int32_t * segment_b, const int32_t * prefix_lengths, int32_t n_sequences) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    if (!lane->context) {
        return SAUR_NO_CONTEXT;
    }
    if (lane->context->lost) {
        return SAUR_LOST;
    }
    if (n_tokens < 1 || n_sequences < 1) {
        return SAUR_EMPTY;
    }
    return answer<int32_t>(SAUR_OUT_OF_MEMORY, [&] {
        Slot & slot = lane->slot;
        slot.tokens.assign(tokens, tokens + n_tokens);
        slot.sequences.resize((size_t) n_sequences);
        for (int32_t s = 0; s < n_sequences; s++) {
            slot.sequences[s] = { lengths[s], segment_b[s], prefix_lengths[s] };
        }
        const int32_t refusal = refuse(*lane->context, slot);
        if (refusal != SAUR_OK) {
            return refusal;
        }
        return lane->start([lane] {
            LaneContext & context = *lane->context;
            context.lost          = true;  // stays so if an assertion takes us out of here
            const int32_t rc      = compute_pass(context, lane->slot, lane->abort);
            context.lost          = false;
            return rc;
        });
    });
}

// Copies the rows of the last encode: sequences x dimensions, tokens x dimensions with pooling none, sequences x labels
// with pooling rank, sequences x answers. Returns how many floats there are.
int32_t saur_pooling_embeddings(saur_lane * lane, float * out, int32_t size) {
    const std::vector<float> & rows = lane->slot.embeddings;
    if (!lane->idle() || size < (int32_t) rows.size()) {
        return SAUR_BAD_ARGUMENT;
    }
    std::copy(rows.begin(), rows.end(), out);
    return (int32_t) rows.size();
}
