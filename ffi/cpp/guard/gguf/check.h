// What a model's files must be before llama.cpp may have them.
#pragma once
#include "guard/gguf/model_files.h"

#include <cstdint>
#include <string>

namespace saur {

// Opens the files of the model at `path` and checks their headers; reads no weights. SAUR_OK, or SAUR_NOT_FOUND, SAUR_NOT_GGUF
// or SAUR_UNSOUND with the reason in `error`: the key or tensor, its value and what is allowed. Without `check` a header must
// be readable and may say anything.
int32_t open_model_files(const std::string & path, bool check, ModelFiles & files, std::string & error);

}  // namespace saur
