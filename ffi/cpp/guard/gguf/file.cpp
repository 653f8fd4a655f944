#include "guard/gguf/file.h"

#include "ggml.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>

#if !defined(_WIN32)
#    include <sys/stat.h>
#endif

namespace saur {
namespace {

int seek(FILE * file, int64_t offset, int origin) {
#if defined(_WIN32)
    return _fseeki64(file, offset, origin);
#else
    return fseeko(file, (off_t) offset, origin);
#endif
}

int64_t tell(FILE * file) {
#if defined(_WIN32)
    return _ftelli64(file);
#else
    return (int64_t) ftello(file);
#endif
}

}  // namespace

bool seek_from_start(FILE * file, int64_t offset) { return seek(file, offset, SEEK_SET) == 0; }

uint64_t file_size(FILE * file) {
    seek(file, 0, SEEK_END);
    const int64_t size = tell(file);
    return size < 0 ? 0 : (uint64_t) size;
}

FILE * open_regular(const char * path) {
#if !defined(_WIN32)
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : ENOTSUP;
        return nullptr;
    }
#endif
    return ggml_fopen(path, "rb");
}

}  // namespace saur
