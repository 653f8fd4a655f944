// The header of a GGUF file, read with every number checked against the file's size before anything is made of it.
// The format: ggml/include/gguf.h.
#pragma once
#include "guard/gguf/unsound.h"

#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace saur {

// A value of the metadata, as far as the check needs it.
struct GgufField {
    int32_t             type    = 0;  // gguf_type; of an array that of its elements
    bool                array   = false;
    uint64_t            count   = 1;
    uint64_t            at      = 0;  // where its first element is in the file
    uint64_t            longest = 0;  // bytes of the longest string in it
    double              squares = 0;  // of the bytes of all its strings, added up
    std::vector<double> numbers;      // at most 512: those of a list with one entry a layer
    std::string         text;         // of a string of at most 256 bytes
};

struct GgufTensor {
    std::string name;
    uint32_t    n_dims = 0;
    int64_t     ne[4]  = { 1, 1, 1, 1 };
    int32_t     type   = 0;  // ggml_type
    uint64_t    offset = 0;  // of its data in the file
    uint64_t    bytes  = 0;
};

struct GgufHeader {
    std::map<std::string, GgufField> fields;
    std::vector<GgufTensor>          tensors;

    const GgufField * find(const std::string & key) const;
    // The number under a key that holds one; false when it is not there or holds something else.
    bool              number(const std::string & key, double & out) const;
    // The first number under a key, whether it holds one or a list with one entry a layer.
    double            first(const std::string & key, double otherwise) const;
    std::string       text(const std::string & key) const;
};

// Reads from the file's beginning; the file has `size` bytes. Throws Unsound.
GgufHeader read_gguf_header(FILE * file, uint64_t size);

// Reads the strings of a list of this file as llama.cpp does: each ends at its first byte 0.
void each_text(FILE * file, uint64_t size, const GgufField & list,
               const std::function<void(uint64_t index, const std::string & text)> & each);

}  // namespace saur
