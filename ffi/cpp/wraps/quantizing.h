// Has a model read and not mapped while it is quantised, and one byte written without the ceremony of many. Goes before
// llama-quant.cpp (build/CMakeLists.txt), and before nothing else.
//
// A mapped file that is truncated meanwhile ends the process with SIGBUS (tests/runtime/changed_file_test.ts). llama.cpp maps it on
// Linux and Windows, by a constant that has no option.
//
// llama_model_quantize first writes zeros where the header will be, by a call of `write` for each byte: of a head of 1,048,576
// floats 68 of 119 ms of processor time, of XLM-R's vocabulary about as much (`deno task bench:heads`, Intel Xeon, gcc 12). This is
// a class over the stream, so llama.cpp's code and what is written stay the same. Patch 0007 of scripts/upstream would end it.
#pragma once

#include "llama.h"

#include <fstream>

#define LLAMA_LOAD_MODE_MMAP LLAMA_LOAD_MODE_NONE  // after the header that declares it

namespace std {  // where llama-quant.cpp looks for the name

class saur_ofstream : public basic_ofstream<char> {
  public:
    using basic_ofstream<char>::basic_ofstream;

    saur_ofstream & write(const char * bytes, streamsize n) {
        if (n != 1 || !good()) {
            basic_ofstream<char>::write(bytes, n);
        } else if (char_traits<char>::eq_int_type(rdbuf()->sputc(*bytes), char_traits<char>::eof())) {
            setstate(ios_base::badbit);
        }
        if (bad()) {
            setstate(ios_base::failbit);  // llama.cpp hears of this one alone, and by the next one errno would be of a read
        }
        return *this;
    }
};

}  // namespace std

#define ofstream saur_ofstream
