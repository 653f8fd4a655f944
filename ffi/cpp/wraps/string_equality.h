// Compares a std::string with a C string, size first. Goes before llama-vocab.cpp (build/CMakeLists.txt), and before nothing else.
//
// At load, llama.cpp compares every token of the vocabulary with about seventy texts of special tokens. libstdc++'s operator is a
// call that measures the text and compares bytes, two million of them for MiniLM: 17 of its load's 58 ms of processor time with
// what goes before llama-impl.cpp (Intel Xeon, gcc 12, least of 25 loads). With this one, almost all of them end at the size.
// It is an overload, so llama.cpp's code and its outcome stay the same. Patch 0004 of scripts/upstream would end it.
#pragma once

#include <cstring>
#include <string>

#if defined(__GNUC__)
__attribute__((always_inline))
#endif
inline bool operator==(const std::string & text, const char * other) {
    const size_t size = std::strlen(other);
    return text.size() == size && std::memcmp(text.data(), other, size) == 0;
}
