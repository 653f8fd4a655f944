// The native ceiling: what libllama gives to C++ alone, with nothing of ours between.
//
//   ceiling MODEL TEXTS [--limit N] [--packs N,N] [--lanes N,N] [--threads N,N] [--flash -1,0,1] [--rounds N]
//   ceiling MODEL TEXTS ... --serve     one configuration: "go" is answered with times, "vectors PATH" with a file
//
// TEXTS has one text a line. Every line of output is JSON. The clock runs from strings in memory to vectors in the
// caller's memory; the model is loaded and the contexts have computed before. The method: tokenise on all lanes, sort by
// length, pack into passes, and let every lane (a context with its threads) take the next one.
#include "ggml-cpu.h"
#include "llama.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Tokens = std::vector<llama_token>;

const int    MAX_SEQUENCES = 64;  // of a pass
const int    LARGEST_PACK  = 64 * 1024;
const size_t WARMING       = 32;  // texts

struct Configuration {
    int pack, lanes, threads, flash;

    std::string json() const {
        std::ostringstream out;
        out << "\"pack\":" << pack << ",\"lanes\":" << lanes << ",\"threads\":" << threads << ",\"flash\":" << flash;
        return out.str();
    }
};

struct Arguments {
    std::string      model, texts;
    int              limit = 256, rounds = 3;
    bool             serve = false;
    std::vector<int> packs{ 256 }, lanes{ 1 }, threads{ 1 }, flash{ LLAMA_FLASH_ATTN_TYPE_AUTO };

    std::vector<Configuration> grid() const {
        std::vector<Configuration> all;
        for (int l : lanes) for (int t : threads) for (int f : flash) for (int p : packs) all.push_back({ p, l, t, f });
        return all;
    }
};

// A context with its threads.
class Lane {
  public:
    Lane(llama_model * model, const Configuration & c, int limit)
        : width(llama_model_n_embd_out(model)), batch(llama_batch_init(std::max(c.pack, limit), 0, 1)) {
        llama_context_params p = llama_context_default_params();
        p.n_ctx = p.n_batch = p.n_ubatch = (uint32_t) std::max(c.pack, limit);
        p.n_seq_max                      = MAX_SEQUENCES;
        p.n_threads = p.n_threads_batch  = c.threads;
        p.flash_attn_type                = (llama_flash_attn_type) c.flash;
        p.embeddings = p.kv_unified = p.no_perf = true;  // the pooling is the one that the file says
        context = llama_init_from_model(model, p);
        if (!context) {
            throw std::runtime_error("llama.cpp makes no context for " + c.json());
        }
        if (c.threads > 1) {
            // without one, ggml starts and joins threads for every graph when OpenMP is off
            ggml_threadpool_params t = ggml_threadpool_params_default(c.threads);
            pool                     = ggml_threadpool_new(&t);
            llama_attach_threadpool(context, pool, pool);
        }
    }

    ~Lane() {
        llama_free(context);
        ggml_threadpool_free(pool);
        llama_batch_free(batch);
    }

    // One pass: the sequences of `pack` become rows of `vectors`, each of length 1.
    void encode(const std::vector<Tokens> & sequences, const std::vector<size_t> & pack, std::vector<float> & vectors) {
        int n = 0;
        for (size_t s = 0; s < pack.size(); s++) {
            const Tokens & ids = sequences[pack[s]];
            for (size_t i = 0; i < ids.size(); i++, n++) {
                batch.token[n]     = ids[i];
                batch.pos[n]       = (llama_pos) i;
                batch.n_seq_id[n]  = 1;
                batch.seq_id[n][0] = (llama_seq_id) s;
                batch.logits[n]    = 1;
            }
        }
        batch.n_tokens = n;
        if (llama_encode(context, batch) != 0) {
            throw std::runtime_error("llama_encode failed");
        }
        for (size_t s = 0; s < pack.size(); s++) {
            const float * row = llama_get_embeddings_seq(context, (llama_seq_id) s);
            double        sum = 0;
            for (int i = 0; i < width; i++) sum += (double) row[i] * row[i];
            const double scale = sum > 0 ? 1 / std::sqrt(sum) : 0;
            for (int i = 0; i < width; i++) vectors[pack[s] * width + i] = (float) (row[i] * scale);
        }
    }

  private:
    int               width;
    llama_batch       batch;
    llama_context *   context = nullptr;
    ggml_threadpool * pool    = nullptr;
};

// The lanes of one configuration, warm.
class Embedder {
  public:
    Embedder(llama_model * model, const Configuration & configuration, int limit)
        : model(model), configuration(configuration), limit(limit) {
        for (int i = 0; i < configuration.lanes; i++) {
            lanes.push_back(std::make_unique<Lane>(model, configuration, limit));
        }
    }

    std::vector<float> embed(const std::vector<std::string> & texts) {
        std::vector<float>  vectors(texts.size() * llama_model_n_embd_out(model));
        std::vector<Tokens> sequences(texts.size());
        each(texts.size(), [&](size_t, size_t i) { sequences[i] = tokenize(texts[i]); });
        const auto packs = pack(sequences);
        each(packs.size(), [&](size_t lane, size_t i) { lanes[lane]->encode(sequences, packs[i], vectors); });
        return vectors;
    }

  private:
    // Runs job(lane, item) for every item, each lane on a thread of its own taking the next one.
    void each(size_t n, const std::function<void(size_t, size_t)> & job) {
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

    Tokens tokenize(const std::string & text) const {
        const llama_vocab * vocab = llama_model_get_vocab(model);
        Tokens              ids(text.size() / 2 + 16);
        for (;;) {
            const int n = llama_tokenize(vocab, text.data(), (int) text.size(), ids.data(), (int) ids.size(), true, false);
            ids.resize((size_t) std::abs(n));
            if (n >= 0) break;
        }
        if ((int) ids.size() > limit) {
            const llama_token last = ids.back();  // EOS or SEP stays
            ids.resize((size_t) limit);
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

    llama_model *                      model;
    Configuration                      configuration;
    int                                limit;
    std::vector<std::unique_ptr<Lane>> lanes;
};

// Wall time, and processor time of all threads, which other programs disturb less; as JSON.
std::string measure(Embedder & embedder, const std::vector<std::string> & texts) {
    const auto               start   = std::chrono::steady_clock::now();
    const std::clock_t       cpu     = std::clock();
    const std::vector<float> vectors = embedder.embed(texts);
    std::ostringstream       out;
    out << "\"seconds\":" << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()
        << ",\"cpu\":" << (double) (std::clock() - cpu) / CLOCKS_PER_SEC;
    return out.str();
}

std::vector<std::string> lines(const std::string & path) {
    std::ifstream            file(path);
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    if (all.empty()) throw std::runtime_error(path + " has no texts");
    return all;
}

void serve(Embedder & embedder, const std::vector<std::string> & texts) {
    for (std::string line; std::getline(std::cin, line);) {
        if (line == "go") {
            std::cout << "{" << measure(embedder, texts) << "}" << std::endl;
        } else if (line.rfind("vectors ", 0) == 0) {
            const std::vector<float> vectors = embedder.embed(texts);
            std::ofstream(line.substr(8), std::ios::binary)
                .write((const char *) vectors.data(), (std::streamsize) (vectors.size() * sizeof(float)));
            std::cout << "{\"floats\":" << vectors.size() << "}" << std::endl;
        }
    }
}

std::vector<int> numbers(const std::string & name, const std::string & list) {
    std::vector<int>   all;
    std::istringstream in(list);
    for (std::string word; std::getline(in, word, ',');) {
        all.push_back(std::atoi(word.c_str()));
        if (all.back() < (name == "--flash" ? -1 : 1) || all.back() > LARGEST_PACK) {
            throw std::runtime_error(name + " has \"" + word + "\", which is no number that it takes");
        }
    }
    if (all.empty()) throw std::runtime_error(name + " has no value");
    return all;
}

Arguments parse(int argc, char ** argv) {
    if (argc < 3) {
        throw std::runtime_error("usage: ceiling MODEL TEXTS [--limit N] [--packs N,N] [--lanes N,N] [--threads N,N] "
                                 "[--flash -1,0,1] [--rounds N | --serve]");
    }
    Arguments a;
    a.model = argv[1];
    a.texts = argv[2];
    for (int i = 3; i < argc; i++) {
        const std::string name = argv[i];
        a.serve = a.serve || name == "--serve";
        if (name == "--serve") continue;
        const std::vector<int> values = numbers(name, i + 1 < argc ? argv[++i] : "");
        if (name == "--limit") a.limit = values[0];
        else if (name == "--rounds") a.rounds = values[0];
        else if (name == "--packs") a.packs = values;
        else if (name == "--lanes") a.lanes = values;
        else if (name == "--threads") a.threads = values;
        else if (name == "--flash") a.flash = values;
        else throw std::runtime_error("unknown option " + name);
    }
    return a;
}

void run(const Arguments & arguments) {
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_backend_init();
    const std::unique_ptr<llama_model, decltype(&llama_model_free)> model(
        llama_model_load_from_file(arguments.model.c_str(), llama_model_default_params()), llama_model_free);
    if (!model) {
        throw std::runtime_error("llama.cpp does not load " + arguments.model);
    }
    const std::vector<std::string> texts = lines(arguments.texts);
    for (const Configuration & configuration : arguments.grid()) {
        Embedder embedder(model.get(), configuration, arguments.limit);
        embedder.embed({ texts.begin(), texts.begin() + (ptrdiff_t) std::min(texts.size(), WARMING) });
        if (arguments.serve) {
            std::cout << "{\"ready\":true,\"texts\":" << texts.size() << "," << configuration.json() << "}" << std::endl;
            return serve(embedder, texts);
        }
        for (int i = 0; i < arguments.rounds; i++) {
            std::cout << "{" << configuration.json() << "," << measure(embedder, texts) << "}" << std::endl;
        }
    }
}

}  // namespace

int main(int argc, char ** argv) try {
    run(parse(argc, argv));
    return 0;
} catch (const std::exception & error) {
    std::cerr << "error: " << error.what() << std::endl;
    return 1;
}
