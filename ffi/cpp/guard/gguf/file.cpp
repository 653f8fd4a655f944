#include "guard/gguf/file.h"

#include "ggml.h"
#include "os/os.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>

namespace saur {

bool seek_from_start(FILE * file, int64_t offset) { return os::seek(file, offset, SEEK_SET) == 0; }

uint64_t file_size(FILE * file) {
    os::seek(file, 0, SEEK_END);
    const int64_t size = os::tell(file);
    return size < 0 ? 0 : (uint64_t) size;
}

FILE * open_regular(const char * path) {
    if (const int what = os::irregular(path)) {
        errno = what;
        return nullptr;
    }
    return ggml_fopen(path, "rb");
}

}  // namespace saur
