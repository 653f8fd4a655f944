// Opens a file, and finds places in it, on any system.
#pragma once
#include <cstdint>
#include <cstdio>

namespace saur {

bool     seek_from_start(FILE * file, int64_t offset);
uint64_t file_size(FILE * file);
// Opens a file for reading; NULL, with errno, for none and for what is a pipe or a device: to open a pipe waits for the
// other end, and a device has no end.
FILE *   open_regular(const char * path);

}  // namespace saur
