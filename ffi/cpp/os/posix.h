// Included by os/linux.cpp and os/macos.cpp, once: what both systems have from POSIX.
#pragma once
#include "os/os.h"

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include <dlfcn.h>
#include <pthread.h>
#include <sys/stat.h>

#if defined(__x86_64__) || defined(__i386__)
#    include <cpuid.h>
#endif

// Every destructor of a static object in this library is registered here, and forgotten: llama.cpp and ggml build such
// objects lazily, in the first load, the first tokenising, the first pass, and an exit in the middle of that would
// destroy them beneath the lane, before any handler of ours that is older. The library is never unloaded, and the
// system takes the memory back. Hidden, so that it is this library's alone.
extern "C" __attribute__((visibility("hidden"))) int __cxa_atexit(void (*)(void *), void *, void *) noexcept {
    return 0;
}

namespace saur::os {

// By default a stack is as large as `ulimit -s` says, or 128 KB with musl.
void start_thread(size_t stack_bytes, void * (*run)(void *), void * argument) {
    pthread_attr_t attributes;
    pthread_t      thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const int failed = pthread_create(&thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    if (failed) {
        throw std::system_error(failed, std::generic_category(), "a thread cannot be started");
    }
}

// By hand: the names that __builtin_cpu_supports knows differ between compilers, and zig's runtime answers no to all of them.
bool cpuid(unsigned number, unsigned sub, CpuLeaf & leaf) {
    leaf = {};
#if defined(__x86_64__) || defined(__i386__)
    if (__get_cpuid_max(0, nullptr) >= number) {
        __cpuid_count(number, sub, leaf.eax, leaf.ebx, leaf.ecx, leaf.edx);
    }
    return true;
#else
    (void) number;
    (void) sub;
    return false;
#endif
}

inline uint64_t xcr0() {
#if defined(__x86_64__)
    CpuLeaf leaf;
    cpuid(1, 0, leaf);
    if (leaf.ecx >> 27 & 1) {  // OSXSAVE: the instruction may be used
        unsigned low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        return (uint64_t) high << 32 | low;
    }
#endif
    return 0;
}

std::string library_of(const void * function) {
    Dl_info info;
    return dladdr((void *) function, &info) && info.dli_fname ? info.dli_fname : "";
}

void pin_library() {
    const std::string path = library_of((const void *) &pin_library);
    if (!path.empty()) {
        dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    }
}

void at_exit(void (*handler)()) {
    // libc's own; std::atexit is linked into this library and would find ours.
    using Register = int (*)(void (*)(void *), void *, void *);
    static void (*kept)() = nullptr; // ThreadSanitizer's own __cxa_atexit loses the argument where there is no library
    kept                  = handler;
    if (auto real = (Register) dlsym(RTLD_NEXT, "__cxa_atexit")) {
        real([](void *) { kept(); }, nullptr, nullptr);
    }
}

std::string real_path(const std::string & path) {
    char *            real = realpath(path.c_str(), nullptr);
    const std::string text = real ? real : "";
    free(real);
    return text;
}

int seek(FILE * file, int64_t offset, int origin) { return fseeko(file, (off_t) offset, origin); }

int64_t tell(FILE * file) { return (int64_t) ftello(file); }

// The systems' names of the nanoseconds differ.
inline FileStamp stamp_of(FILE * file, uint64_t (*bytes_at)(const struct stat &), uint64_t (*entry_at)(const struct stat &)) {
    struct stat status;
    if (fstat(fileno(file), &status) != 0) {
        return {};
    }
    return { (uint64_t) status.st_dev, (uint64_t) status.st_ino, (uint64_t) status.st_size, bytes_at(status), entry_at(status) };
}

inline uint64_t nanoseconds(const timespec & time) { return (uint64_t) time.tv_sec * 1000000000u + (uint64_t) time.tv_nsec; }

int irregular(const char * path) {
    struct stat status;
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode)) {
        return 0;
    }
    return S_ISDIR(status.st_mode) ? EISDIR : ENOTSUP;
}

}  // namespace saur::os
