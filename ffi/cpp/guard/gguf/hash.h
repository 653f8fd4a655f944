// Hashes the bytes of a file: XXH64, by https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md, about as fast as
// memory is read.
#pragma once
#include <cstddef>
#include <cstdint>

namespace saur {

class Hash {
  public:
    // Takes the next bytes.
    void     update(const void * data, size_t size);
    // The hash of all bytes so far.
    uint64_t value() const;

  private:
    const uint8_t * take(const uint8_t * at, const uint8_t * end);

    uint64_t lanes[4] = { 0x60ea27eeadc0b5d6, 0xc2b2ae3d27d4eb4f, 0, 0x61c8864e7a143579 };  // seed 0
    uint64_t total    = 0;
    uint8_t  rest[32];  // what does not fill a block yet
};

}  // namespace saur
