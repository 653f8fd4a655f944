// Counts the cores that a Linux machine gives this process. /proc/self/status says which processors are allowed,
// /sys/devices/system/cpu which of them are one core, and the control group how much of them may be used
// (https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/scheduler/sched-bwc.html).
#include "os/linux_cores.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

namespace saur::os {
namespace {

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

}  // namespace

Cores linux_cores(const std::string & root) { return { physical_cores(root), quota_of(root) }; }

}  // namespace saur::os
