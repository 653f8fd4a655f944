// What a vocabulary must be so that llama.cpp's tokenizers come to an end on every text, in memory that the text and the
// file account for. docs/internals/tokenizers.md lists their loops.
#pragma once
#include "guard/gguf/model_files.h"

namespace saur {

void check_vocabulary(const ModelFiles & files);  // throws Unsound

}  // namespace saur
