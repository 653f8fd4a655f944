// Says whether a job shall end: a flag for each lane, and one number for all of them.
#pragma once
#include <atomic>
#include <cstdint>

namespace saur {

// How many flags are set. Places that are passed for each letter of a text look here first: one read, and of no thread's own.
inline std::atomic<int32_t> aborts{ 0 };

// Set by any thread, read by the job.
class AbortFlag {
  public:
    AbortFlag() = default;
    ~AbortFlag() { set(false); }
    AbortFlag(const AbortFlag &) = delete;

    explicit operator bool() const { return is_set; }
    void set(bool on) {
        if (is_set.exchange(on) != on) {
            aborts += on ? 1 : -1;
        }
    }

  private:
    std::atomic<bool> is_set{ false };
};

}  // namespace saur
