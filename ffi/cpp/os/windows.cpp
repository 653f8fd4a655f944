// Windows. Not run yet: no Windows machine at hand.
#include "os/os.h"

#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#define WIN32_LEAN_AND_MEAN
#ifndef NOMINMAX
#    define NOMINMAX
#endif
#include <windows.h>

#include <io.h>

#if defined(_M_X64) || defined(_M_IX86)
#    include <immintrin.h>
#    include <intrin.h>
#endif

namespace saur::os {

void start_thread(size_t, void * (*run)(void *), void * argument) { std::thread(run, argument).detach(); }

Cores cores() {
    Cores     cores;
    DWORD     bytes = 0;
    DWORD_PTR allowed = 0, all = 0;
    const bool limited = GetProcessAffinityMask(GetCurrentProcess(), &allowed, &all) && allowed != 0;
    GetLogicalProcessorInformationEx(RelationProcessorCore, nullptr, &bytes);
    std::vector<char> buffer(bytes);
    if (bytes == 0 || !GetLogicalProcessorInformationEx(
                          RelationProcessorCore, (SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *) buffer.data(), &bytes)) {
        return cores;
    }
    for (DWORD at = 0; at < bytes;) {
        const auto * one = (const SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *) (buffer.data() + at);
        const auto & group = one->Processor.GroupMask[0];
        // The mask is of the process's own group; on a machine with several it is 0, and all cores count.
        cores.physical += !limited || group.Group != 0 || (group.Mask & allowed) != 0;
        at += one->Size;
    }
    return cores;
}

bool cpuid(unsigned number, unsigned sub, CpuLeaf & leaf) {
    leaf = {};
#if defined(_M_X64) || defined(_M_IX86)
    int r[4];
    __cpuid(r, 0);
    if ((unsigned) r[0] >= number) {
        __cpuidex(r, (int) number, (int) sub);
        leaf.eax = (unsigned) r[0];
        leaf.ebx = (unsigned) r[1];
        leaf.ecx = (unsigned) r[2];
        leaf.edx = (unsigned) r[3];
    }
    return true;
#else
    (void) number;
    (void) sub;
    return false;
#endif
}

uint64_t saved_registers() {
    CpuLeaf leaf;
    cpuid(1, 0, leaf);
    if (!(leaf.ecx >> 27 & 1)) {  // OSXSAVE: the instruction may be used
        return 0;
    }
#if defined(_MSC_VER) && defined(_M_X64)
    return _xgetbv(0);
#elif defined(__x86_64__)
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t) high << 32 | low;
#else
    return 0;
#endif
}

void pin_library() {
    HMODULE module;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (LPCWSTR) &pin_library,
                       &module);
}

void at_exit(void (*handler)()) { std::atexit(handler); }

void trim_heap() {}

std::string library_of(const void *) { return ""; }
std::string real_path(const std::string &) { return ""; }

int seek(FILE * file, int64_t offset, int origin) { return _fseeki64(file, offset, origin); }

int64_t tell(FILE * file) { return _ftelli64(file); }

FileStamp stamp_of(FILE * file) {
    BY_HANDLE_FILE_INFORMATION all;
    if (!GetFileInformationByHandle((HANDLE) _get_osfhandle(_fileno(file)), &all)) {
        return {};
    }
    const auto joined = [](DWORD high, DWORD low) { return (uint64_t) high << 32 | low; };
    return { all.dwVolumeSerialNumber, joined(all.nFileIndexHigh, all.nFileIndexLow), joined(all.nFileSizeHigh, all.nFileSizeLow),
             joined(all.ftLastWriteTime.dwHighDateTime, all.ftLastWriteTime.dwLowDateTime), 0 };
}

// The C library says EACCES of a directory, which sounds like a permission.
int irregular(const char * path) {
    const int    size = MultiByteToWideChar(CP_UTF8, 0, path, -1, nullptr, 0);
    std::wstring wide((size_t) size, L'\0');
    MultiByteToWideChar(CP_UTF8, 0, path, -1, &wide[0], size);
    const DWORD attributes = GetFileAttributesW(wide.c_str());
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) ? EISDIR : 0;
}

}  // namespace saur::os
