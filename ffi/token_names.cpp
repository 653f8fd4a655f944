// llama.cpp looks for tokens with a special meaning by comparing every token of a vocabulary with some sixty names, and
// std::string::compare measures the name each time: that was a fifth of a load. Most differ in their first byte. The linker
// is told to call this in its place (build/CMakeLists.txt).
#if defined(__linux__)
#    include <string>

#    if defined(__GLIBCXX__) && _GLIBCXX_USE_CXX11_ABI
extern "C" {
// weak: a program of the same objects that is linked without that option has none
__attribute__((weak)) int __real__ZNKSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE7compareEPKc(
    const std::string * text, const char * other);
__attribute__((visibility("hidden"))) int __wrap__ZNKSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE7compareEPKc(
    const std::string * text, const char * other);
}

int __wrap__ZNKSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE7compareEPKc(const std::string * text,
                                                                              const char *        other) {
    const int difference = text->empty() ? 0 : (int) (unsigned char) text->front() - (int) (unsigned char) *other;
    return difference != 0 ? difference
                           : __real__ZNKSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE7compareEPKc(text, other);
}
#    endif
#endif
