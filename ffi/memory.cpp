// ggml's C asks for memory in many places and looks at the answer in few: what it wrote to at NULL ended the process. On
// a lane the answer is std::bad_alloc instead, which becomes an error like a failed assertion. The linker is told to call
// these (build/CMakeLists.txt); where it cannot, and in a libggml that is not ours, ggml does as it always did.
#if defined(__linux__)
#    include "ggml-backend.h"
#    include "guard.h"
#    include "loaded_model.h"

#    include <cstddef>
#    include <cstdint>
#    include <cstring>
#    include <new>

#    include <malloc.h>
#    include <sys/mman.h>
#    include <unistd.h>

extern "C" {
// weak: a program of the same objects that is linked without that option has none
__attribute__((weak)) void * __real_malloc(size_t size);
__attribute__((weak)) void * __real_calloc(size_t n, size_t size);
__attribute__((weak)) void * __real_realloc(void * old, size_t size);
__attribute__((weak)) void   __real_free(void * memory);
__attribute__((weak)) int    __real_posix_memalign(void ** memory, size_t alignment, size_t size);
__attribute__((weak)) void   __real_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, uint8_t value);
__attribute__((visibility("hidden"))) void * __wrap_malloc(size_t size);
__attribute__((visibility("hidden"))) void * __wrap_calloc(size_t n, size_t size);
__attribute__((visibility("hidden"))) void * __wrap_realloc(void * old, size_t size);
__attribute__((visibility("hidden"))) void   __wrap_free(void * memory);
__attribute__((visibility("hidden"))) int    __wrap_posix_memalign(void ** memory, size_t alignment, size_t size);
__attribute__((visibility("hidden"))) void   __wrap_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, uint8_t value);
}

namespace {

void * found(void * memory, size_t size) {
    if (!memory && size > 0 && saur::guarded_thread()) {
        throw std::bad_alloc();
    }
    return memory;
}

constexpr size_t LARGE = 1 << 20, HUGE_PAGE = 2 << 20;

thread_local bool loading = false;

}  // namespace

void * __wrap_malloc(size_t size) { return found(__real_malloc(size), size); }
void * __wrap_calloc(size_t n, size_t size) { return found(__real_calloc(n, size), n * size); }
void * __wrap_realloc(void * old, size_t size) { return found(__real_realloc(old, size), size); }

// glibc keeps what is freed, up to 32 MB a piece (mallopt(3), M_MMAP_THRESHOLD). llama.cpp replaces its outputs, vocabulary x
// tokens, by larger ones whenever a pass has more tokens than those before, which do not fit where the smaller ones were. So
// the pages go back to the system; the first and the last, on which glibc writes, stay.
void __wrap_free(void * memory) {
    const size_t size = memory ? malloc_usable_size(memory) : 0;
    if (size >= LARGE) {
        const uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE), begin = (uintptr_t) memory;
        const uintptr_t from = (begin / page + 2) * page, to = ((begin + size) / page - 1) * page;
        madvise((void *) from, to - from, MADV_DONTNEED);
    }
    __real_free(memory);
}

// Weights are read into pages of 2 MB where the system has them for who asks: it is asked for a page 11,000 times with MiniLM
// in bf16 else.
int __wrap_posix_memalign(void ** memory, size_t alignment, size_t size) {
    const bool huge = loading && size >= 2 * HUGE_PAGE;
    const int  rc   = __real_posix_memalign(memory, huge && alignment < HUGE_PAGE ? HUGE_PAGE : alignment, size);
    if (rc == 0 && huge) {
        madvise(*memory, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    }
    return rc;
}

// llama.cpp keeps room for a row of logits for every output, wanted or not, and clears all of it: vocabulary x tokens, which
// nobody writes to where it is embeddings that are wanted. Pages that are given back are zeros, and take no memory until then.
void __wrap_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) {
    const size_t size = ggml_backend_buffer_get_size(buffer);
    if (value == 0 && size >= LARGE && ggml_backend_buffer_get_type(buffer) == ggml_backend_cpu_buffer_type()) {
        const uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE), begin = (uintptr_t) ggml_backend_buffer_get_base(buffer), end = begin + size;
        const uintptr_t from = (begin + page - 1) / page * page, to = end / page * page;
        if (madvise((void *) from, to - from, MADV_DONTNEED) == 0) {
            memset((void *) begin, 0, from - begin);
            memset((void *) to, 0, end - to);
            return;
        }
    }
    __real_ggml_backend_buffer_clear(buffer, value);
}

saur::WeightsScope::WeightsScope() { loading = true; }
saur::WeightsScope::~WeightsScope() { loading = false; }
#else
#    include "loaded_model.h"

saur::WeightsScope::WeightsScope() {}
saur::WeightsScope::~WeightsScope() {}
#endif
