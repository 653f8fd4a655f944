// macOS. Not run yet: no Mac at hand.
#include "os/posix.h"

#include <sys/sysctl.h>

namespace saur::os {

Cores cores() {
    Cores  cores;
    size_t size = sizeof(cores.physical);
    // The fast ones of Apple's processors; others have no levels.
    if (sysctlbyname("hw.perflevel0.physicalcpu", &cores.physical, &size, nullptr, 0) != 0) {
        size = sizeof(cores.physical);
        if (sysctlbyname("hw.physicalcpu", &cores.physical, &size, nullptr, 0) != 0) {
            cores.physical = 0;
        }
    }
    return cores;
}

// The system begins to keep the registers of AVX-512 when they are first used, and sets the bits only then (as LLVM's
// compiler-rt says, cpu_model/x86.c).
uint64_t saved_registers() {
    const uint64_t registers = xcr0();
    return (registers & 0x6) == 0x6 ? registers | 0xe0 : registers;
}

FileStamp stamp_of(FILE * file) {
    return stamp_of(
        file, [](const struct stat & status) { return nanoseconds(status.st_mtimespec); },
        [](const struct stat & status) { return nanoseconds(status.st_ctimespec); });
}

void trim_heap() {}

}  // namespace saur::os
