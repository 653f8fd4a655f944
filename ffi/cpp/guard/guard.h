// Turns what would end the process into a status: failed assertions, exceptions, memory that runs out.
#pragma once
#include "guard/log.h"
#include "status.h"

#include <exception>
#include <new>
#include <string>

namespace saur {

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

void install_hooks();  // log and abort callbacks; idempotent

}  // namespace saur
