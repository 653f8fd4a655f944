// The functions that need no lane, and the log, with buffers of every size.
#include "script.h"

#include <algorithm>

namespace harness {

void expect(int32_t found, int32_t expected, const std::string & what) {
    report.count("checks");
    if (found != expected) {
        report.wrong(what + ": " + std::to_string(found) + " and not " + std::to_string(expected));
    }
}

void drain(saur_lane * lane) {
    char buffer[64];
    for (int32_t size : { 0, -1, INT32_MIN, 1, 2, 3, 17 }) {
        for (int times = 0; times < 3; times++) {
            const int32_t n = saur_log_drain(lane, buffer, size);
            expect(n <= std::max(0, size), 1, "log_drain fits its buffer");
        }
    }
    while (saur_log_drain(lane, buffer, (int32_t) sizeof(buffer)) > 0) {
    }
}

void check_library() {
    char text[64];
    expect(saur_abi() > 0, 1, "abi");
    const int32_t n = saur_versions(nullptr, 0);
    expect(saur_versions(text, 1), n, "versions into one byte");
    expect(saur_cpu_missing(text, sizeof(text), 0), 0, "what the processor lacks");
    saur_cpu_missing(text, 1, -1);
    expect(saur_init("") , SAUR_OK, "init");
    expect(saur_init(""), SAUR_OK, "init again");
    double one;
    expect(saur_default_params(&one, 1), 18, "default_params");
    for (int32_t device = -1; device <= saur_device_count(); device++) {
        double memory[2];
        saur_device_text(device, text, 2);
        saur_device_memory(device, memory);
    }
    drain(nullptr);
}

}  // namespace harness
