#include "shim/lane.h"

#include "os/os.h"
#include "shim/device.h"

#include <exception>

namespace {

// llama.cpp's tokenizers recurse (guard/long_runs.h).
constexpr size_t STACK_BYTES = 8 << 20;

}  // namespace

void saur_queue::expect_one_more() {
    std::lock_guard<std::mutex> lock(mutex);
    done.reserve(++lanes);
}

void saur_queue::push(int32_t number) {
    void (*callback)(int32_t);
    {
        std::lock_guard<std::mutex> lock(mutex);
        done.push_back(number);
        callback = notify;
        // Called under the lock so that set_notify(NULL) returns only when no thread is inside the callback any more.
        if (callback) {
            callback(number);
        }
    }
    ready.notify_one();
}

void saur_queue::wait() {
    std::unique_lock<std::mutex> lock(mutex);
    ready.wait(lock, [&] { return !done.empty(); });
}

int32_t saur_queue::take() {
    std::lock_guard<std::mutex> lock(mutex);
    if (done.empty()) {
        return -1;
    }
    const int32_t number = done.front();
    done.erase(done.begin());
    return number;
}

void saur_queue::set_notify(void (*callback)(int32_t)) {
    std::lock_guard<std::mutex> lock(mutex);
    notify = callback;
}

void saur::LaneEnds::one() {
    std::lock_guard<std::mutex> lock(mutex);
    left--;
    changed.notify_all();
}

void saur::LaneEnds::wait(std::chrono::seconds patience) {
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait_for(lock, patience, [&] { return left == 0; });
}

saur::LaneContext::~LaneContext() {
    if (llama) {
        llama_free(llama);
    }
    if (threadpool) {
        free_threadpool(threadpool);
    }
}

saur_lane::saur_lane(saur_queue * queue, int32_t number, saur::LogLevel level) : queue(queue), number(number) {
    log.level = level;
    log.errors.reserve(2 * saur::ERROR_BYTES);  // words for when there is no memory
    result.error.reserve(2 * saur::ERROR_BYTES);
    queue->expect_one_more();
    start_thread();
}

void saur_lane::start_thread() {
    const auto main = [](void * lane) -> void * {
        ((saur_lane *) lane)->run();
        return nullptr;
    };
    saur::os::start_thread(STACK_BYTES, main, this);
}

int32_t saur_lane::start(std::function<int32_t()> job) {
    std::lock_guard<std::mutex> lock(mutex);
    if (saur::exiting()) {
        return SAUR_EXITING;
    }
    if (state != State::idle || abandoned) {
        return SAUR_BUSY;
    }
    state    = State::running;
    next     = std::move(job);
    abort.set(false);
    progress = 0;
    wake.notify_one();
    return SAUR_OK;
}

bool saur_lane::idle() {
    std::lock_guard<std::mutex> lock(mutex);
    return state == State::idle && !abandoned;
}

void saur_lane::free(std::shared_ptr<saur::LaneEnds> ends) {
    std::lock_guard<std::mutex> lock(mutex);
    abort.set(true);
    abandoned  = true;
    this->ends = std::move(ends);
    wake.notify_one();
}

void saur_lane::run() {
    saur::set_thread_sink(&log);
    // The first throw of a thread makes libstdc++ ask for memory of the thread's own, and no error but an abort is the
    // answer when there is none: so it is asked for now.
    const volatile int touched = std::uncaught_exceptions();  // declared pure: unused, it would not be called
    (void) touched;
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
        wake.wait(lock, [&] { return state == State::running || abandoned; });
        if (state == State::running) {
            auto job = std::move(next);
            lock.unlock();
            work(std::move(job));
            lock.lock();
            state = State::idle;
            queue->push(number);  // also when abandoned: somebody may be waiting for the queue
        }
        if (abandoned) {
            break;
        }
    }
    lock.unlock();
    {
        saur::InFlight in_flight;
        if (saur::exiting()) {
            return;  // the statics that freeing needs may be gone; the system takes the memory back
        }
        saur::guarded(result.error, [&] {
            context.reset();
            slot.loaded.reset();
            return SAUR_OK;
        });
    }
    saur::set_thread_sink(nullptr);
    const auto waiting = std::move(ends);
    delete this;
    if (waiting) {
        waiting->one();
    }
}

void saur_lane::work(std::function<int32_t()> job) {
    saur::InFlight in_flight;
    std::string &  error = result.error;
    error.clear();
    log.errors.clear();
    int32_t status = saur::exiting() ? SAUR_EXITING : saur::guarded(error, job);
    if (status == SAUR_LOST || status == SAUR_NULL || status == SAUR_DECODE_FAILED) {
        if (saur::tells_of_memory(log.errors) || saur::tells_of_memory(error)) {
            status = SAUR_OUT_OF_MEMORY;
        }
    }
    result.status = status;
    saur::append(log.errors, error.c_str());
    error.swap(log.errors);
}
