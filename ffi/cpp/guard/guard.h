// What keeps the host process alive: errors instead of aborts, logs without callbacks into JavaScript, an orderly exit.
#pragma once
#include "status.h"

#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <string>

namespace saur {

// A bounded ring of log lines: any thread writes, JavaScript drains.
class LogRing {
  public:
    void    push(LogLevel level, const char * text);
    int32_t drain(char * out, int32_t size);

  private:
    std::mutex                                   mutex;
    std::deque<std::pair<LogLevel, std::string>> lines;
    size_t                                       bytes = 0;
};

constexpr size_t ERROR_BYTES = 4096;  // of a job's error lines, about

// Where the lines that llama.cpp writes on this thread go; a lane sets it for its own thread.
struct LogSink {
    LogRing     ring;
    LogLevel    level = LOG_NONE;  // lines below are dropped
    LogLevel    last  = LOG_NONE;  // what a continuation line continues
    std::string errors;            // the error lines of the running job, for the message of its exception
    void (*watch)(void * user, const char * text) = nullptr;  // sees every line; may throw (quantize progress, abort)
    void * watch_user = nullptr;
};
LogSink & global_sink();                    // for threads that are no lane
void      set_thread_sink(LogSink * sink);

struct AssertionFailed : std::exception {
    explicit AssertionFailed(const char * message) : message(message) {}
    const char * what() const noexcept override { return message.c_str(); }
    std::string message;
};

// While one exists on a thread, a GGML_ASSERT on that thread throws instead of aborting.
struct Guard {
    Guard();
    ~Guard();
};

bool guarded_thread();  // whether a Guard exists on this thread

void append(std::string & text, const char * more) noexcept;  // as much as there is memory for

// Runs f; every way out of it becomes a status. `error` receives the words of an exception.
template <class F> int32_t guarded(std::string & error, F f) {
    Guard guard;
    try {
        return f();
    } catch (const std::bad_alloc &) {
        append(error, "out of memory");
        return SAUR_OUT_OF_MEMORY;
    } catch (const std::exception & e) {
        append(error, e.what());
    } catch (...) {
        append(error, "unknown C++ exception");
    }
    return SAUR_LOST;
}

// Whether llama.cpp's words tell that memory ran out: it catches the exception, logs it and returns NULL or a number.
bool tells_of_memory(const std::string & words);

// For exports that answer at once: any exception becomes `fail`.
template <class R, class F> R answer(R fail, F f) {
    std::string ignored;
    R           result = fail;
    guarded(ignored, [&] {
        result = f();
        return (int32_t) SAUR_OK;
    });
    return result;
}

void install_hooks();  // log and abort callbacks; idempotent

// The process's exit waits (at most 3 s) for running jobs, since C++ static destructors must not run beneath them.
void arm_exit_guard();  // call late: atexit is last in, first out, and ggml builds its statics lazily
bool exiting();
struct InFlight {
    InFlight();
    ~InFlight();
};

int32_t copy_text(const std::string & text, char * out, int32_t size);  // NUL-terminated; returns the bytes it wanted

}  // namespace saur
