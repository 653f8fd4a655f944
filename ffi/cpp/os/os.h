// Names what differs between operating systems: CMake compiles one of linux.cpp, macos.cpp and windows.cpp, and a port fills one
// file. No other file asks which system it is compiled for, but those of kernels/arch, whose registers a system must lend.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace saur::os {

// Starts a thread that nobody waits for, with a stack of so many bytes where the system lets a program choose. Throws
// std::system_error.
void start_thread(size_t stack_bytes, void * (*run)(void *), void * argument);

struct Cores {
    int32_t physical = 0;  // 0: the system does not say
    double  quota    = 0;  // cores' worth of time; 0: no limit
};
Cores cores();  // that this process may use

// What CPUID answers (Intel SDM volume 2A); zeros for a leaf that the processor does not have.
struct CpuLeaf {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};
bool cpuid(unsigned number, unsigned sub, CpuLeaf & leaf);  // false: no such instruction on this architecture

// The groups of registers that the system keeps for each thread: XCR0 of x86-64 (Intel SDM volume 1, 13.3), else 0. A kernel
// that used others would lose its numbers.
uint64_t saved_registers();

// Keeps this library in memory until the process ends. Unloaded beneath a running thread, it would take the process with it
// (denoland/deno#14854).
void pin_library();

// Has `handler` run when the process exits, before the handlers that were registered earlier.
void at_exit(void (*handler)());

// Asks libc to give the memory that it keeps for later back to the system.
void trim_heap();

// The path of the library that a function is in, and a path with its links followed; empty if that fails.
std::string library_of(const void * function);
std::string real_path(const std::string & path);

// fseek and ftell, beyond 2 GB.
int     seek(FILE * file, int64_t offset, int origin);
int64_t tell(FILE * file);

// Which file an open one is and when it was changed last: device, number, size, times of the change of bytes and of entry. Two are
// the same file, unchanged, where all are equal; a file that was renamed onto another's place has another number.
using FileStamp = std::array<uint64_t, 5>;
FileStamp stamp_of(FILE * file);  // zeros where the system does not say

// 0 for a regular file and for none; else an errno: EISDIR, or ENOTSUP for a pipe or a device.
int irregular(const char * path);

}  // namespace saur::os
