// Included by arch/*.cpp (kernels-inl.h) before attention-inl.h; needs nothing.
//
// Reads what the mask of an attention says.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

namespace {

// What a row of the mask lets its token see: from `begin` up to `end`; `whole` if nothing in between is hidden, `plain` if the
// mask is 0 all over that.
struct Range {
    int32_t begin, end;
    bool    plain, whole;
};

// The bits of a mask's numbers: 16-bit floats where attention is one operator, 32-bit floats where it is several.
inline bool is_hidden(uint16_t bits) { return bits == 0xfc00; }
inline bool is_hidden(uint32_t bits) { return bits == 0xff800000; }

template <class Bits> Range range_of(const Bits * mask, int32_t n) {
    const int32_t  step = (int32_t) (sizeof(uint64_t) / sizeof(Bits));
    const uint64_t hidden = step == 4 ? 0xfc00fc00fc00fc00 : 0xff800000ff800000;
    const auto     all = [&](int32_t i, uint64_t value) {  // as many as fit into a word
        uint64_t word;
        memcpy(&word, mask + i, sizeof(word));
        return word == value;
    };
    int32_t begin = 0, end = n;
    while (begin + step <= n && all(begin, hidden)) {
        begin += step;
    }
    while (begin < n && is_hidden(mask[begin])) {
        begin++;
    }
    while (end - step >= begin && all(end - step, hidden)) {
        end -= step;
    }
    while (end > begin && is_hidden(mask[end - 1])) {
        end--;
    }
    int32_t zeros = begin;
    while (zeros + step <= end && all(zeros, 0)) {
        zeros += step;
    }
    while (zeros < end && mask[zeros] == 0) {
        zeros++;
    }
    int32_t seen = zeros;
    while (seen < end && !is_hidden(mask[seen])) {
        seen++;
    }
    return { begin, end, zeros == end, seen == end };
}

// How steeply ALiBi falls with the distance for a head (https://arxiv.org/abs/2108.12409, as ggml numbers the heads).
float slope_of(int64_t head, int64_t heads, float max_bias) {
    if (max_bias <= 0) {
        return 1.0f;
    }
    int64_t power = 1;
    while (power * 2 <= heads) {
        power *= 2;
    }
    const double first = pow(2.0, -max_bias / (double) power), between = pow(2.0, -max_bias / 2.0 / (double) power);
    return (float) (head < power ? pow(first, (double) (head + 1)) : pow(between, (double) (2 * (head - power) + 1)));
}

}  // namespace
