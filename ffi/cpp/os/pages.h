// Pages of memory that go back to the system, and are zeros when they are touched again (Linux).
#pragma once
#include <cstddef>
#include <cstdint>

#include <sys/mman.h>
#include <unistd.h>

namespace saur {

// The whole pages of a piece of memory.
struct Pages {
    Pages(void * memory, size_t size) {
        const uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE), begin = (uintptr_t) memory;
        from = (char *) ((begin + page - 1) / page * page);
        to   = (char *) ((begin + size) / page * page);
    }
    bool give_back() const { return from < to && madvise(from, (size_t) (to - from), MADV_DONTNEED) == 0; }

    char *from, *to;
};

}  // namespace saur
