#include "guard/log.h"

#include "ggml.h"
#include "llama.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

namespace saur {
namespace {

constexpr size_t RING_BYTES = 1 << 20;

thread_local LogSink * t_sink = nullptr;

LogLevel level_of(ggml_log_level level, LogLevel last) {
    switch (level) {
        case GGML_LOG_LEVEL_DEBUG: return LOG_DEBUG;
        case GGML_LOG_LEVEL_INFO:  return LOG_INFO;
        case GGML_LOG_LEVEL_WARN:  return LOG_WARN;
        case GGML_LOG_LEVEL_ERROR: return LOG_ERROR;
        case GGML_LOG_LEVEL_CONT:  return last;
        case GGML_LOG_LEVEL_NONE:  break;
    }
    return LOG_INFO;
}

void write_line(LogSink & sink, LogLevel level, const char * text) {
    sink.last = level;
    if (level == LOG_ERROR && sink.errors.size() < ERROR_BYTES) {
        append(sink.errors, text);
    }
    if (level >= sink.level) {
        try {
            sink.ring.push(level, text);
        } catch (const std::bad_alloc &) {  // llama.cpp logs where nothing may be thrown; the line is lost
        }
    }
    if (sink.watch) {
        sink.watch(sink.watch_user, text);
    }
}

void on_log(ggml_log_level level, const char * text, void *) {
    if (t_sink) {
        write_line(*t_sink, level_of(level, t_sink->last), text);
        return;
    }
    // Threads that are no lane share a sink, and of that only the ring may be written by several.
    LogSink &      sink = global_sink();
    const LogLevel ours = level_of(level, LOG_INFO);
    if (ours >= sink.level) {
        sink.ring.push(ours, text);
    }
}

}  // namespace

void append(std::string & text, const char * more) noexcept {
    try {
        text += more;
    } catch (const std::bad_alloc &) {
    }
}

bool tells_of_memory(const std::string & words) {
    const char * const signs[] = { "bad_alloc", "failed to allocate", "unable to allocate", "insufficient memory",
                                   strerror(ENOMEM) };
    return std::any_of(std::begin(signs), std::end(signs),
                       [&](const char * sign) { return words.find(sign) != std::string::npos; });
}

void LogRing::push(LogLevel level, const char * text) {
    std::lock_guard<std::mutex> lock(mutex);
    while (bytes > RING_BYTES && !lines.empty()) {
        bytes -= lines.front().second.size();
        lines.pop_front();
    }
    lines.emplace_back(level, text);
    bytes += lines.back().second.size();
}

int32_t LogRing::drain(char * out, int32_t size) {
    if (size < 2) {
        return 0;  // not even an empty line fits
    }
    std::lock_guard<std::mutex> lock(mutex);
    int32_t                     used = 0;
    while (!lines.empty()) {
        const auto &  line = lines.front();
        const int32_t room = size - used - 2;
        if (room < (int32_t) line.second.size() && used > 0) {
            break;
        }
        const int32_t n = std::min<int32_t>(room, (int32_t) line.second.size());
        out[used] = (char) ('0' + line.first);
        memcpy(out + used + 1, line.second.data(), n);
        out[used + 1 + n] = 0;
        used += n + 2;
        bytes -= line.second.size();
        lines.pop_front();
    }
    return used;
}

LogSink & global_sink() {
    static LogSink * sink = new LogSink;  // never destroyed: threads may outlive main
    return *sink;
}

void set_thread_sink(LogSink * sink) { t_sink = sink; }

void hook_log() { llama_log_set(on_log, nullptr); }

}  // namespace saur
