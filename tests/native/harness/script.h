// What ffi/jobs.ts and ffi/lane.ts keep of the native side, in C++: one JavaScript thread with its queue, its lanes of
// one job each, and a report of what happened and what should not have.
#pragma once
#include "shim/shim.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace harness {

// The same numbers on every run: splitmix64 (Sebastiano Vigna, public domain).
class Random {
  public:
    explicit Random(uint64_t seed) : state(seed) {}
    uint64_t next();
    int32_t  draw(int32_t min, int32_t max) { return min + (int32_t) (next() % (uint64_t) (max - min + 1)); }
    bool     one_in(int32_t n) { return draw(1, n) == 1; }

  private:
    uint64_t state;
};

// Counts by name, and what is wrong; of all threads.
class Report {
  public:
    void count(const std::string & what);
    void wrong(const std::string & what);  // also says it on stderr
    // Whether the same work has given other bits before, in this process.
    void same(const std::string & work, const std::vector<float> & numbers);
    int  print();  // one JSON line; returns the process's exit code

  private:
    std::mutex                                mutex;
    std::map<std::string, int>                counts;
    std::map<std::string, std::vector<float>> results;
    int                                       wrongs = 0;
};
extern Report report;

using ModelOptions   = std::array<int32_t, saur::MODEL_OPTIONS>;
using ContextOptions = std::array<int32_t, saur::CONTEXT_OPTIONS>;

// On the processor, special tokens as the file says.
ModelOptions   model_options(bool check_tensors = false);
// With the kernels.
ContextOptions context_options(int32_t tokens, int32_t sequences, int32_t threads, int32_t pooling);
int32_t        load(saur_lane * lane, const std::string & path, const ModelOptions & options = model_options());
int32_t        init(saur_lane * lane, saur_model * model, const ContextOptions & options,
                    const std::vector<int32_t> & answers = {});

struct Model {
    Model(saur_model * handle, size_t index);
    ~Model() { saur_model_free(handle); }
    Model(const Model &) = delete;

    saur_model * const handle;
    const size_t       index;  // in the list of files
    int32_t            dimensions, trained, vocabulary, classes, pooling, is_causal_decoder;
    bool               segments;        // whether it is a BERT cross-encoder: no other takes a segment B
    bool               kernels = true;  // whether its contexts have them; those without cannot read weights in panels
};

struct Lane {
    saur_lane * handle  = nullptr;
    int32_t     number  = 0;
    bool        running = false;
    bool        aborted = false;
    std::function<void(int32_t status)> done;

    // the context, as its owner knows it
    std::string context;  // its options as text; empty: none, or one that is lost
    int32_t     tokens  = 0, sequences = 0, pooling = 0, width = 0, vocabulary = 0, trained = 0;
    bool        segments = true;   // whether its model takes a segment B
    bool        unusual  = false;  // a pooling that the model's file does not have
};

// How finished lanes become known: by a thread that waits for the queue (as on Deno), or by a callback (as on Bun).
enum class Waking { wait, notify };

class Script {
  public:
    // At most 16 at a time may be woken by a callback: it is given no more than a number.
    explicit Script(Waking waking);
    ~Script();
    Script(const Script &) = delete;

    Lane * open(int32_t log_level);
    // Frees the lane, also in the middle of its job: then its number still comes.
    void   close(Lane * lane);
    // Notes a job that was started, or reports a refusal that should not have been. `done` is told the result.
    void   run(Lane & lane, int32_t status, std::function<void(int32_t status)> done);
    void   take();    // what has finished until now
    void   await();   // until something has finished
    void   finish();  // until nothing runs

    std::vector<std::unique_ptr<Lane>> lanes;
    bool                               exiting = false;  // the process leaves: no job is taken any more

  private:
    const Waking waking;
    saur_queue * queue;
    int32_t      numbers = 0;
    int          bell    = -1;
    std::set<int32_t> pending;  // numbers that are still to come
};

std::string words_of(Lane & lane);  // of its last job's error

// One pass: sequences back to back.
struct Pack {
    std::vector<int32_t> tokens, lengths, segment_b, prefix_lengths;
    // A legal one for the lane's context, always the same for a seed.
    static Pack of(uint64_t seed, const Lane & lane, bool pairs);
    int32_t encode(Lane & lane) const;
};
std::vector<float> embeddings_of(Lane & lane);

struct Arguments {
    std::string              mode, scratch, leave = "return";
    std::vector<std::string> models, bad;
    uint64_t                 seed  = 1;
    int32_t                  steps = 300, threads = 2, big = 1 << 20;
};

// library_checks.cpp: what needs no lane, and what all checks use
void expect(int32_t found, int32_t expected, const std::string & what);
void drain(saur_lane * lane);
void check_library();
// checks.cpp: every refusal and every kind of result, in order
void check_lanes(const Arguments & arguments);
// first_passes.cpp: what lanes of one model do to its weights, at once
void check_first_passes(const Arguments & arguments, Waking waking);
// schedule.cpp: what one JavaScript thread does, drawn at random
void run_schedule(const Arguments & arguments, uint64_t seed, Waking waking);
// work.cpp: an embedding and a rerank, always the same
void run_work(const Arguments & arguments);

}  // namespace harness
