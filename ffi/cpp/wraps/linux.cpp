// Puts our functions between ggml and libc, and between llama.cpp and ggml: everything that the linker wraps (--wrap,
// build/CMakeLists.txt) is in this file. Only on Linux, and only where ggml is compiled into our library.
//
//   wrapped                         what it gains                                        until upstream
//   malloc, calloc, realloc         an error, not a crash, when memory runs out          ggml looks at what malloc returns
//   operator new (_Znwm)            200 KB of pieces: call after an abort 90 s -> 4 ms   llama_tokenize takes an abort
//   unicode_len_utf8                2 MB of Unigram: call after an abort 22 s -> 20 ms   llama_tokenize takes an abort
//   free                            up to 32 MB that glibc keeps of a lane's outputs     0003-no-logits-for-pooled-embeddings
//   ggml_backend_buffer_clear       Bun, MiniLM bf16: peak 203 -> 127 MB                 0003-no-logits-for-pooled-embeddings
//   ggml_backend_tensor_get_async   gemma3-270m: 1 MB of zeros a token is not copied     a pass can be asked for no logits
//   ggml_backend_buffer_set_usage   Bun, MiniLM bf16: load 114 -> 96 ms                  ggml asks for huge pages for weights
//
// The patch is in scripts/upstream. A function of ggml that gets another name or other arguments does not compile here. If llama.cpp
// calls another one in its place, nothing fails: tests/src/pool/memory_test.ts sees the peak rise, and bench/start.ts the load.
#include "wraps/wraps.h"

#if defined(SAUR_WRAPS)
#    include "ggml-backend.h"
#    include "guard/exit.h"
#    include "guard/guard.h"

#    include <cstddef>
#    include <cstdint>
#    include <cstring>
#    include <new>

#    include <malloc.h>
#    include <sys/mman.h>
#    include <unistd.h>

#    define WRAPPED __attribute__((visibility("hidden")))
#    define REAL    __attribute__((weak))  // a program of the same objects that is linked without --wrap has none

extern "C" {
REAL void *    __real_malloc(size_t size);
REAL void *    __real_calloc(size_t n, size_t size);
REAL void *    __real_realloc(void * old, size_t size);
REAL void      __real_free(void * memory);
WRAPPED void * __wrap_malloc(size_t size);
WRAPPED void * __wrap_calloc(size_t n, size_t size);
WRAPPED void * __wrap_realloc(void * old, size_t size);
WRAPPED void   __wrap_free(void * memory);
REAL void *    __real__Znwm(size_t size);
WRAPPED void * __wrap__Znwm(size_t size);
REAL size_t    __real__Z16unicode_len_utf8c(int first);  // char, in llama.cpp: it goes through as it came
WRAPPED size_t __wrap__Z16unicode_len_utf8c(int first);

REAL decltype(ggml_backend_buffer_clear)        __real_ggml_backend_buffer_clear;
REAL decltype(ggml_backend_tensor_get_async)    __real_ggml_backend_tensor_get_async;
REAL decltype(ggml_backend_buffer_set_usage)    __real_ggml_backend_buffer_set_usage;
WRAPPED decltype(ggml_backend_buffer_clear)     __wrap_ggml_backend_buffer_clear;
WRAPPED decltype(ggml_backend_tensor_get_async) __wrap_ggml_backend_tensor_get_async;
WRAPPED decltype(ggml_backend_buffer_set_usage) __wrap_ggml_backend_buffer_set_usage;
}

namespace {

constexpr size_t LARGE = 1 << 20;

uintptr_t page_size() { return (uintptr_t) sysconf(_SC_PAGESIZE); }

// The whole pages of a piece of memory. Given back, they are zeros when they are touched again.
struct Pages {
    Pages(void * memory, size_t size) {
        const uintptr_t page = page_size(), begin = (uintptr_t) memory;
        from = (char *) ((begin + page - 1) / page * page);
        to   = (char *) ((begin + size) / page * page);
    }
    bool give_back() const { return from < to && madvise(from, (size_t) (to - from), MADV_DONTNEED) == 0; }

    char *from, *to;
};

// Plain memory, which has no device in ggml, or weights that ggml repacks for the processor.
bool is_of_the_cpu(ggml_backend_buffer_t buffer) {
    ggml_backend_buffer_type_t type   = ggml_backend_buffer_get_type(buffer);
    ggml_backend_dev_t         device = ggml_backend_buft_get_device(type);
    return type == ggml_backend_cpu_buffer_type() || (device && ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU);
}

void * found(void * memory, size_t size) {
    if (!memory && size > 0 && saur::guarded_thread()) {
        throw std::bad_alloc();
    }
    return memory;
}

thread_local bool skip_logits = false;

thread_local const saur::AbortFlag * abort_flag = nullptr;  // of AbortPoints

__attribute__((noinline)) void throw_if_aborted() {
    if (abort_flag && (*abort_flag || saur::exiting())) {
        throw saur::Aborted();
    }
}

// Passed for each letter: one read while nobody aborts.
inline void abort_point() {
    if (saur::aborts != 0) {
        throw_if_aborted();
    }
}

}  // namespace

// ggml's C asks for memory in many places and looks at the answer in few: what it wrote to at NULL ended the process. On a lane
// the answer is std::bad_alloc instead, which becomes an error like a failed assertion.
void * __wrap_malloc(size_t size) { return found(__real_malloc(size), size); }
void * __wrap_calloc(size_t n, size_t size) { return found(__real_calloc(n, size), n * size); }
void * __wrap_realloc(void * old, size_t size) { return found(__real_realloc(old, size), size); }

// llama.cpp's tokenizers ask for memory wherever they are slow: for each word, pair, piece between special tokens, and match of a
// regular expression. The exception passes through them as std::bad_alloc would. Unigram's
// best path asks for none, but for the length of each letter. Instructions of tokenising: WordPiece 0.1 %, SPM .6 %, Unigram 1.2 %
// more (callgrind, English text).
void * __wrap__Znwm(size_t size) {
    abort_point();
    return __real__Znwm(size);
}
size_t __wrap__Z16unicode_len_utf8c(int first) {
    abort_point();
    return __real__Z16unicode_len_utf8c(first);
}

saur::AbortPoints::AbortPoints(const AbortFlag & abort) { abort_flag = &abort; }
saur::AbortPoints::~AbortPoints() { abort_flag = nullptr; }

// glibc keeps what is freed, up to 32 MB a piece (mallopt(3), M_MMAP_THRESHOLD). llama.cpp replaces its outputs, vocabulary x
// tokens, by larger ones whenever a pass has more tokens than those before, and the larger ones do not fit where the smaller
// ones were. So the pages go back to the system.
void __wrap_free(void * memory) {
    constexpr size_t LINKS = 64;  // glibc writes its links on both ends of a freed piece
    const size_t     size  = memory ? malloc_usable_size(memory) : 0;
    if (size >= LARGE) {
        Pages((char *) memory + LINKS, size - 2 * LINKS).give_back();
    }
    __real_free(memory);
}

// llama.cpp keeps room for a row of logits for every output, wanted or not, and clears all of it: vocabulary x tokens, which
// nobody writes to where only embeddings are wanted. Pages that are given back are zeros, and take no memory until then.
void __wrap_ggml_backend_buffer_clear(ggml_backend_buffer_t buffer, uint8_t value) {
    const size_t size = ggml_backend_buffer_get_size(buffer);
    if (value == 0 && size >= LARGE && ggml_backend_buffer_get_type(buffer) == ggml_backend_cpu_buffer_type()) {
        char *      begin = (char *) ggml_backend_buffer_get_base(buffer), *end = begin + size;
        const Pages pages(begin, size);
        if (pages.give_back()) {
            memset(begin, 0, (size_t) (pages.from - begin));
            memset(pages.to, 0, (size_t) (end - pages.to));
            return;
        }
    }
    __real_ggml_backend_buffer_clear(buffer, value);
}

bool saur::cleared_pages_are_free() { return true; }

// Where a pass ends before the head, its logits are copied all the same: zeros, 1 MB a token of gemma3-270m.
void __wrap_ggml_backend_tensor_get_async(ggml_backend_t backend, const ggml_tensor * tensor, void * data, size_t offset,
                                          size_t size) {
    if (!skip_logits || strcmp(tensor->name, "result_output") != 0) {
        __real_ggml_backend_tensor_get_async(backend, tensor, data, offset, size);
    }
}

saur::SkipLogits::SkipLogits(bool skip) { skip_logits = skip; }
saur::SkipLogits::~SkipLogits() { skip_logits = false; }

// A page that is touched for the first time costs an interrupt, 11,000 of them for MiniLM in bf16. llama.cpp says which buffers
// are for weights before it reads into them; pages of 2 MB are asked for there, where the system has them for who asks.
void __wrap_ggml_backend_buffer_set_usage(ggml_backend_buffer_t buffer, ggml_backend_buffer_usage usage) {
    constexpr size_t LEAST = 8 << 20;
    const size_t     size  = ggml_backend_buffer_get_size(buffer);
    if (usage == GGML_BACKEND_BUFFER_USAGE_WEIGHTS && size >= LEAST && is_of_the_cpu(buffer)) {
        const uintptr_t begin = (uintptr_t) ggml_backend_buffer_get_base(buffer), page = begin / page_size() * page_size();
        madvise((void *) page, begin - page + size, MADV_HUGEPAGE);
    }
    __real_ggml_backend_buffer_set_usage(buffer, usage);
}
#else
saur::AbortPoints::AbortPoints(const AbortFlag &) {}
saur::AbortPoints::~AbortPoints() {}

bool saur::cleared_pages_are_free() { return false; }

saur::SkipLogits::SkipLogits(bool) {}
saur::SkipLogits::~SkipLogits() {}
#endif
