// Linux, and other systems with its libc's names.
#include "os/linux_cores.h"
#include "os/posix.h"

#include <malloc.h>

namespace saur::os {

Cores cores() { return linux_cores(""); }

void trim_heap() {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

}  // namespace saur::os
