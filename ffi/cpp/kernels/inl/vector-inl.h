// Included by arch/*.cpp before every other of these files; needs WIDTH, load_halves, sum_of, largest_of.
//
// Vectors of WIDTH floats or integers in GCC's and Clang's own notation. All is internal to the file of one instruction set: a
// shared inline function could be the copy with instructions that another CPU lacks. For that reason nothing of the standard
// library's templates is used in these files either.
#pragma once
#include <stdint.h>
#include <string.h>

namespace {

typedef float    Floats __attribute__((vector_size(4 * WIDTH)));
typedef int32_t  Ints __attribute__((vector_size(4 * WIDTH)));
typedef uint32_t Words __attribute__((vector_size(4 * WIDTH)));
typedef int16_t  Shorts __attribute__((vector_size(2 * WIDTH)));
typedef uint8_t  Bytes __attribute__((vector_size(16)));

inline Floats load(const float * p) {
    Floats v;
    memcpy(&v, p, sizeof(v));
    return v;
}
inline Ints load(const int32_t * p) {
    Ints v;
    memcpy(&v, p, sizeof(v));
    return v;
}
inline void store(float * p, Floats v) { memcpy(p, &v, sizeof(v)); }
inline void store(int32_t * p, Ints v) { memcpy(p, &v, sizeof(v)); }

inline Floats splat(float x) { return x - Floats{}; }
inline Ints   splat(int32_t x) { return x - Ints{}; }
inline Ints   bits_of(Floats v) { return (Ints) v; }
inline float  float_of(int32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}
inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }
inline Ints   larger(Ints a, Ints b) { return a > b ? a : b; }

// The first n, zeros after them; all if n is larger.
inline Floats load_part(const float * p, int64_t n) {
    if (n >= WIDTH) {
        return load(p);
    }
    Floats v = {};
    memcpy(&v, p, (size_t) n * sizeof(float));
    return v;
}
inline void store_part(float * p, Floats v, int64_t n) {
    if (n >= WIDTH) {
        store(p, v);
    } else {
        memcpy(p, &v, (size_t) n * sizeof(float));
    }
}
inline Floats load_halves_part(const uint16_t * p, int64_t n) {
    if (n >= WIDTH) {
        return load_halves(p);
    }
    uint16_t some[WIDTH] = {};
    memcpy(some, p, (size_t) n * sizeof(uint16_t));
    return load_halves(some);
}

inline int64_t rounded_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

const float ROUND = 12582912.0f;  // 1.5 * 2^23: what is added to it is rounded to an integer, in its lowest bits

// e^x to about 1e-7 of itself; 0 below -87, where floats become denormal, and e^88 above 88.
inline Floats exp_of(Floats x) {
    const Floats bounded = x > splat(88.0f) ? splat(88.0f) : x;
    const Floats t       = bounded * 1.44269504f + ROUND;
    const Floats n       = t - ROUND;
    const Floats r       = bounded - n * 0.693145752f - n * 1.42860677e-6f;  // ln 2 in two parts, the first with zeros at its end
    Floats       p       = splat(1.0f / 5040);
    p                    = p * r + 1.0f / 720;
    p                    = p * r + 1.0f / 120;
    p                    = p * r + 1.0f / 24;
    p                    = p * r + 1.0f / 6;
    p                    = p * r + 0.5f;
    p                    = p * r + 1.0f;
    p                    = p * r + 1.0f;
    const Floats scaled = (Floats) ((Words) p + ((Words) t << 23));  // n added to the exponent
    return x < splat(-87.0f) ? splat(0.0f) : scaled;
}

}  // namespace
