// Translates between our own numbers of the pooling types and llama.cpp's, so that a renumbering upstream is a compile error
// and not a wrong vector.
#pragma once
#include "llama.h"
#include "status.h"

#include <cstdint>

namespace saur {

inline bool is_pooling(int32_t p) { return p >= POOLING_UNSPECIFIED && p <= POOLING_RANK; }

inline enum llama_pooling_type to_llama(int32_t p) {
    switch ((Pooling) p) {
        case POOLING_UNKNOWN:
        case POOLING_UNSPECIFIED: return LLAMA_POOLING_TYPE_UNSPECIFIED;
        case POOLING_NONE:        return LLAMA_POOLING_TYPE_NONE;
        case POOLING_MEAN:        return LLAMA_POOLING_TYPE_MEAN;
        case POOLING_CLS:         return LLAMA_POOLING_TYPE_CLS;
        case POOLING_LAST:        return LLAMA_POOLING_TYPE_LAST;
        case POOLING_RANK:        return LLAMA_POOLING_TYPE_RANK;
    }
    return LLAMA_POOLING_TYPE_UNSPECIFIED;
}

inline int32_t from_llama(int32_t p) {
    switch ((enum llama_pooling_type) p) {
        case LLAMA_POOLING_TYPE_UNSPECIFIED: return POOLING_UNSPECIFIED;
        case LLAMA_POOLING_TYPE_NONE:        return POOLING_NONE;
        case LLAMA_POOLING_TYPE_MEAN:        return POOLING_MEAN;
        case LLAMA_POOLING_TYPE_CLS:         return POOLING_CLS;
        case LLAMA_POOLING_TYPE_LAST:        return POOLING_LAST;
        case LLAMA_POOLING_TYPE_RANK:        return POOLING_RANK;
    }
    return POOLING_UNKNOWN;
}

}  // namespace saur
