// A look at a model file before llama.cpp reads it.
#pragma once
#include "status.h"

#include <cstdint>
#include <cstdio>
#include <future>
#include <string>

namespace saur {

bool     seek_from_start(FILE * file, int64_t offset);
uint64_t file_size(FILE * file);
// Opens a file for reading; NULL, with errno, for none and for what is a pipe or a device: to open a pipe waits for the
// other end, and a device has no end.
FILE *   open_regular(const char * path);

// SAUR_OK, or SAUR_NOT_FOUND, SAUR_NOT_GGUF or SAUR_UNSOUND with the reason in `error`. Without `header` what is behind the
// magic is not looked at.
int32_t check_model_file(const std::string & path, std::string & error, bool header = true);

// 16 hex digits: FNV-1a over the size and 256 blocks of 4 KB spread over the file, enough to tell two models or two
// quantisations of one apart.
std::string hash_of_file(const std::string & path);

// The same by a thread of its own, if the system has one; of whoever asks for it else.
std::future<std::string> hash_meanwhile(const std::string & path);

}  // namespace saur
