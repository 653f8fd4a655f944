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

void trim_heap() {}

}  // namespace saur::os
