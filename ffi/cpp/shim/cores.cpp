// How many cores this process may keep busy: physical ones, by its affinity and its control group. One-thread lanes gain
// next to nothing from a second thread on the same core.
//
// On Linux all is read from files, below a root that a test can choose: /proc/self/status says which processors are
// allowed, /sys/devices/system/cpu which of them are one core, and the control group how much of them may be used
// (https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/scheduler/sched-bwc.html).
#include "guard/guard.h"
#include "shim/shim.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#if defined(__APPLE__)
#    include <sys/sysctl.h>
#elif defined(_WIN32)
#    define WIN32_LEAN_AND_MEAN
#    define NOMINMAX
#    include <windows.h>
#endif

using saur::answer;

namespace {

struct Cores {
    int32_t physical = 0;  // 0: nobody says
    double  quota    = 0;  // cores' worth of time; 0: no limit
};

std::string read(const std::string & path) {
    std::ifstream     in(path);
    std::stringstream text;
    text << in.rdbuf();
    return in ? text.str() : "";
}

// "0-3,8" as numbers; what is no such list, as of a kernel that counts otherwise, gives none.
std::vector<int> numbers_of(const std::string & list) {
    std::vector<int>  numbers;
    std::stringstream parts(list);
    for (std::string part; std::getline(parts, part, ',');) {
        int  first = 0, last = 0;
        char dash = 0;
        std::stringstream range(part);
        if (!(range >> first)) {
            return {};
        }
        last = range >> dash >> last ? last : first;
        for (int i = first; i <= last && numbers.size() < 65536; i++) {
            numbers.push_back(i);
        }
    }
    return numbers;
}

// What follows a key in a text of lines "key: value".
std::string value_of(const std::string & text, const std::string & key) {
    std::stringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const size_t colon = line.find(':');
        if (colon != std::string::npos && line.compare(0, key.size(), key) == 0 &&
            line.find_first_not_of(" \t", key.size()) == colon) {
            return line.substr(colon + 1);
        }
    }
    return "";
}

// The cores of /proc/cpuinfo, where a container hides /sys: pairs of "physical id" and "core id".
int32_t cores_of_cpuinfo(const std::string & text, const std::vector<int> & allowed) {
    std::set<std::string> cores;
    size_t                begin = 0;
    while (begin < text.size()) {
        const size_t      end   = std::min(text.find("\n\n", begin), text.size());
        const std::string block = text.substr(begin, end - begin);
        const std::string core  = value_of(block, "core id"), number = value_of(block, "processor");
        if (!core.empty() && !number.empty() &&
            std::find(allowed.begin(), allowed.end(), std::atoi(number.c_str())) != allowed.end()) {
            cores.insert(value_of(block, "physical id") + ":" + core);
        }
        begin = end + 2;
    }
    return (int32_t) cores.size();
}

int32_t physical_cores(const std::string & root) {
    const std::vector<int> allowed = numbers_of(value_of(read(root + "/proc/self/status"), "Cpus_allowed_list"));
    std::set<std::string>  cores;
    for (const int cpu : allowed) {
        const std::string topology = root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
        // Processors of one core name the same list; the second name is that of kernels before 5.3.
        const std::string siblings = read(topology + "core_cpus_list");
        cores.insert(siblings.empty() ? read(topology + "thread_siblings_list") : siblings);
    }
    if (!cores.empty() && !cores.count("")) {
        return (int32_t) cores.size();
    }
    const int32_t counted = cores_of_cpuinfo(read(root + "/proc/cpuinfo"), allowed);
    return counted > 0 ? counted : (int32_t) allowed.size();
}

// The quota in a directory of a control group, in cores; 0 without.
double quota_in(const std::string & directory, bool v2) {
    double quota = 0, period = 0;
    if (v2) {
        std::stringstream text(read(directory + "/cpu.max"));  // "max 100000" fails to be a number
        if (!(text >> quota >> period)) {
            return 0;
        }
    } else {
        quota  = std::atof(read(directory + "/cpu.cfs_quota_us").c_str());  // -1: none
        period = std::atof(read(directory + "/cpu.cfs_period_us").c_str());
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

// The least quota of a group and all above it. In a container the path may be the host's: then only the top is there.
double quota_of_group(const std::string & mount, std::string path, bool v2) {
    double least = 0;
    for (;;) {
        const double quota = quota_in(mount + path, v2);
        least              = quota > 0 && (least == 0 || quota < least) ? quota : least;
        if (path.empty()) {
            return least;
        }
        path.erase(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
    }
}

// Of both versions, since a machine can have both: lines are "0::/path" (2) or "4:cpu,cpuacct:/path" (1).
double quota_of(const std::string & root) {
    std::stringstream lines(read(root + "/proc/self/cgroup"));
    double            least = 0;
    for (std::string line; std::getline(lines, line);) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) {
            continue;
        }
        const std::string names = line.substr(first + 1, second - first - 1), mount = root + "/sys/fs/cgroup";
        std::string       path  = line.substr(second + 1);
        path                    = path == "/" ? "" : path;
        double quota            = 0;
        if (names.empty()) {
            quota = quota_of_group(mount, path, true);
        } else if (("," + names + ",").find(",cpu,") != std::string::npos) {
            quota = quota_of_group(mount + "/" + names, path, false);
            quota = quota > 0 ? quota : quota_of_group(mount + "/cpu", path, false);
        }
        least = quota > 0 && (least == 0 || quota < least) ? quota : least;
    }
    return least;
}

#if defined(__APPLE__)
Cores cores_of_system() {  // not run yet: no Mac at hand
    Cores   cores;
    size_t  size = sizeof(cores.physical);
    // The fast ones of Apple's processors; others have no levels.
    if (sysctlbyname("hw.perflevel0.physicalcpu", &cores.physical, &size, nullptr, 0) != 0) {
        size = sizeof(cores.physical);
        if (sysctlbyname("hw.physicalcpu", &cores.physical, &size, nullptr, 0) != 0) {
            cores.physical = 0;
        }
    }
    return cores;
}
#elif defined(_WIN32)
Cores cores_of_system() {  // not run yet: no Windows machine at hand
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
#else
Cores cores_of_system() { return { physical_cores(""), quota_of("") }; }
#endif

}  // namespace

// The cores that this process may use, at least 1. Below `root`, if it is not empty, are the files of some Linux machine.
int32_t saur_cores(const char * root) {
    return answer<int32_t>(1, [&]() -> int32_t {
        const bool  given = root && *root;
        const Cores cores = given ? Cores{ physical_cores(root), quota_of(root) } : cores_of_system();
        const int   known = given ? 1 : (int) std::max(1u, std::thread::hardware_concurrency());
        const int   count = cores.physical > 0 ? cores.physical : known;
        // Rounded up: half a core more than whole ones is worth a lane that sometimes has to wait.
        return std::max(1, cores.quota > 0 ? std::min(count, (int) std::ceil(cores.quota)) : count);
    });
}
