// Says that an array of the metadata has few elements, to the one function that puts arrays into words for llama.cpp's log. Goes
// before llama-impl.cpp (build/CMakeLists.txt), and before nothing else.
//
// At load, gguf_kv_to_str puts every array into words as a whole, the vocabulary, too, and the log shows 37 characters of it. It
// asks for the number of elements with an `int`; for that this overload is the better one. What is logged stays the same
// (tests/ffi/cpp/load_log_test.ts). The figure is in string_equality.h; patch 0005 of scripts/upstream would end it.
#pragma once

#include "gguf.h"

#include <algorithm>

inline int gguf_get_arr_n(const gguf_context * metadata, int index) {
    constexpr size_t SHOWN = 40;  // each is a character or more, and ", " is between them
    return (int) std::min(gguf_get_arr_n(metadata, (int64_t) index), SHOWN);
}
