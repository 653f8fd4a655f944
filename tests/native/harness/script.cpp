#include "script.h"

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstring>

namespace harness {

Report report;

uint64_t Random::next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z          = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z          = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

void Report::count(const std::string & what) {
    std::lock_guard<std::mutex> lock(mutex);
    counts[what]++;
}

void Report::wrong(const std::string & what) {
    std::lock_guard<std::mutex> lock(mutex);
    wrongs++;
    fprintf(stderr, "wrong: %s\n", what.c_str());
}

void Report::same(const std::string & work, const std::vector<float> & numbers) {
    std::unique_lock<std::mutex> lock(mutex);
    auto                         found = results.emplace(work, numbers);
    const std::vector<float> &   first = found.first->second;
    counts[found.second ? "results" : "results again"]++;
    if (first.size() != numbers.size() || memcmp(first.data(), numbers.data(), numbers.size() * sizeof(float)) != 0) {
        lock.unlock();
        wrong("other bits than before: " + work);
    }
}

int Report::print() {
    std::lock_guard<std::mutex> lock(mutex);
    printf("{\"wrong\":%d", wrongs);
    for (const auto & [what, n] : counts) {
        printf(",\"%s\":%d", what.c_str(), n);
    }
    printf("}\n");
    fflush(stdout);
    return wrongs == 0 ? 0 : 1;
}

ModelOptions model_options(bool check_tensors) {
    ModelOptions options;
    options.fill(-1);
    options[saur::MODEL_GPU_LAYERS]    = 0;
    options[saur::MODEL_CHECK_TENSORS] = check_tensors;
    options[saur::MODEL_CHECK_HEADER]  = 1;
    return options;
}

ContextOptions context_options(int32_t tokens, int32_t sequences, int32_t threads, int32_t pooling) {
    ContextOptions options;
    options[saur::CONTEXT_TOKENS]    = tokens;
    options[saur::CONTEXT_SEQUENCES] = sequences;
    options[saur::CONTEXT_THREADS]   = threads;
    options[saur::CONTEXT_POOLING]   = pooling;
    options[saur::CONTEXT_KERNELS]   = 1;
    return options;
}

int32_t load(saur_lane * lane, const std::string & path, const ModelOptions & options) {
    return saur_model_load(lane, path.c_str(), options.data(), (int32_t) options.size());
}

int32_t init(saur_lane * lane, saur_model * model, const ContextOptions & options, const std::vector<int32_t> & answers) {
    return saur_context_init(lane, model, options.data(), (int32_t) options.size(), answers.data(), (int32_t) answers.size());
}

Model::Model(saur_model * handle, size_t index) : handle(handle), index(index) {
    double n[saur::MODEL_INFO] = {};
    if (saur_model_info(handle, n, saur::MODEL_INFO) != saur::MODEL_INFO) {
        report.wrong("saur_model_info gives another number of numbers");
    }
    dimensions        = (int32_t) n[saur::INFO_DIMENSIONS];
    trained           = (int32_t) n[saur::INFO_CONTEXT_LENGTH];
    vocabulary        = (int32_t) n[saur::INFO_VOCABULARY_SIZE];
    classes           = (int32_t) n[saur::INFO_CLASSES];
    pooling           = (int32_t) n[saur::INFO_POOLING];
    is_causal_decoder = (int32_t) n[saur::INFO_IS_CAUSAL_DECODER];

    const bool head = pooling == saur::POOLING_RANK || saur_model_has_tensor(handle, "cls.weight") == 1 ||
                      saur_model_has_tensor(handle, "cls.output.weight") == 1;
    segments        = head && !is_causal_decoder;
}

namespace {

// What a JSCallback of Bun is: a function for each JavaScript thread, called with a lane's number by any thread.
struct Bell {
    std::mutex              mutex;
    std::condition_variable rung;
    int                     rings = 0;
    bool                    taken = false;
};
constexpr int BELLS = 16;
Bell          bells[BELLS];

template <int I> void ring(int32_t) {
    std::lock_guard<std::mutex> lock(bells[I].mutex);
    bells[I].rings++;
    bells[I].rung.notify_one();
}

template <int I = 0> void (*callback_of(int bell))(int32_t) {
    if constexpr (I < BELLS) {
        return bell == I ? ring<I> : callback_of<I + 1>(bell);
    } else {
        return nullptr;
    }
}

int take_bell() {
    for (int i = 0; i < BELLS; i++) {
        std::lock_guard<std::mutex> lock(bells[i].mutex);
        if (!bells[i].taken) {
            bells[i].taken = true;
            bells[i].rings = 0;
            return i;
        }
    }
    return -1;
}

}  // namespace

Script::Script(Waking waking) : waking(waking), queue(saur_queue_new(1)) {
    if (waking == Waking::notify) {
        bell = take_bell();
        saur_queue_notify(queue, callback_of(bell));
    }
}

Script::~Script() {
    while (!lanes.empty()) {
        close(lanes.back().get());
    }
    finish();
    if (bell >= 0) {
        saur_queue_notify(queue, nullptr);
        std::lock_guard<std::mutex> lock(bells[bell].mutex);
        bells[bell].taken = false;
    }
}

Lane * Script::open(int32_t log_level) {
    const int32_t number = numbers++;
    saur_lane *   handle = saur_lane_new(queue, number, log_level);
    if (!handle) {
        report.wrong("saur_lane_new gives NULL");
        return nullptr;
    }
    lanes.push_back(std::make_unique<Lane>());
    lanes.back()->handle = handle;
    lanes.back()->number = number;
    return lanes.back().get();
}

void Script::close(Lane * lane) {
    saur_lane_free(lane->handle);
    for (size_t i = 0; i < lanes.size(); i++) {
        if (lanes[i].get() == lane) {
            lanes.erase(lanes.begin() + (std::ptrdiff_t) i);
            return;
        }
    }
}

void Script::run(Lane & lane, int32_t status, std::function<void(int32_t)> done) {
    if (status == SAUR_EXITING) {
        exiting = true;
        return;
    }
    if (status != SAUR_OK) {
        report.wrong("a job is refused: " + std::to_string(status));
        return;
    }
    lane.running = true;
    lane.aborted = false;
    lane.done    = std::move(done);
    pending.insert(lane.number);
}

void Script::take() {
    for (int32_t number; (number = saur_queue_take(queue)) >= 0;) {
        if (pending.erase(number) == 0) {
            report.wrong("a lane is finished that had no job");
        }
        for (auto & lane : lanes) {
            if (lane->number == number) {
                lane->running = false;
                auto done     = std::move(lane->done);
                lane->done    = nullptr;
                done(saur_lane_result(lane->handle, nullptr, 0));
                break;
            }
        }
    }
}

void Script::await() {
    if (pending.empty()) {
        return;
    }
    if (waking == Waking::wait) {
        saur_queue_wait(queue);
    } else {
        std::unique_lock<std::mutex> lock(bells[bell].mutex);
        bells[bell].rung.wait(lock, [&] { return bells[bell].rings > 0; });
        bells[bell].rings = 0;
    }
    take();
}

void Script::finish() {
    while (!pending.empty()) {
        await();
    }
}

std::string words_of(Lane & lane) {
    std::string words(4096, '\0');
    saur_lane_result(lane.handle, &words[0], (int32_t) words.size());
    return words.c_str();
}

Pack Pack::of(uint64_t seed, const Lane & lane, bool pairs) {
    Random        random(seed);
    const int32_t longest = std::min(lane.tokens, lane.trained), most = random.draw(1, lane.sequences);
    Pack          pack;
    for (int32_t s = 0, room = lane.tokens; s < most && room > 0; s++) {
        const int32_t length = random.draw(1, std::min({ longest, room, 24 }));
        room -= length;
        pack.lengths.push_back(length);
        const int32_t border = pairs ? random.draw(0, length) : length;
        pack.segment_b.push_back(lane.segments ? border : length);
        pack.prefix_lengths.push_back(border);
        for (int32_t i = 0; i < length; i++) {
            pack.tokens.push_back(random.draw(0, lane.vocabulary - 1));
        }
    }
    return pack;
}

int32_t Pack::encode(Lane & lane) const {
    return saur_batch_encode(lane.handle, tokens.data(), (int32_t) tokens.size(), lengths.data(), segment_b.data(),
                             prefix_lengths.data(), (int32_t) lengths.size());
}

std::vector<float> embeddings_of(Lane & lane) {
    std::vector<float> rows(1 << 16);
    const int32_t      n = saur_pooling_embeddings(lane.handle, rows.data(), (int32_t) rows.size());
    rows.resize((size_t) std::max(0, n));
    return rows;
}

}  // namespace harness
