// Reads a file in order and never beyond its end. What is asked for each of half a million strings of a vocabulary is inline.
#pragma once
#include "guard/gguf/unsound.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

namespace saur {

// Each function takes the words for what it reads, for the message of Unsound.
class Reader {
  public:
    // Begins at `offset` of a file of `size` bytes.
    Reader(FILE * file, uint64_t size, uint64_t offset = 0);

    uint64_t at() const { return offset; }

    void read(void * out, uint64_t n, const std::string & what) {
        need(n, what);
        if (n > filled - next) {
            read_further((uint8_t *) out, n, what);
            return;
        }
        memcpy(out, buffer + next, (size_t) n);
        next += (size_t) n;
        offset += n;
    }

    void skip(uint64_t n, const std::string & what) {
        need(n, what);
        offset += n;
        if (n > filled - next) {
            seek(what);
            return;
        }
        next += (size_t) n;
    }

    // Whether there is a byte 0 among the next n, which are passed over.
    bool skip_zero(uint64_t n, const std::string & what);

    template <class T> T get(const std::string & what) {
        T value;
        read(&value, sizeof(value), what);
        return value;
    }

    // A text with its length before it.
    std::string text(uint64_t max, const std::string & what);

    // Throws where fewer than n bytes are left.
    void need(uint64_t n, const std::string & what) const {
        if (n > size - offset) {
            refuse_end(n, what);
        }
    }

  private:
    void              read_further(uint8_t * out, uint64_t n, const std::string & what);
    void              seek(const std::string & what);
    void              fill(const std::string & what);
    [[noreturn]] void refuse_end(uint64_t n, const std::string & what) const;

    FILE *         file;
    const uint64_t size;
    uint64_t       offset;
    size_t         next = 0, filled = 0;
    uint8_t        buffer[65536];
};

}  // namespace saur
