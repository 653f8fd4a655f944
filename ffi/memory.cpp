// ggml's C asks for memory in many places and looks at the answer in few: what it wrote to at NULL ended the process. On
// a lane the answer is std::bad_alloc instead, which becomes an error like a failed assertion. The linker is told to call
// these (build/CMakeLists.txt); where it cannot, and in a libggml that is not ours, ggml does as it always did.
#if defined(__linux__)
#    include "guard.h"

#    include <cstddef>
#    include <new>

extern "C" {
// weak: a program of the same objects that is linked without that option has none
__attribute__((weak)) void * __real_malloc(size_t size);
__attribute__((weak)) void * __real_calloc(size_t n, size_t size);
__attribute__((weak)) void * __real_realloc(void * old, size_t size);
__attribute__((visibility("hidden"))) void * __wrap_malloc(size_t size);
__attribute__((visibility("hidden"))) void * __wrap_calloc(size_t n, size_t size);
__attribute__((visibility("hidden"))) void * __wrap_realloc(void * old, size_t size);
}

namespace {

void * found(void * memory, size_t size) {
    if (!memory && size > 0 && saur::guarded_thread()) {
        throw std::bad_alloc();
    }
    return memory;
}

}  // namespace

void * __wrap_malloc(size_t size) { return found(__real_malloc(size), size); }
void * __wrap_calloc(size_t n, size_t size) { return found(__real_calloc(n, size), n * size); }
void * __wrap_realloc(void * old, size_t size) { return found(__real_realloc(old, size), size); }
#endif
