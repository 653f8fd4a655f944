// Counts the cores that a Linux machine gives this process. It only reads files, and is compiled on every system, for the tests.
#pragma once
#include "os/os.h"

#include <string>

namespace saur::os {

// The files are below `root`: empty for this machine, else a directory that has those of another one.
Cores linux_cores(const std::string & root);

}  // namespace saur::os
