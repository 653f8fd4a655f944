#include "guard/guard.h"

#include "ggml.h"
#include "os/os.h"

#include <cstdio>
#include <exception>
#include <mutex>

namespace saur {
namespace {

thread_local int t_guards = 0;

// ggml.cpp's static initialiser installs a terminate handler that forks a debugger. Kept from before it ran.
std::terminate_handler g_terminate = nullptr;
#if defined(__GNUC__)
__attribute__((constructor(101))) void keep_terminate_handler() { g_terminate = std::get_terminate(); }
#endif

void on_abort(const char * message) {
    if (t_guards > 0) {
        throw AssertionFailed(message);
    }
    fprintf(stderr, "llamasaur: %s\n", message);  // on a thread that ggml started nothing can be saved
}

}  // namespace

Guard::Guard() { t_guards++; }
Guard::~Guard() { t_guards--; }
bool guarded_thread() { return t_guards > 0; }

void install_hooks() {
    static std::once_flag once;
    std::call_once(once, [] {
        hook_log();
        ggml_set_abort_callback(on_abort);
        if (g_terminate) {
            std::set_terminate(g_terminate);
        }
        os::pin_library();
    });
}

}  // namespace saur
