// What exports share that answer at once: no exception leaves one, and text is copied into the caller's buffer.
#pragma once
#include "guard/guard.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace saur {

// Runs f; any exception becomes `fail`.
template <class R, class F> R answer(R fail, F f) {
    std::string ignored;
    R           result = fail;
    guarded(ignored, [&] {
        result = f();
        return (int32_t) SAUR_OK;
    });
    return result;
}

// NUL-terminated; returns the bytes it wanted.
inline int32_t copy_text(const std::string & text, char * out, int32_t size) {
    if (out && size > 0) {
        const size_t n = std::min<size_t>(text.size(), (size_t) size - 1);
        memcpy(out, text.data(), n);
        out[n] = 0;
    }
    return (int32_t) text.size();
}

}  // namespace saur
