// Whether a model's token attends only to those before it. llama.cpp goes by one key of the file, which converters leave out.
#pragma once
#include "guard/gguf/model_files.h"
#include "status.h"

#include <string>

namespace saur {

struct Attention {
    bool     causal = true;
    CausalBy by     = CAUSAL_BY_NOBODY;

    // llama.cpp's key for it.
    static std::string key(const ModelFiles & files);

    // What the key must be set to: 1 or 0, or -1 where it may stay as it is. A key of another type stays, so that llama.cpp
    // refuses the file.
    int32_t setting(const ModelFiles & files) const;
};

// `wanted`: 1 or 0 as the option says, -1 without one.
Attention attention_of(const ModelFiles & files, int32_t wanted);

}  // namespace saur
