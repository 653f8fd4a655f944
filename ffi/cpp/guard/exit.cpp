#include "guard/exit.h"

#include "guard/abort.h"
#include "os/os.h"

#include <atomic>
#include <chrono>
#include <thread>

namespace saur {
namespace {

constexpr int EXIT_WAIT_MS = 3000;

std::atomic<int>  g_in_flight{ 0 };
std::atomic<bool> g_exiting{ false };

void wait_for_jobs() {
    g_exiting = true;
    aborts++;
    for (int ms = 0; ms < EXIT_WAIT_MS && g_in_flight > 0; ms++) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

}  // namespace

void arm_exit_guard() { os::at_exit(wait_for_jobs); }
bool exiting() { return g_exiting; }

InFlight::InFlight() { g_in_flight++; }
InFlight::~InFlight() { g_in_flight--; }

}  // namespace saur
