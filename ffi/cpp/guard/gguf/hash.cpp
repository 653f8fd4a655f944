#include "guard/gguf/hash.h"

#include <algorithm>
#include <cstring>

namespace saur {

namespace {

constexpr uint64_t PRIME_1 = 0x9e3779b185ebca87, PRIME_2 = 0xc2b2ae3d27d4eb4f, PRIME_3 = 0x165667b19e3779f9,
                   PRIME_4 = 0x85ebca77c2b2ae63, PRIME_5 = 0x27d4eb2f165667c5;

uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

template <class T> T word(const uint8_t * bytes) {
    T value;
    memcpy(&value, bytes, sizeof(value));  // little-endian, as GGUF files and all processors of the product are
    return value;
}

uint64_t round_of(uint64_t lane, uint64_t input) { return rotate(lane + input * PRIME_2, 31) * PRIME_1; }

}  // namespace

// Takes whole blocks of 32 bytes, with the lanes in registers.
const uint8_t * Hash::take(const uint8_t * at, const uint8_t * end) {
    uint64_t a = lanes[0], b = lanes[1], c = lanes[2], d = lanes[3];
    for (; end - at >= 32; at += 32) {
        a = round_of(a, word<uint64_t>(at));
        b = round_of(b, word<uint64_t>(at + 8));
        c = round_of(c, word<uint64_t>(at + 16));
        d = round_of(d, word<uint64_t>(at + 24));
    }
    lanes[0] = a, lanes[1] = b, lanes[2] = c, lanes[3] = d;
    return at;
}

void Hash::update(const void * data, size_t size) {
    const uint8_t *at = (const uint8_t *) data, *end = at + size;
    const size_t   filled = (size_t) (total % sizeof(rest));
    total += size;
    if (filled > 0) {
        const size_t n = std::min(sizeof(rest) - filled, size);
        memcpy(rest + filled, at, n);
        at += n;
        if (filled + n < sizeof(rest)) {
            return;
        }
        take(rest, rest + sizeof(rest));
    }
    at = take(at, end);
    memcpy(rest, at, (size_t) (end - at));
}

uint64_t Hash::value() const {
    uint64_t hash = PRIME_5;
    if (total >= sizeof(rest)) {
        hash = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
        for (const uint64_t lane : lanes) {
            hash = (hash ^ round_of(0, lane)) * PRIME_1 + PRIME_4;
        }
    }
    hash += total;
    const uint8_t *at = rest, *end = rest + total % sizeof(rest);
    for (; end - at >= 8; at += 8) {
        hash = rotate(hash ^ round_of(0, word<uint64_t>(at)), 27) * PRIME_1 + PRIME_4;
    }
    for (; end - at >= 4; at += 4) {
        hash = rotate(hash ^ word<uint32_t>(at) * PRIME_1, 23) * PRIME_2 + PRIME_3;
    }
    for (; at < end; at++) {
        hash = rotate(hash ^ *at * PRIME_5, 11) * PRIME_1;
    }
    hash = (hash ^ hash >> 33) * PRIME_2;
    hash = (hash ^ hash >> 29) * PRIME_3;
    return hash ^ hash >> 32;
}

}  // namespace saur
