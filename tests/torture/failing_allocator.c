// Preloaded, it makes allocations of the native lanes fail, and those of no other thread: the runtimes' own threads
// could not go on. `saur_fail` opens and closes the window; `saur_failed` tells how many failed, `saur_asked` how many
// there were. cc -shared -fPIC -O1 failing_allocator.c -ldl -lpthread
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void * __libc_malloc(size_t size);
extern void * __libc_calloc(size_t n, size_t size);
extern void * __libc_realloc(void * old, size_t size);
extern void * __libc_memalign(size_t alignment, size_t size);

static __thread int lane __attribute__((tls_model("initial-exec"))) = 0;
static atomic_int   open_window, asked, failed, first, count, least;

// From the `after`-th allocation of `size` bytes or more on, `n` fail; n = 0 closes the window.
void saur_fail(int32_t after, int32_t n, int32_t size) {
    open_window = 0;
    asked = failed = 0;
    first          = after;
    count          = n;
    least          = size;
    open_window    = n > 0;
}
int32_t saur_asked(void) { return asked; }
int32_t saur_failed(void) { return failed; }

static int fails(size_t size) {
    if (!lane || !open_window || size < (size_t) least) {
        return 0;
    }
    const int i = asked++;
    if (i < first || i - first >= count) {
        return 0;
    }
    failed++;
    errno = ENOMEM;
    return 1;
}

void * malloc(size_t size) { return fails(size) ? NULL : __libc_malloc(size); }
void * calloc(size_t n, size_t size) { return fails(n * size) ? NULL : __libc_calloc(n, size); }
void * realloc(void * old, size_t size) { return fails(size) ? NULL : __libc_realloc(old, size); }
void * memalign(size_t alignment, size_t size) { return fails(size) ? NULL : __libc_memalign(alignment, size); }
void * aligned_alloc(size_t alignment, size_t size) { return fails(size) ? NULL : __libc_memalign(alignment, size); }
int    posix_memalign(void ** out, size_t alignment, size_t size) {
    void * memory = fails(size) ? NULL : __libc_memalign(alignment, size);
    if (!memory) {
        return ENOMEM;
    }
    *out = memory;
    return 0;
}
void * mmap(void * at, size_t size, int protection, int flags, int file, off_t offset) {
    if (fails(size)) {
        return MAP_FAILED;
    }
    return (void *) syscall(SYS_mmap, at, size, protection, flags, file, offset);
}
void * mmap64(void * at, size_t size, int protection, int flags, int file, off_t offset) {
    return mmap(at, size, protection, flags, file, offset);
}

struct start {
    void * (*run)(void *);
    void * arg;
};

static void * run_lane(void * argument) {
    struct start start = *(struct start *) argument;
    free(argument);
    lane = 1;
    return start.run(start.arg);
}

// A lane is a std::thread and a helper of ggml's begins in our library; the runtimes link libstdc++ statically.
int pthread_create(pthread_t * thread, const pthread_attr_t * attributes, void * (*run)(void *), void * arg) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void * (*) (void *), void *);
    if (!real) {
        *(void **) &real = dlsym(RTLD_NEXT, "pthread_create");
    }
    Dl_info info;
    if (!dladdr((void *) run, &info) || !info.dli_fname ||
        !(strstr(info.dli_fname, "libstdc++") || strstr(info.dli_fname, "llamasaur"))) {
        return real(thread, attributes, run, arg);
    }
    struct start * start = __libc_malloc(sizeof(*start));
    start->run           = run;
    start->arg           = arg;
    return real(thread, attributes, run_lane, start);
}
