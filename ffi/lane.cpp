#include "lane.h"

#include "device.h"

#include <thread>

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
    done.pop_front();
    return number;
}

void saur_queue::set_notify(void (*callback)(int32_t)) {
    std::lock_guard<std::mutex> lock(mutex);
    notify = callback;
}

saur_lane::saur_lane(saur_queue * queue, int32_t number, saur::LogLevel level) : queue(queue), number(number) {
    log.level = level;
    std::thread([this] { run(); }).detach();
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
    progress = 0;
    wake.notify_one();
    return SAUR_OK;
}

bool saur_lane::idle() {
    std::lock_guard<std::mutex> lock(mutex);
    return state == State::idle && !abandoned;
}

void saur_lane::free() {
    std::lock_guard<std::mutex> lock(mutex);
    abort     = 1;
    abandoned = true;
    wake.notify_one();
}

void saur_lane::run() {
    saur::set_thread_sink(&log);
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
        saur::guarded(error, [&] {
            drop_context();
            loaded.reset();
            return SAUR_OK;
        });
    }
    saur::set_thread_sink(nullptr);
    delete this;
}

void saur_lane::work(std::function<int32_t()> job) {
    saur::InFlight in_flight;
    error.clear();
    log.errors.clear();
    result = saur::exiting() ? SAUR_EXITING : saur::guarded(error, job);
    error  = log.errors + error;
}

void saur_lane::drop_context() {
    if (context) {
        llama_free(context);
        context = nullptr;
    }
    if (threadpool) {
        saur::free_threadpool(threadpool);
        threadpool = nullptr;
    }
    model.reset();
    kernels.reset();
    lost = false;
}
