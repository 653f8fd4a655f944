// Included by arch/*.cpp (kernels-inl.h) before attention-inl.h; needs nothing.
//
// Reads what the mask of an attention says.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

namespace {

// What a row of the mask lets its token see: from `begin` up to `end`; `plain` if the mask is 0 all over that.
struct Range {
    int32_t begin, end;
    bool    plain;
};

const uint16_t MINUS_INFINITY = 0xfc00;  // of 16-bit floats

Range range_of(const uint16_t * mask, int32_t n) {
    const auto all = [&](int32_t i, uint64_t value) {  // four at a time
        uint64_t four;
        memcpy(&four, mask + i, sizeof(four));
        return four == value;
    };
    const uint64_t hidden = 0xfc00fc00fc00fc00;
    int32_t        begin = 0, end = n;
    while (begin + 4 <= n && all(begin, hidden)) {
        begin += 4;
    }
    while (begin < n && mask[begin] == MINUS_INFINITY) {
        begin++;
    }
    while (end - 4 >= begin && all(end - 4, hidden)) {
        end -= 4;
    }
    while (end > begin && mask[end - 1] == MINUS_INFINITY) {
        end--;
    }
    int32_t zeros = begin;
    while (zeros + 4 <= end && all(zeros, 0)) {
        zeros += 4;
    }
    while (zeros < end && mask[zeros] == 0) {
        zeros++;
    }
    return { begin, end, zeros == end };
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
