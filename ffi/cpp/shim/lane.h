// A lane: one native thread that runs one job at a time, with the job's input and output and one context.
//
// llama_context is not thread-safe, and a thread pool belongs to the thread that uses it, so a context lives and dies
// on its lane. The queue of waiting work is not here but in src/pool/pool.ts: a lane never has a second job.
#pragma once
#include "guard/abort.h"
#include "guard/exit.h"
#include "guard/guard.h"
#include "kernels/kernels.h"
#include "llama.h"
#include "shim/decoder.h"
#include "shim/loaded_model.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace saur {

// A text to tokenise.
struct Text {
    int32_t bytes;
    int32_t special;  // its special-token mode
};

// A sequence of a pass.
struct Sequence {
    int32_t length;         // in tokens
    int32_t segment_b;      // where its segment B begins; its length if it has none
    int32_t prefix_length;  // how many of its first tokens other sequences begin with, too
};

// What a job is given and what it leaves. The job alone touches it while it runs, else only JavaScript's thread does.
struct Slot {
    std::string                  path;        // of a model to load
    std::shared_ptr<LoadedModel> loaded;      // left by a load
    std::string                  utf8;        // of all texts, back to back
    std::vector<Text>            texts;
    std::vector<int32_t>         counts;      // left by tokenising: tokens of each text
    std::vector<int32_t>         tokens;      // left by tokenising, or those of a pass; back to back
    std::vector<Sequence>        sequences;
    std::vector<float>           embeddings;  // left by a pass
};

// A llama_context and what a pass has to know of it. Touched on the lane's thread, or while the lane is idle.
struct LaneContext {
    LaneContext() = default;
    ~LaneContext();  // on the lane's thread
    LaneContext(const LaneContext &) = delete;

    std::shared_ptr<LoadedModel>  model;
    llama_context *               llama      = nullptr;
    ggml_threadpool *             threadpool = nullptr;
    Pooling                       pooling    = POOLING_UNSPECIFIED;
    std::vector<int32_t>          answers;        // tokens whose logits a pass gives, in place of embeddings
    std::optional<KernelOptions>  kernels;        // of our own kernels, where it computes with them
    std::unique_ptr<HiddenStates> hidden_states;  // what embeddings are made of, where llama.cpp is not asked for them
    const Head *                  head = nullptr;  // the model's own, where a pass goes through it
    std::optional<Scratch>        head_scratch;    // of the kernels' products in it
    bool                          reduces = false;  // the head makes one row of all rows of a sequence
    bool                          splits_batch  = false;  // a pass may have more tokens than one ubatch
    bool                          shares_prefix = false;  // a common prefix is computed once for several sequences
    std::vector<int32_t>          cached_prefix;          // the tokens whose keys and values prefix_sequence() holds
    bool                          lost = false;           // an assertion was caught in a pass: no other may be run
};

// Counts the lanes of a dead program that have not come to their end.
class LaneEnds {
  public:
    explicit LaneEnds(size_t lanes) : left(lanes) {}
    void one();
    void wait(std::chrono::seconds patience);

  private:
    std::mutex              mutex;
    std::condition_variable changed;
    size_t                  left;
};

// What the last job came to.
struct JobResult {
    int32_t     status = SAUR_OK;
    std::string error;  // the words of what failed
};

}  // namespace saur

// The handle JavaScript holds; the model is freed when the last handle or context lets go of it.
struct saur_model {
    std::shared_ptr<saur::LoadedModel> model;
};

// Numbers of finished lanes. JavaScript learns of them by a waiting thread (Deno) or by a callback (Bun).
struct saur_queue {
    void    expect_one_more();  // for a new lane, so that push needs no memory
    void    push(int32_t number);
    void    wait();
    int32_t take();
    void    set_notify(void (*callback)(int32_t));

  private:
    std::mutex              mutex;
    std::condition_variable ready;
    std::vector<int32_t>    done;
    size_t                  lanes = 0;
    void (*notify)(int32_t) = nullptr;
};

struct saur_lane {
    saur_lane(saur_queue * queue, int32_t number, saur::LogLevel level);

    // Gives the lane's thread a job; returns SAUR_OK or why it was refused. The slot is the job's until it is done.
    int32_t start(std::function<int32_t()> job);
    bool    idle();
    // The thread frees the context and then the lane, at once or when its job, which is aborted, has ended.
    void    free(std::shared_ptr<saur::LaneEnds> ends = nullptr);

    saur::Slot                         slot;
    std::unique_ptr<saur::LaneContext> context;  // NULL: it has none
    saur::JobResult                    result;

    saur::LogSink        log;
    saur::AbortFlag      abort;          // read by llama.cpp's callbacks
    std::atomic<int32_t> progress{ 0 };  // 0..1000

  private:
    enum class State { idle, running };
    void start_thread();
    void run();
    void work(std::function<int32_t()> job);

    saur_queue * const       queue;
    const int32_t            number;
    std::mutex               mutex;
    std::condition_variable  wake;
    State                    state     = State::idle;
    bool                     abandoned = false;
    std::shared_ptr<saur::LaneEnds> ends;  // who waits for its end, if somebody does
    std::function<int32_t()> next;
};
