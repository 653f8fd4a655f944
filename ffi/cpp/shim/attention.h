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
};

// `wanted`: 1 or 0 as the option says, -1 without one.
Attention attention_of(const ModelFiles & files, int32_t wanted);

}  // namespace saur
