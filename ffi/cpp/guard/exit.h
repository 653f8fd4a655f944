// Keeps the end of the process orderly: it waits (at most 3 s) for running jobs, since C++ static destructors must not run
// beneath them.
#pragma once

namespace saur {

void arm_exit_guard();  // call late: atexit is last in, first out, and ggml builds its statics lazily
bool exiting();

// One exists while a job runs.
struct InFlight {
    InFlight();
    ~InFlight();
};

}  // namespace saur
