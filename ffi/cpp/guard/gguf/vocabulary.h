// What the vocabulary of a model must be.
#pragma once
#include "guard/gguf/model_files.h"

namespace saur {

void check_vocabulary(const ModelFiles & files);  // throws Unsound

}  // namespace saur
