// Lanes: one native thread each, with one slot for a job's input and output.
//
// llama_context is not thread-safe, and a thread pool belongs to the thread that uses it, so a context lives and dies
// on its lane. The queue of waiting work is not here but in src/pool/pool.ts: a lane never has a second job.
#pragma once
#include "shim/decoder.h"
#include "guard/guard.h"
#include "kernels/kernels.h"
#include "llama.h"
#include "shim/loaded_model.h"
#include "shim/pooling.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

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
    // The thread frees the context and then the lane, at once or when its job is done.
    void free();

    saur_queue * const   queue;
    const int32_t        number;
    saur::LogSink        log;
    std::atomic<int32_t> abort{ 0 };     // read by llama.cpp's callbacks
    std::atomic<int32_t> progress{ 0 };  // 0..1000
    int32_t              result = SAUR_OK;
    std::string          error;

    // the slot
    std::string                  text;
    std::vector<int32_t>         tokens, lengths, counts;
    std::vector<float>           embeddings;
    std::vector<int32_t>         special;         // of each text to tokenise: its special-token mode
    std::vector<int32_t>         segment_b;       // of each sequence: where its segment B begins
    std::vector<int32_t>         prefix_lengths;  // of each sequence: how many of its first tokens others begin with, too
    std::shared_ptr<saur::LoadedModel> loaded;

    // the context, touched on the lane's thread or while the lane is idle
    std::shared_ptr<saur::LoadedModel> model;
    llama_context *              context    = nullptr;
    ggml_threadpool *            threadpool = nullptr;
    int32_t                      n_threads  = 0;
    std::vector<int32_t>         answers;  // tokens whose logits a pass gives, in place of embeddings
    std::optional<saur::KernelOptions> kernels;  // what the context computes with besides stock ggml
    saur::Pooling                pooling    = saur::POOLING_UNSPECIFIED;
    std::unique_ptr<saur::HiddenStates> hidden_states; // what vectors are made of, where the graph's own are not asked for
    bool                         splits_batch = false;  // a pass may have more tokens than one step computes
    bool                         shares_prefix = false;  // what sequences begin with is computed once for all
    std::vector<int32_t>         prefix;    // what the context's memory holds of that, as prefix_sequence()
    bool                         lost       = false;
    void                         drop_context();

  private:
    enum class State { idle, running, freed };
    void run();
    void work(std::function<int32_t()> job);

    std::mutex              mutex;
    std::condition_variable wake;
    State                   state     = State::idle;
    bool                    abandoned = false;
    std::function<int32_t()> next;
};
