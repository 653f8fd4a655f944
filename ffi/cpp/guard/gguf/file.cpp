#include "guard/gguf/file.h"

#include "ggml.h"
#include "guard/gguf/check.h"
#include "guard/gguf/header.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>

#if !defined(_WIN32)
#    include <sys/stat.h>
#endif

namespace saur {
namespace {

constexpr int64_t BLOCKS      = 256;
constexpr size_t  BLOCK_BYTES = 4096;

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

// http://www.isthe.com/chongo/tech/comp/fnv/
void fnv1a(uint64_t & hash, const void * data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ ((const uint8_t *) data)[i]) * 0x100000001b3ULL;
    }
}

std::string beginning(const char * bytes, size_t n) {
    std::string text;
    for (size_t i = 0; i < n; i++) {
        text += bytes[i] >= 32 && bytes[i] < 127 ? bytes[i] : '?';
    }
    return text;
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

int32_t check_model_file(const std::string & path, std::string & error, bool header) {
    std::unique_ptr<FILE, int (*)(FILE *)> file(open_regular(path.c_str()), fclose);
    if (!file) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return SAUR_NOT_FOUND;
        }
        error = errno == ENOTSUP ? "it is a pipe or a device" : strerror(errno);
        return SAUR_NOT_GGUF;
    }
    char         block[BLOCK_BYTES];
    const size_t n = fread(block, 1, 64, file.get());
    if (n < 4 || memcmp(block, "GGUF", 4) != 0) {
        const bool html = n > 0 && block[0] == '<';
        error           = ferror(file.get()) ? strerror(errno)
                          : n == 0           ? "it is empty"
                                             : "it begins with \"" + beginning(block, n < 16 ? n : 16) + "\"" +
                                         (html ? ", an HTML page: the download was an error or login page" : "");
        return SAUR_NOT_GGUF;
    }
    const int64_t size = (int64_t) file_size(file.get());
    try {
        if (header) {
            check_gguf(file.get(), (uint64_t) size, path);
        }
    } catch (const Unsound & e) {
        error = e.what();
        return SAUR_UNSOUND;
    }
    return SAUR_OK;
}

std::string hash_of_file(const std::string & path) {
    std::unique_ptr<FILE, int (*)(FILE *)> file(open_regular(path.c_str()), fclose);
    if (!file) {
        return "";
    }
    char          block[BLOCK_BYTES];
    const int64_t size = (int64_t) file_size(file.get());
    uint64_t      value = 0xcbf29ce484222325ULL;
    fnv1a(value, &size, sizeof(size));
    const int64_t step = size / BLOCKS;
    for (int64_t i = 0; i < BLOCKS; i++) {
        seek(file.get(), i * step, SEEK_SET);
        fnv1a(value, block, fread(block, 1, BLOCK_BYTES, file.get()));
    }
    char hex[17];
    snprintf(hex, sizeof(hex), "%016llx", (unsigned long long) value);
    return hex;
}

std::future<std::string> hash_meanwhile(const std::string & path) {
    try {
        return std::async(std::launch::async, hash_of_file, path);
    } catch (const std::system_error &) {
        return std::async(std::launch::deferred, hash_of_file, path);
    }
}

}  // namespace saur
