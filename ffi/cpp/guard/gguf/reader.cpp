#include "guard/gguf/reader.h"

#include "guard/gguf/file.h"

#include <algorithm>

namespace saur {

Reader::Reader(FILE * file, uint64_t size, uint64_t offset) : file(file), size(size), offset(offset) {
    if (!seek_from_start(file, (int64_t) offset)) {
        throw Unsound("it cannot be read");
    }
}

void Reader::read_further(uint8_t * out, uint64_t n, const std::string & what) {
    while (n > 0) {
        if (next == filled) {
            fill(what);
        }
        const size_t part = std::min<uint64_t>(n, filled - next);
        memcpy(out, buffer + next, part);
        next += part;
        offset += part;
        out += part;
        n -= part;
    }
}

void Reader::seek(const std::string & what) {
    next = filled = 0;
    if (!seek_from_start(file, (int64_t) offset)) {
        throw Unsound("it cannot be read at " + what);
    }
}

bool Reader::skip_zero(uint64_t n, const std::string & what) {
    need(n, what);
    bool found = false;
    while (n > 0) {
        if (next == filled) {
            fill(what);
        }
        const size_t part = std::min<uint64_t>(n, filled - next);
        found             = found || memchr(buffer + next, 0, part) != nullptr;
        next += part;
        offset += part;
        n -= part;
    }
    return found;
}

std::string Reader::text(uint64_t max, const std::string & what) {
    const uint64_t n = get<uint64_t>(what);
    need(n, what);
    if (n > max) {
        throw Unsound(what + " has " + std::to_string(n) + " bytes, at most " + std::to_string(max) + " are allowed");
    }
    std::string value((size_t) n, '\0');
    read(&value[0], n, what);
    return value;
}

void Reader::refuse_end(uint64_t n, const std::string & what) const {
    throw Unsound("it ends in " + what + ", which needs " + std::to_string(n) + " bytes where " +
                  std::to_string(size - offset) + " are left: the file is cut off or damaged");
}

void Reader::fill(const std::string & what) {
    next   = 0;
    filled = fread(buffer, 1, sizeof(buffer), file);
    if (filled == 0) {
        throw Unsound("it cannot be read at " + what);
    }
}

}  // namespace saur
