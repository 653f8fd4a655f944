// How C++ alone makes vectors or scores with libllama: tokenise on all lanes, sort by length, pack into passes, and let
// every lane (a context with its threads) take the next one.
#pragma once

#include "ggml-cpu.h"
#include "llama.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using Tokens = std::vector<llama_token>;

const int MAX_SEQUENCES = 64;  // of a pass

struct Configuration {
    int pack, lanes, threads, flash;

    std::string json() const {
        std::ostringstream out;
        out << "\"pack\":" << pack << ",\"lanes\":" << lanes << ",\"threads\":" << threads << ",\"flash\":" << flash;
        return out.str();
    }
};

// What is asked of the model.
struct Task {
    int              limit   = 256;  // tokens of a text
    int              pooling = LLAMA_POOLING_TYPE_UNSPECIFIED;
    std::string      query;    // of a cross-encoder, whose documents the texts are
    std::vector<int> answers;  // the tokens for yes and no, for a causal model: the texts are whole prompts
};

// A context with its threads.
class Lane {
  public:
    Lane(llama_model * model, const Configuration & c, const Task & task)
        : task(task), batch(llama_batch_init(std::max(c.pack, task.limit), 0, 1)) {
        llama_context_params p = llama_context_default_params();
        p.n_ctx = p.n_batch = p.n_ubatch = (uint32_t) std::max(c.pack, task.limit);
        p.n_seq_max                      = MAX_SEQUENCES;
        p.n_threads = p.n_threads_batch  = c.threads;
        p.flash_attn_type                = (llama_flash_attn_type) c.flash;
        p.pooling_type                   = (enum llama_pooling_type) task.pooling;
        p.kv_unified = p.no_perf = true;
        p.embeddings             = task.answers.empty();
        context                  = llama_init_from_model(model, p);
        if (!context) {
            throw std::runtime_error("llama.cpp makes no context for " + c.json());
        }
        if (c.threads > 1) {
            // without one, ggml starts and joins threads for every graph when OpenMP is off
            ggml_threadpool_params t = ggml_threadpool_params_default(c.threads);
            pool                     = ggml_threadpool_new(&t);
            llama_attach_threadpool(context, pool, pool);
        }
        ranks = ::llama_pooling_type(context) == LLAMA_POOLING_TYPE_RANK;
        width = ranks || !task.answers.empty() ? 1 : llama_model_n_embd_out(model);
    }

    ~Lane() {
        llama_free(context);
        ggml_threadpool_free(pool);
        llama_batch_free(batch);
    }

    // Floats of a text.
    int floats() const { return width; }

    // One pass: the sequences of `pack` become rows of `rows`: a vector of length 1, or a score.
    void compute(const std::vector<Tokens> & sequences, const std::vector<size_t> & pack, std::vector<float> & rows) {
        std::vector<int> last;
        int              n = 0;
        for (size_t s = 0; s < pack.size(); s++) {
            const Tokens & ids = sequences[pack[s]];
            for (size_t i = 0; i < ids.size(); i++, n++) {
                batch.token[n]     = ids[i];
                batch.pos[n]       = (llama_pos) i;
                batch.n_seq_id[n]  = 1;
                batch.seq_id[n][0] = (llama_seq_id) s;
                batch.logits[n]    = task.answers.empty() || i + 1 == ids.size();
            }
            last.push_back(n - 1);
        }
        batch.n_tokens      = n;
        llama_memory_t memory = llama_get_memory(context);  // causal models have one
        if (memory) llama_memory_clear(memory, false);
        if ((memory ? llama_decode(context, batch) : llama_encode(context, batch)) != 0) {
            throw std::runtime_error("llama.cpp fails to compute");
        }
        for (size_t s = 0; s < pack.size(); s++) {
            float * out = &rows[pack[s] * (size_t) width];
            if (!task.answers.empty()) {
                const float * logits = llama_get_logits_ith(context, last[s]);
                out[0]               = logits[task.answers[0]] - logits[task.answers[1]];
            } else if (ranks) {
                out[0] = llama_get_embeddings_seq(context, (llama_seq_id) s)[0];
            } else {
                normalize(llama_get_embeddings_seq(context, (llama_seq_id) s), out);
            }
        }
    }

  private:
    void normalize(const float * row, float * out) const {
        double sum = 0;
        for (int i = 0; i < width; i++) sum += (double) row[i] * row[i];
        const double scale = sum > 0 ? 1 / std::sqrt(sum) : 0;
        for (int i = 0; i < width; i++) out[i] = (float) (row[i] * scale);
    }

    Task              task;
    int               width = 0;
    bool              ranks = false;
    llama_batch       batch;
    llama_context *   context = nullptr;
    ggml_threadpool * pool    = nullptr;
};

// The lanes of one configuration.
class Embedder {
  public:
    Embedder(llama_model * model, const Configuration & configuration, const Task & task)
        : vocab(llama_model_get_vocab(model)), configuration(configuration), task(task) {
        for (int i = 0; i < configuration.lanes; i++) {
            lanes.push_back(std::make_unique<Lane>(model, configuration, task));
        }
    }

    std::vector<float> embed(const std::vector<std::string> & texts) {
        std::vector<float>  rows(texts.size() * (size_t) lanes[0]->floats());
        std::vector<Tokens> sequences(texts.size());
        each(texts.size(), [&](size_t, size_t i) { sequences[i] = sequence(texts[i]); });
        const auto packs = pack(sequences);
        each(packs.size(), [&](size_t lane, size_t i) { lanes[lane]->compute(sequences, packs[i], rows); });
        return rows;
    }

  private:
    // Runs job(lane, item) for every item, each lane on a thread of its own taking the next one.
    void each(size_t n, const std::function<void(size_t, size_t)> & job) {
        if (n == 1) return job(0, 0);
        std::atomic<size_t>      next{ 0 };
        std::vector<std::thread> threads;
        for (size_t lane = 0; lane < lanes.size(); lane++) {
            threads.emplace_back([&, lane] {
                for (size_t i = next++; i < n; i = next++) {
                    job(lane, i);
                }
            });
        }
        for (std::thread & thread : threads) thread.join();
    }

    Tokens tokenize(const std::string & text, bool special) const {
        Tokens ids(text.size() / 2 + 16);
        for (;;) {
            const int n = llama_tokenize(vocab, text.data(), (int) text.size(), ids.data(), (int) ids.size(), special,
                                         !task.answers.empty());  // prompts spell special tokens out
            ids.resize((size_t) std::abs(n));
            if (n >= 0) return ids;
        }
    }

    // The text with what the model wants around it, or the pair with the query: [CLS] query [SEP] document [SEP].
    Tokens sequence(const std::string & text) const {
        Tokens ids = tokenize(task.query.empty() ? text : task.query, true);
        if (!task.query.empty()) {
            const Tokens document = tokenize(text, false);
            ids.insert(ids.end(), document.begin(), document.end());
            ids.push_back(llama_vocab_sep(vocab));
        }
        if ((int) ids.size() > task.limit) {
            const llama_token last = ids.back();  // EOS or SEP stays
            ids.resize((size_t) task.limit);
            if (last == llama_vocab_eos(vocab) || last == llama_vocab_sep(vocab)) {
                ids.back() = last;
            }
        }
        return ids;
    }

    std::vector<std::vector<size_t>> pack(const std::vector<Tokens> & sequences) const {
        std::vector<size_t> order(sequences.size());
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(),
                         [&](size_t a, size_t b) { return sequences[a].size() > sequences[b].size(); });
        std::vector<std::vector<size_t>> packs;
        size_t                           tokens = 0;
        for (size_t i : order) {
            const size_t size = sequences[i].size();
            if (packs.empty() || tokens + size > (size_t) configuration.pack || packs.back().size() == MAX_SEQUENCES) {
                packs.emplace_back();
                tokens = 0;
            }
            packs.back().push_back(i);
            tokens += size;
        }
        return packs;
    }

    const llama_vocab *                vocab;
    Configuration                      configuration;
    Task                               task;
    std::vector<std::unique_ptr<Lane>> lanes;
};
