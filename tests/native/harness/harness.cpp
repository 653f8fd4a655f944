// The shim without a runtime: what TypeScript does to it, done by C++, so that AddressSanitizer, UBSan, ThreadSanitizer
// and valgrind see everything. Links the shim's own objects; tests/torture/memory.ts builds and runs it.
//
//   harness checks --model GGUF... [--bad FILE...] --scratch DIR      every refusal and result, in order
//   harness random --model GGUF... --seed N --steps N --threads N     JavaScript threads at work, at random
//   harness leave  --model GGUF... --leave return|exit|thread         the process ends in the middle of it
//   harness work   --model EMBEDDER --model CROSS-ENCODER             the same every time, for scripts/instructions.ts
//
// One JSON line tells what happened; the exit code is 1 if something was wrong.
#include "script.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <thread>

namespace {

using namespace harness;

Arguments parse(int argc, char ** argv) {
    Arguments a;
    a.mode = argc > 1 ? argv[1] : "";
    for (int i = 2; i + 1 < argc; i += 2) {
        const std::string name = argv[i], value = argv[i + 1];
        if (name == "--model") a.models.push_back(value);
        else if (name == "--bad") a.bad.push_back(value);
        else if (name == "--scratch") a.scratch = value;
        else if (name == "--leave") a.leave = value;
        else if (name == "--seed") a.seed = std::stoull(value);
        else if (name == "--steps") a.steps = std::stoi(value);
        else if (name == "--threads") a.threads = std::stoi(value);
        else if (name == "--big") a.big = std::stoi(value);
        else throw std::invalid_argument("unknown flag " + name);
    }
    if (a.models.empty() || a.scratch.empty()) throw std::invalid_argument("--model and --scratch are needed");
    return a;
}

std::vector<std::thread> start(const Arguments & arguments) {
    std::vector<std::thread> threads;
    for (int32_t i = 0; i < arguments.threads; i++) {
        threads.emplace_back([&arguments, i] {
            run_schedule(arguments, arguments.seed * 1000 + (uint64_t) i, i % 2 == 0 ? Waking::wait : Waking::notify);
        });
    }
    return threads;
}

// How many threads the process has; 0 where the system does not tell so.
size_t count_threads() {
    std::error_code ignored;
    size_t          n = 0;
    for (const auto & thread : std::filesystem::directory_iterator("/proc/self/task", ignored)) {
        n += thread.path().empty() ? 0 : 1;
    }
    return n;
}

// A lane's thread ends after saur_lane_free. What it still holds would be a leak, and what never ends is one.
void await_threads(size_t before) {
    for (int ms = 0; count_threads() > before; ms += 10) {
        if (ms == 20000) {
            report.wrong(std::to_string(count_threads() - before) + " threads never end");
            return;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

// The threads are never joined: they and their lanes work on while the process ends.
int leave(const Arguments & arguments) {
    static const Arguments kept = arguments;
    for (auto & thread : start(kept)) thread.detach();
    std::this_thread::sleep_for(std::chrono::milliseconds(Random(kept.seed).draw(0, 400)));
    if (kept.leave == "thread") {
        std::thread([] { exit(0); }).join();
    } else if (kept.leave == "exit") {
        exit(0);
    }
    return 0;
}

}  // namespace

int main(int argc, char ** argv) {
    try {
        const Arguments arguments = parse(argc, argv);
        std::thread([] {}).join();  // ThreadSanitizer's own thread comes with the first of ours, and stays
        const size_t before = count_threads();
        check_library();
        if (arguments.mode == "checks") {
            check_lanes(arguments);
        } else if (arguments.mode == "random") {
            for (auto & thread : start(arguments)) thread.join();
        } else if (arguments.mode == "work") {
            run_work(arguments);
        } else if (arguments.mode == "leave") {
            return leave(arguments);
        } else {
            throw std::invalid_argument("no mode \"" + arguments.mode + "\"");
        }
        await_threads(before);
        return report.print();
    } catch (const std::exception & e) {
        fprintf(stderr, "harness: %s\n", e.what());
        return 2;
    }
}
