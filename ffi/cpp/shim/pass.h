// One pass: sequences of tokens, back to back, become one vector each (or one a token with pooling none), or the logits of
// some tokens after the last one.
#pragma once
#include "shim/lane.h"

#include <cstdint>

namespace saur {

// How many of a sequence's tokens are computed once for all sequences that begin with them: those before its second
// segment, the document of a pair.
inline int32_t shared_tokens(const saur_lane * lane, int32_t length, int32_t second) {
    return lane->shares_prefix && second > 0 && second < length ? second : 0;
}

// Whether of each sequence only the last token is an output: where llama.cpp does not take all of them.
inline bool one_output(const saur_lane * lane) {
    return !lane->answers.empty() ||
           (lane->hidden_states && (lane->pooling == POOLING_LAST || lane->pooling == POOLING_RANK));
}

// Computes what is in the lane's slot.
int32_t compute_pass(saur_lane * lane);

}  // namespace saur
