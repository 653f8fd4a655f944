// One pass: sequences of tokens, back to back, become one row of numbers each (or one a token with pooling none): a vector,
// a head's outputs, or the logits of some tokens after the last one.
#pragma once
#include "shim/lane.h"

#include <cstdint>

namespace saur {

// How many of a sequence's tokens are computed once for all sequences that begin with them. At least one token is a
// sequence's own, since its output is that token's.
inline int32_t usable_prefix(const LaneContext & context, const Sequence & sequence) {
    const int32_t n = sequence.prefix_length;
    return context.shares_prefix && n > 0 && n < sequence.length ? n : 0;
}

// Whether only the last token of each sequence is an output: where we do the pooling and nothing else is read.
inline bool last_token_only(const LaneContext & context) {
    return !context.answers.empty() ||
           (context.hidden_states && (context.pooling == POOLING_LAST || context.pooling == POOLING_RANK));
}

// Computes the sequences in the slot, and leaves their rows there. `abort` tells why a pass ended early.
int32_t compute_pass(LaneContext & context, Slot & slot, const AbortFlag & abort);

}  // namespace saur
