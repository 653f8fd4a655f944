// ggml's C asks for memory in many places and looks at the answer in few: what it wrote to at NULL ended the process. On
// a lane the answer is std::bad_alloc instead, which becomes an error like a failed assertion. The linker is told to call
// these (build/CMakeLists.txt); where it cannot, and in a libggml that is not ours, ggml does as it always did.
#if defined(__linux__)
#    include "ggml-backend.h"
#    include "shim/decoder.h"
#    include "guard/guard.h"
#    include "os/pages.h"
#    include "wraps/weights_memory.h"

#    include <cstddef>
#    include <cstdint>
#    include <cstring>
#    include <new>

#    include <malloc.h>

extern "C" {
// weak: a program of the same objects that is linked without that option has none
__attribute__((weak)) void * __real_malloc(size_t size);
__attribute__((weak)) void * __real_calloc(size_t n, size_t size);
__attribute__((weak)) void * __real_realloc(void * old, size_t size);
__attribute__((weak)) void   __real_free(void * memory);
__attribute__((weak)) void   __real_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, uint8_t value);
__attribute__((weak)) void   __real_ggml_backend_tensor_get_async(ggml_backend_t backend, const ggml_tensor * tensor, void * data,
                                                                  size_t offset, size_t size);
__attribute__((visibility("hidden"))) void * __wrap_malloc(size_t size);
__attribute__((visibility("hidden"))) void * __wrap_calloc(size_t n, size_t size);
__attribute__((visibility("hidden"))) void * __wrap_realloc(void * old, size_t size);
__attribute__((visibility("hidden"))) void   __wrap_free(void * memory);
__attribute__((visibility("hidden"))) void   __wrap_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, uint8_t value);
__attribute__((visibility("hidden"))) void   __wrap_ggml_backend_tensor_get_async(ggml_backend_t backend, const ggml_tensor * tensor,
                                                                                  void * data, size_t offset, size_t size);
}

namespace {

void * found(void * memory, size_t size) {
    if (!memory && size > 0 && saur::guarded_thread()) {
        throw std::bad_alloc();
    }
    return memory;
}

constexpr size_t LARGE = 1 << 20;
constexpr size_t LINKS = 64;  // what glibc writes on both ends of a freed piece has room in that

thread_local bool skip_logits = false;

}  // namespace

void * __wrap_malloc(size_t size) { return found(__real_malloc(size), size); }
void * __wrap_calloc(size_t n, size_t size) { return found(__real_calloc(n, size), n * size); }
void * __wrap_realloc(void * old, size_t size) { return found(__real_realloc(old, size), size); }

// glibc keeps what is freed, up to 32 MB a piece (mallopt(3), M_MMAP_THRESHOLD). llama.cpp replaces its outputs, vocabulary x
// tokens, by larger ones whenever a pass has more tokens than those before, which do not fit where the smaller ones were. So
// the pages go back to the system.
void __wrap_free(void * memory) {
    const size_t size = memory ? malloc_usable_size(memory) : 0;
    if (size >= LARGE) {
        saur::before_free(memory);
        saur::Pages((char *) memory + LINKS, size - 2 * LINKS).give_back();
    }
    __real_free(memory);
}

// llama.cpp keeps room for a row of logits for every output, wanted or not, and clears all of it: vocabulary x tokens, which
// nobody writes to where it is embeddings that are wanted. Pages that are given back are zeros, and take no memory until then.
void __wrap_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) {
    const size_t size = ggml_backend_buffer_get_size(buffer);
    if (value == 0 && size >= LARGE && ggml_backend_buffer_get_type(buffer) == ggml_backend_cpu_buffer_type()) {
        char *            begin = (char *) ggml_backend_buffer_get_base(buffer), *end = begin + size;
        const saur::Pages pages(begin, size);
        if (pages.give_back()) {
            memset(begin, 0, (size_t) (pages.from - begin));
            memset(pages.to, 0, (size_t) (end - pages.to));
            return;
        }
    }
    __real_ggml_backend_buffer_clear(buffer, value);
}

// Where a pass ends before the head, its logits are copied all the same: zeros, 1 MB a token of gemma3-270m.
void __wrap_ggml_backend_tensor_get_async(ggml_backend_t backend, const ggml_tensor * tensor, void * data, size_t offset,
                                          size_t size) {
    if (!skip_logits || strcmp(tensor->name, "result_output") != 0) {
        __real_ggml_backend_tensor_get_async(backend, tensor, data, offset, size);
    }
}

saur::SkipLogits::SkipLogits(bool skip) { skip_logits = skip; }
saur::SkipLogits::~SkipLogits() { skip_logits = false; }
#else
#    include "shim/decoder.h"

saur::SkipLogits::SkipLogits(bool) {}
saur::SkipLogits::~SkipLogits() {}
#endif
