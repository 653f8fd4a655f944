// Two things that llama.cpp does with a vocabulary at load, which took a quarter of it, with the same result sooner. The linker
// is told to call these in their place (build/CMakeLists.txt).
#if defined(__linux__)
#    include "gguf.h"

#    include <cstdint>
#    include <sstream>
#    include <string>

#    if defined(__GLIBCXX__) && _GLIBCXX_USE_CXX11_ABI
#        define COMPARE "_ZNKSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE7compareEPKc"
#        define TO_STRING "_Z14gguf_kv_to_strB5cxx11PK12gguf_contexti"

// weak: a program of the same objects that is linked without that option has none
__attribute__((weak)) int         real_compare(const std::string * text, const char * other) __asm__("__real_" COMPARE);
__attribute__((weak)) std::string real_to_string(const gguf_context * gguf, int id) __asm__("__real_" TO_STRING);
__attribute__((visibility("hidden"))) int wrap_compare(const std::string * text, const char * other) __asm__("__wrap_" COMPARE);
__attribute__((visibility("hidden"))) std::string wrap_to_string(const gguf_context * gguf, int id) __asm__("__wrap_" TO_STRING);

// Every token is compared with some seventy names of those with a special meaning, and std::string::compare measures the name
// each time. Most differ in their first byte.
int wrap_compare(const std::string * text, const char * other) {
    const int difference = text->empty() ? 0 : (int) (unsigned char) text->front() - (int) (unsigned char) *other;
    return difference != 0 ? difference : real_compare(text, other);
}

// Lists are put into words as a whole, for a line of the log that has room for 40 bytes. With its commas no element is less
// than three bytes, nor a number one.
std::string wrap_to_string(const gguf_context * gguf, int id) {
    constexpr size_t SHOWN = 40;
    if (gguf_get_kv_type(gguf, id) != GGUF_TYPE_ARRAY || gguf_get_arr_n(gguf, id) <= SHOWN) {
        return real_to_string(gguf, id);
    }
    const gguf_type    type = gguf_get_arr_type(gguf, id);
    std::ostringstream text;
    for (size_t i = 0; i < SHOWN; i++) {
        text << (i == 0 ? "[" : ", ");
        if (type == GGUF_TYPE_STRING) {
            text << '"';
            for (const char * c = gguf_get_arr_str(gguf, id, i); *c; c++) {
                text << (*c == '\\' || *c == '"' ? "\\" : "") << *c;
            }
            text << '"';
        } else if (type == GGUF_TYPE_FLOAT32) {
            text << std::to_string(((const float *) gguf_get_arr_data(gguf, id))[i]);
        } else if (type == GGUF_TYPE_INT32) {
            text << std::to_string(((const int32_t *) gguf_get_arr_data(gguf, id))[i]);
        } else {
            return real_to_string(gguf, id);
        }
    }
    return text.str() + ", ...]";
}
#    endif
#endif
