#include "guard/guard.h"

#include "ggml.h"
#include "llama.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#if defined(_WIN32)
#    define WIN32_LEAN_AND_MEAN
#    include <windows.h>
#else
#    include <dlfcn.h>

// Every destructor of a static object in this library is registered here, and forgotten: llama.cpp and ggml build such
// objects lazily, in the first load, the first tokenising, the first pass, and an exit in the middle of that would
// destroy them beneath the lane, before any handler of ours that is older. The library is never unloaded, and the
// system takes the memory back. Hidden, so that it is this library's alone.
extern "C" __attribute__((visibility("hidden"))) int __cxa_atexit(void (*)(void *), void *, void *) noexcept {
    return 0;
}
#endif

namespace saur {
namespace {

constexpr size_t RING_BYTES   = 1 << 20;
constexpr int    EXIT_WAIT_MS = 3000;

thread_local int       t_guards = 0;
thread_local LogSink * t_sink   = nullptr;

std::atomic<int>  g_in_flight{ 0 };
std::atomic<bool> g_exiting{ false };

// ggml.cpp's static initialiser installs a terminate handler that forks a debugger. Kept from before it ran.
std::terminate_handler g_terminate = nullptr;
#if defined(__GNUC__)
__attribute__((constructor(101))) void keep_terminate_handler() { g_terminate = std::get_terminate(); }
#endif

LogLevel level_of(ggml_log_level level, LogLevel last) {
    switch (level) {
        case GGML_LOG_LEVEL_DEBUG: return LOG_DEBUG;
        case GGML_LOG_LEVEL_INFO:  return LOG_INFO;
        case GGML_LOG_LEVEL_WARN:  return LOG_WARN;
        case GGML_LOG_LEVEL_ERROR: return LOG_ERROR;
        case GGML_LOG_LEVEL_CONT:  return last;
        case GGML_LOG_LEVEL_NONE:  break;
    }
    return LOG_INFO;
}

void write_line(LogSink & sink, LogLevel level, const char * text) {
    sink.last = level;
    if (level == LOG_ERROR && sink.errors.size() < ERROR_BYTES) {
        append(sink.errors, text);
    }
    if (level >= sink.level) {
        try {
            sink.ring.push(level, text);
        } catch (const std::bad_alloc &) {  // llama.cpp logs where nothing may be thrown; the line is lost
        }
    }
    if (sink.watch) {
        sink.watch(sink.watch_user, text);
    }
}

void on_log(ggml_log_level level, const char * text, void *) {
    if (t_sink) {
        write_line(*t_sink, level_of(level, t_sink->last), text);
        return;
    }
    // Threads that are no lane share a sink, and of that only the ring may be written by several.
    LogSink &      sink = global_sink();
    const LogLevel ours = level_of(level, LOG_INFO);
    if (ours >= sink.level) {
        sink.ring.push(ours, text);
    }
}

void on_abort(const char * message) {
    if (t_guards > 0) {
        throw AssertionFailed(message);
    }
    fprintf(stderr, "llamasaur: %s\n", message);  // on a thread that ggml started nothing can be saved
}

void wait_for_jobs() {
    g_exiting = true;
    for (int ms = 0; ms < EXIT_WAIT_MS && g_in_flight > 0; ms++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

// A library that is unloaded beneath a running thread takes the process with it (denoland/deno#14854).
void pin_library() {
#if defined(_WIN32)
    HMODULE module;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (LPCWSTR) &pin_library,
                       &module);
#else
    Dl_info info;
    if (dladdr((void *) &pin_library, &info) && info.dli_fname) {
        dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
    }
#endif
}

}  // namespace

void append(std::string & text, const char * more) noexcept {
    try {
        text += more;
    } catch (const std::bad_alloc &) {
    }
}

bool tells_of_memory(const std::string & words) {
    const char * const signs[] = { "bad_alloc", "failed to allocate", "unable to allocate", "insufficient memory",
                                   strerror(ENOMEM) };
    return std::any_of(std::begin(signs), std::end(signs),
                       [&](const char * sign) { return words.find(sign) != std::string::npos; });
}

void LogRing::push(LogLevel level, const char * text) {
    std::lock_guard<std::mutex> lock(mutex);
    while (bytes > RING_BYTES && !lines.empty()) {
        bytes -= lines.front().second.size();
        lines.pop_front();
    }
    lines.emplace_back(level, text);
    bytes += lines.back().second.size();
}

int32_t LogRing::drain(char * out, int32_t size) {
    if (size < 2) {
        return 0;  // not even an empty line fits
    }
    std::lock_guard<std::mutex> lock(mutex);
    int32_t                     used = 0;
    while (!lines.empty()) {
        const auto &  line = lines.front();
        const int32_t room = size - used - 2;
        if (room < (int32_t) line.second.size() && used > 0) {
            break;
        }
        const int32_t n = std::min<int32_t>(room, (int32_t) line.second.size());
        out[used] = (char) ('0' + line.first);
        memcpy(out + used + 1, line.second.data(), n);
        out[used + 1 + n] = 0;
        used += n + 2;
        bytes -= line.second.size();
        lines.pop_front();
    }
    return used;
}

LogSink & global_sink() {
    static LogSink * sink = new LogSink;  // never destroyed: threads may outlive main
    return *sink;
}

void set_thread_sink(LogSink * sink) { t_sink = sink; }

Guard::Guard() { t_guards++; }
Guard::~Guard() { t_guards--; }
bool guarded_thread() { return t_guards > 0; }

void install_hooks() {
    static std::once_flag once;
    std::call_once(once, [] {
        llama_log_set(on_log, nullptr);
        ggml_set_abort_callback(on_abort);
        if (g_terminate) {
            std::set_terminate(g_terminate);
        }
        pin_library();
    });
}

void arm_exit_guard() {
#if defined(_WIN32)
    std::atexit(wait_for_jobs);
#else
    // libc's own; std::atexit is linked into this library and would find ours.
    using Register = int (*)(void (*)(void *), void *, void *);
    if (auto real = (Register) dlsym(RTLD_NEXT, "__cxa_atexit")) {
        real([](void *) { wait_for_jobs(); }, nullptr, nullptr);
    }
#endif
}
bool exiting() { return g_exiting; }

InFlight::InFlight() { g_in_flight++; }
InFlight::~InFlight() { g_in_flight--; }

int32_t copy_text(const std::string & text, char * out, int32_t size) {
    if (out && size > 0) {
        const size_t n = std::min<size_t>(text.size(), (size_t) size - 1);
        memcpy(out, text.data(), n);
        out[n] = 0;
    }
    return (int32_t) text.size();
}

}  // namespace saur
