// What a GGUF file must be before llama.cpp may have it.
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>

namespace saur {

// Checks the header of an open file of `size` bytes, and those of the other parts if the model is split. Reads no
// weights. Throws Unsound (guard/gguf/header.h) with what is wrong.
void check_gguf(FILE * file, uint64_t size, const std::string & path);

}  // namespace saur
