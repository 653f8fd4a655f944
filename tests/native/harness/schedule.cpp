// What one JavaScript thread does in its life, drawn at random from a seed: jobs on several lanes, asked for, aborted,
// abandoned, with models that several lanes share and that are freed while contexts still use them.
#include "script.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

namespace harness {
namespace {

constexpr size_t LANES  = 3;
constexpr size_t MODELS = 3;  // held at a time

const char * const QUANTISATIONS[] = { "f16", "q8_0", "q4_k_m", "f32" };

class Schedule {
  public:
    Schedule(const Arguments & arguments, uint64_t seed, Waking waking) :
        arguments(arguments), random(seed), script(waking),
        output(arguments.scratch + "/quantised-" + std::to_string(seed) + ".gguf") {}

    void run() {
        orphan = load_orphan();
        for (int32_t i = 0; orphan && !script.exiting && i < arguments.steps; i++) {
            step();
            script.take();
        }
        script.finish();
    }

  private:
    const Arguments &                   arguments;
    Random                              random;
    Script                              script;
    std::vector<std::shared_ptr<Model>> models;
    const std::string                   output;
    std::shared_ptr<Model>              orphan;

    // A model whose file is gone: what the file said of itself is still known.
    std::shared_ptr<Model> load_orphan() {
        Lane & lane = *script.open(0);
        std::filesystem::copy_file(arguments.models[0], output, std::filesystem::copy_options::overwrite_existing);
        std::shared_ptr<Model> model;
        script.run(lane, harness::load(lane.handle, output), [&](int32_t status) {
            if (good(lane, status, "load")) {
                model = std::make_shared<Model>(saur_model_take(lane.handle), 0);
            }
        });
        script.finish();
        remove(output.c_str());
        return model;
    }

    void step() {
        if (random.one_in(10) && saur_model_has_tensor(orphan->handle, "token_embd.weight") != 1) {
            report.wrong("a model whose file is gone has lost the names of its tensors");
        }
        if (script.lanes.size() < LANES && random.one_in(3)) {
            script.open(random.draw(0, 4));
            return;
        }
        if (script.lanes.empty()) {
            return;
        }
        Lane & lane = *script.lanes[(size_t) random.draw(0, (int32_t) script.lanes.size() - 1)];
        if (lane.running) {
            disturb(lane);
        } else {
            start(lane);
        }
    }

    // What a thread may do to a lane that works.
    void disturb(Lane & lane) {
        char  buffer[40];
        float row[1];
        switch (random.draw(0, 9)) {
            case 0:
            case 1:
                saur_lane_abort(lane.handle, 1);
                lane.aborted = true;
                break;
            case 2: saur_log_drain(lane.handle, buffer, random.draw(-1, 40)); break;
            case 3:
                if (const int32_t n = saur_lane_progress(lane.handle); n < 0 || n > 1000) {
                    report.wrong("progress of " + std::to_string(n));
                }
                break;
            case 4: saur_pooling_embeddings(lane.handle, row, 0); break;
            case 5: saur_lane_result(lane.handle, buffer, random.draw(0, 40)); break;
            case 6:
                if (random.one_in(6)) {
                    script.close(&lane);
                    report.count("lanes freed in a job");
                }
                break;
            default: script.await();
        }
    }

    void start(Lane & lane) {
        const int32_t kind = random.draw(0, 19);
        if (kind == 0 && random.one_in(3)) {
            script.close(&lane);
        } else if (kind == 1 && !models.empty()) {
            models.erase(models.begin() + random.draw(0, (int32_t) models.size() - 1));
        } else if (kind <= 3 && !arguments.bad.empty()) {
            load_bad(lane);
        } else if (kind == 4 && random.one_in(2)) {
            quantize(lane);
        } else if (kind <= 5 || models.empty()) {
            load(lane);
        } else if (kind <= 8) {
            tokenize(lane, pick_model());
        } else if (kind <= 10 || lane.context.empty()) {
            init(lane, pick_model());
        } else {
            encode(lane);
        }
    }

    const Model & pick_model() { return *models[(size_t) random.draw(0, (int32_t) models.size() - 1)]; }

    // The results that a job may have; the lane was aborted or the result is good, else the report has it.
    bool good(Lane & lane, int32_t status, const char * what) {
        report.count(std::string(what) + " " + std::to_string(status));
        const bool stopped = (status == SAUR_ABORTED && lane.aborted) || arguments.mode == "leave";
        if (status != SAUR_OK && !stopped) {
            report.wrong(std::string(what) + " gave " + std::to_string(status) + ": " + words_of(lane));
        }
        return status == SAUR_OK;
    }

    void load(Lane & lane) {
        const auto         index   = (size_t) random.draw(0, (int32_t) arguments.models.size() - 1);
        const ModelOptions options = model_options(random.one_in(2));
        script.run(lane, harness::load(lane.handle, arguments.models[index], options), [&, index](int32_t status) {
            if (!good(lane, status, "load") || random.one_in(8)) {
                return;  // a model that nobody takes is the lane's
            }
            if (models.size() == MODELS) {
                models.erase(models.begin());
            }
            models.push_back(std::make_shared<Model>(saur_model_take(lane.handle), index));
            models.back()->kernels = random.one_in(2);
        });
    }

    void load_bad(Lane & lane) {
        const auto & path = arguments.bad[(size_t) random.draw(0, (int32_t) arguments.bad.size() - 1)];
        script.run(lane, harness::load(lane.handle, path, model_options(random.one_in(2))), [&lane](int32_t status) {
            report.count("bad load " + std::to_string(status));
            saur_model_free(saur_model_take(lane.handle));
        });
    }

    void quantize(Lane & lane) {
        const auto & input = arguments.models[(size_t) random.draw(0, (int32_t) arguments.models.size() - 1)];
        const char * type  = QUANTISATIONS[random.draw(0, 3)];
        // one file each, and no two jobs on it at once
        const std::string own = output + std::to_string(lane.number);
        script.run(lane, saur_model_quantize(lane.handle, input.c_str(), own.c_str(), type, random.draw(1, 2)),
                   [&lane, own, this](int32_t status) {
                       good(lane, status, "quantize");
                       remove(own.c_str());
                   });
    }

    std::string text() {
        std::string text((size_t) (random.one_in(300) ? arguments.big : random.draw(0, 300)), 'x');
        const int32_t kind = random.draw(0, 3);
        for (size_t i = 0; kind > 0 && i < text.size(); i++) {
            text[i] = kind == 1 ? (char) random.draw(0, 255) : kind == 2 ? "ab c\0,"[random.draw(0, 5)] : ' ';
        }
        return text;
    }

    void tokenize(Lane & lane, const Model & model) {
        std::string          bytes;
        std::vector<int32_t> lengths, special;
        for (int32_t n = random.draw(0, 20); n > 0; n--) {
            const std::string one = text();
            bytes += one;
            lengths.push_back((int32_t) one.size());
            special.push_back(random.draw(saur::SPECIAL_NONE, saur::SPECIAL_PARSE));
        }
        const auto n = (int32_t) lengths.size();
        script.run(lane, saur_vocab_tokenize(lane.handle, model.handle, bytes.data(), lengths.data(), special.data(), n),
                   [&lane, n, this, vocabulary = model.vocabulary](int32_t status) {
                       // bytes that are no UTF-8, which TypeScript never sends
                       if (status == SAUR_LOST && words_of(lane) == "invalid codepoint") {
                           report.count("tokenize -100");
                       } else if (good(lane, status, "tokenize")) {
                           check_tokens(lane, n, vocabulary);
                       }
                   });
    }

    void check_tokens(Lane & lane, int32_t texts, int32_t vocabulary) {
        std::vector<int32_t> counts((size_t) texts);
        std::vector<int32_t> ids((size_t) std::max(0, saur_vocab_counts(lane.handle, counts.data(), texts)));
        saur_vocab_tokens(lane.handle, ids.data(), (int32_t) ids.size());
        int64_t sum = 0;
        for (int32_t n : counts) {
            sum += n;
        }
        if (sum != (int64_t) ids.size() ||
            std::any_of(ids.begin(), ids.end(), [&](int32_t id) { return id < 0 || id >= vocabulary; })) {
            report.wrong("tokens that do not add up or are outside the vocabulary");
        }
    }

    void init(Lane & lane, const Model & model) {
        const bool    unusual = random.one_in(10);
        const int32_t rank = saur::POOLING_RANK, tokens = 64 * random.draw(1, 3), sequences = random.draw(1, 8);
        const int32_t fitting = model.pooling == rank ? rank : random.draw(saur::POOLING_NONE, saur::POOLING_LAST);
        // on a worker thread of ggml an assertion cannot be caught
        const int32_t  threads  = unusual || model.kernels ? 1 : random.draw(1, 2);
        const int32_t  pooling  = unusual ? random.draw(saur::POOLING_UNSPECIFIED, rank) : fitting;
        ContextOptions options  = context_options(tokens, sequences, threads, pooling);
        options[saur::CONTEXT_KERNELS] = model.kernels || (threads > 1 && random.one_in(2));
        lane.context.clear();
        lane.unusual = unusual;
        lane.tokens = tokens, lane.sequences = sequences, lane.pooling = pooling;
        lane.vocabulary = model.vocabulary, lane.trained = model.trained;
        lane.segments = model.segments;
        lane.width = pooling == rank ? model.classes : model.dimensions;
        std::string context = arguments.models[model.index];
        for (int32_t option : options) {
            context += " " + std::to_string(option);
        }
        script.run(lane, harness::init(lane.handle, model.handle, options), [&lane, context, this](int32_t status) {
            if (lane.unusual) {
                report.count("unusual context " + std::to_string(status));
            } else {
                good(lane, status, ("context of " + context).c_str());
            }
            if (status == SAUR_OK) {
                lane.context = context;
            }
        });
    }

    void encode(Lane & lane) {
        const bool     pairs  = random.one_in(3);
        const uint64_t number = (uint64_t) random.draw(0, 5);
        const Pack     pack   = Pack::of(number, lane, pairs);
        const auto     rows   = lane.pooling == saur::POOLING_NONE ? pack.tokens.size() : pack.lengths.size();
        const size_t   n      = rows * (size_t) lane.width;
        script.run(lane, pack.encode(lane), [&lane, pairs, number, n, this](int32_t status) {
            if (lane.unusual) {
                if (status == SAUR_LOST) {
                    lane.context.clear();
                }
                report.count("unusual encode " + std::to_string(status));
                return;
            }
            if (!good(lane, status, "encode")) {
                return;
            }
            const std::vector<float> found = embeddings_of(lane);
            if (found.size() != n) {
                report.wrong("a pass of " + std::to_string(found.size()) + " numbers and not " + std::to_string(n));
            }
            if (!std::all_of(found.begin(), found.end(), [](float x) { return std::isfinite(x); })) {
                report.wrong("a pass with numbers that are not finite");
            }
            report.same(lane.context + (pairs ? " pairs " : " pack ") + std::to_string(number), found);
        });
    }
};

}  // namespace

void run_schedule(const Arguments & arguments, uint64_t seed, Waking waking) { Schedule(arguments, seed, waking).run(); }

}  // namespace harness
