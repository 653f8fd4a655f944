// One pass: sequences of tokens, back to back, become one vector each (or one a token with pooling none), or the logits of
// some tokens after the last one.
#pragma once
#include "shim/lane.h"

#include <cstdint>

namespace saur {

// How many of a sequence's tokens are computed once for all sequences that begin with them. At least one token is a
// sequence's own, since its output is that token's.
inline int32_t usable_prefix(const saur_lane * lane, int32_t length, int32_t prefix_length) {
    return lane->shares_prefix && prefix_length > 0 && prefix_length < length ? prefix_length : 0;
}

// Whether of each sequence only the last token is an output: where llama.cpp does not take all of them.
inline bool one_output(const saur_lane * lane) {
    return !lane->answers.empty() ||
           (lane->hidden_states && (lane->pooling == POOLING_LAST || lane->pooling == POOLING_RANK));
}

// Computes what is in the lane's slot.
int32_t compute_pass(saur_lane * lane);

}  // namespace saur
