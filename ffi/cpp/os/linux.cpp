// Linux, and other systems with its libc's names.
#include "os/linux_cores.h"
#include "os/posix.h"

#include <malloc.h>

namespace saur::os {

Cores cores() { return linux_cores(""); }

uint64_t saved_registers() { return xcr0(); }

FileStamp stamp_of(FILE * file) {
    return stamp_of(
        file, [](const struct stat & status) { return nanoseconds(status.st_mtim); },
        [](const struct stat & status) { return nanoseconds(status.st_ctim); });
}

void trim_heap() {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

}  // namespace saur::os
