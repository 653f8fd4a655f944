// A page that is touched for the first time costs an interrupt, and the system fills it with zeros. Weights are read into
// pages of 2 MB where the system has them for who asks (else it is asked for a page 11,000 times with MiniLM in bf16), and
// those are touched while another thread reads the vocabulary. Files are not mapped: see model.cpp.
#include "wraps/weights_memory.h"

#if defined(__linux__) && defined(SAUR_OWN_GGML)
#    include "os/pages.h"

#    include <algorithm>
#    include <atomic>
#    include <system_error>
#    include <thread>

#    include <stdlib.h>

#    if !defined(MADV_POPULATE_WRITE)
#        define MADV_POPULATE_WRITE 23  // Linux 5.14; before it the call fails, and nothing is made ready
#    endif

extern "C" {
// weak: a program of the same objects that is linked without --wrap (build/CMakeLists.txt) has none
__attribute__((weak)) int __real_posix_memalign(void ** memory, size_t alignment, size_t size);
__attribute__((visibility("hidden"))) int __wrap_posix_memalign(void ** memory, size_t alignment, size_t size);
}

namespace {

constexpr size_t HUGE_PAGE = 2 << 20, LEAST = 4 * HUGE_PAGE;

int allocate(void ** memory, size_t alignment, size_t size) {
    const int rc = __real_posix_memalign(memory, std::max(alignment, HUGE_PAGE), size);
    if (rc == 0) {
        madvise(*memory, size / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    }
    return rc;
}

}  // namespace

namespace saur {

// One piece of memory, and the thread that touches its pages.
class ReadyMemory {
  public:
    explicit ReadyMemory(size_t size) : size(size), end(size) {
        void * place = nullptr;
        if (size < LEAST || !__real_posix_memalign || allocate(&place, HUGE_PAGE, size) != 0) {
            return;
        }
        memory = (char *) place;
        try {
            thread = std::thread([this] { populate(); });
        } catch (const std::system_error &) {  // none to be had: the pages come as they are needed
        }
    }

    ~ReadyMemory() {
        give_back();
        stop();
    }

    // The memory, once, for who asks for about as much; else nullptr.
    void * take(size_t bytes) {
        if (!memory || taken || bytes > size || bytes < size / 2) {
            return nullptr;
        }
        taken = true;
        end   = bytes;
        if (populated > bytes) {
            stop();
            Pages(memory + bytes, size - bytes).give_back();
        }
        return memory;
    }

    void before_free(const void * freed) {
        if (memory && freed == memory) {
            stop();
            memory = nullptr;
        }
    }

    // Frees it if nobody took it.
    void give_back() {
        if (memory && !taken) {
            free(memory);  // which stops the thread
        }
    }

  private:
    // A page at a time, so that it ends when it is told to. Who reads a file into the same page meanwhile is not disturbed.
    void populate() {
        while (populated < end &&
               madvise(memory + populated, std::min(HUGE_PAGE, size - populated), MADV_POPULATE_WRITE) == 0) {
            populated += HUGE_PAGE;
        }
    }

    void stop() {
        end = 0;
        if (thread.joinable()) {
            thread.join();
        }
    }

    const size_t        size;
    char *              memory = nullptr;
    bool                taken  = false;
    std::atomic<size_t> end;  // how far pages are wanted
    std::atomic<size_t> populated{ 0 };
    std::thread         thread;
};

thread_local ReadyMemory * ready_here = nullptr;

WeightsMemory::WeightsMemory(size_t bytes) : ready(new ReadyMemory(bytes)) { ready_here = ready.get(); }

WeightsMemory::~WeightsMemory() {
    ready.reset();
    ready_here = nullptr;
}

void before_free(const void * memory) {
    if (ready_here) {
        ready_here->before_free(memory);
    }
}

}  // namespace saur

int __wrap_posix_memalign(void ** memory, size_t alignment, size_t size) {
    saur::ReadyMemory * ready = saur::ready_here;
    if (!ready || size < LEAST) {
        return __real_posix_memalign(memory, alignment, size);
    }
    if ((*memory = ready->take(size))) {
        return 0;
    }
    ready->give_back();  // weights in more pieces than were expected: nothing is kept beside them
    return allocate(memory, alignment, size);
}
#else
namespace saur {

class ReadyMemory {};

WeightsMemory::WeightsMemory(size_t) {}
WeightsMemory::~WeightsMemory() {}
void before_free(const void *) {}

}  // namespace saur
#endif
