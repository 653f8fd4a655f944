// The first passes of several models at once, on several lanes of each: whichever lane first needs a model's weights puts
// them in the order that the kernels read, in their own place, while the others need them too.
#include "script.h"

namespace harness {
namespace {

constexpr int32_t LANES = 3, TOKENS = 64, SEQUENCES = 8;
constexpr int     ROUNDS = 4;

struct Work {
    Lane & lane;
    size_t model;
};

// Starts a job; what it comes to is told by script.finish().
void start(Script & script, Lane & lane, int32_t started, const char * what, std::function<void()> done = [] {}) {
    script.run(lane, started, [&lane, what, done](int32_t status) {
        expect(status, SAUR_OK, std::string(what) + " (" + words_of(lane) + ")");
        done();
    });
}

void init(Script & script, Lane & lane, const Model & model) {
    const int32_t pooling = model.pooling == saur::POOLING_RANK ? saur::POOLING_RANK : saur::POOLING_MEAN;
    lane.tokens = TOKENS, lane.sequences = SEQUENCES;
    lane.vocabulary = model.vocabulary, lane.trained = model.trained;
    start(script, lane, harness::init(lane.handle, model.handle, context_options(TOKENS, SEQUENCES, 1, pooling)), "a context");
}

// The same pass for every lane of a model, so of the same bits.
void encode(Script & script, Work & work) {
    start(script, work.lane, Pack::of(work.model, work.lane, false).encode(work.lane), "a first pass", [&work] {
        report.same("first pass of model " + std::to_string(work.model), embeddings_of(work.lane));
    });
}

}  // namespace

void check_first_passes(const Arguments & arguments, Waking waking) {
    for (int round = 0; round < ROUNDS; round++) {
        Script                              script(waking);
        std::vector<std::unique_ptr<Model>> models;
        std::vector<Work>                   works;
        for (size_t i = 0; i < arguments.models.size(); i++) {
            for (int32_t n = 0; n < LANES; n++) {
                works.push_back({ *script.open(0), i });
            }
            Lane & lane = works.back().lane;
            start(script, lane, load(lane.handle, arguments.models[i]), "a load");
            script.finish();
            models.push_back(std::make_unique<Model>(saur_model_take(lane.handle), i));
        }
        // each model's last lane gets its context, which asks for what is to stay as it is, while the others compute
        const auto late = [](size_t i) { return i % LANES == LANES - 1; };
        for (size_t i = 0; i < works.size(); i++) {
            if (!late(i)) init(script, works[i].lane, *models[works[i].model]);
        }
        script.finish();
        for (size_t i = 0; i < works.size(); i++) {
            late(i) ? init(script, works[i].lane, *models[works[i].model]) : encode(script, works[i]);
        }
        script.finish();
        models.clear();  // their contexts keep them
        for (Work & work : works) encode(script, work);
        script.finish();
    }
}

}  // namespace harness
