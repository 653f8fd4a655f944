// Keeps the lines that llama.cpp logs, for JavaScript to fetch: no callback runs in JavaScript.
#pragma once
#include "status.h"

#include <deque>
#include <mutex>
#include <string>

namespace saur {

// A bounded ring of log lines: any thread writes, JavaScript drains.
class LogRing {
  public:
    void    push(LogLevel level, const char * text);
    int32_t drain(char * out, int32_t size);

  private:
    std::mutex                                   mutex;
    std::deque<std::pair<LogLevel, std::string>> lines;
    size_t                                       bytes = 0;
};

constexpr size_t ERROR_BYTES = 4096;  // of a job's error lines, about

// Where the lines that llama.cpp writes on this thread go; a lane sets it for its own thread.
struct LogSink {
    LogRing     ring;
    LogLevel    level = LOG_NONE;  // lines below are dropped
    LogLevel    last  = LOG_NONE;  // what a continuation line continues
    std::string errors;            // the error lines of the running job, for the message of its exception
    void (*watch)(void * user, const char * text) = nullptr;  // sees every line; may throw (quantize progress, abort)
    void * watch_user = nullptr;
};
LogSink & global_sink();                    // for threads that are no lane
void      set_thread_sink(LogSink * sink);

void hook_log();  // from now on llama.cpp and ggml log here

void append(std::string & text, const char * more) noexcept;  // as much as there is memory for

// Whether llama.cpp's words tell that memory ran out: it catches the exception, logs it and returns NULL or a number.
bool tells_of_memory(const std::string & words);

}  // namespace saur
