// Every refusal of the shim and every kind of result, in order, with the least and the largest buffers that are allowed.
#include "ggml-cpu.h"
#include "shim/lane.h"
#include "script.h"

#include <algorithm>
#include <cstring>

namespace harness {
namespace {

// Runs a job to its end and checks what it comes to.
void expect_result(Script & script, Lane & lane, int32_t started, int32_t expected, const std::string & what) {
    script.run(lane, started, [&](int32_t status) {
        expect(status, expected, what + " (" + words_of(lane) + ")");
    });
    script.finish();
}

int32_t load(Lane & lane, const std::string & path) { return harness::load(lane.handle, path); }

int32_t init(Lane & lane, const Model & model, int32_t tokens, int32_t sequences, int32_t threads, int32_t pooling) {
    return harness::init(lane.handle, model.handle, context_options(tokens, sequences, threads, pooling));
}

int32_t encode(Lane & lane, std::vector<int32_t> lengths, int32_t token = 5, int32_t extra = 0) {
    Pack pack;
    pack.lengths = pack.segment_b = lengths;
    pack.prefix_lengths.resize(lengths.size());
    for (int32_t n : lengths) {
        pack.tokens.resize(pack.tokens.size() + (size_t) std::max(0, n), token);
    }
    pack.tokens.resize(pack.tokens.size() + (size_t) extra, token);
    return pack.encode(lane);
}

void check_model(const Model & model) {
    double  few[2];
    char    text[8];
    int32_t n = saur_model_info(model.handle, few, 2);
    expect(saur_model_info(model.handle, nullptr, 0), n, "model_info into nothing");
    expect(saur_model_info(model.handle, few, -1), n, "model_info into less than nothing");
    n = saur_model_meta(model.handle, ":description", nullptr, 0);
    expect(saur_model_meta(model.handle, ":description", text, 8), n, "model_meta into a short buffer");
    expect((int32_t) strlen(text), 7, "model_meta ends a short text");
    expect(saur_model_meta(model.handle, ":description", text, -5), n, "model_meta into less than nothing");
    expect(saur_model_meta(model.handle, ":hash", text, 1), 16, "model_meta of the hash");
    expect(saur_model_meta(model.handle, "no.such.key", text, 8), -1, "model_meta of no key");
    for (int32_t label : { -1, INT32_MIN, model.classes, INT32_MAX }) {
        expect(saur_model_label(model.handle, label, text, 8), -1, "model_label out of range");
    }
    expect(saur_model_has_tensor(model.handle, "token_embd.weight"), 1, "model_has_tensor");
    expect(saur_model_has_tensor(model.handle, ""), 0, "model_has_tensor of none");
    int32_t       lengths[3] = { 0, 0, 0 };
    const int32_t tokens[3]  = { 0, 1, 2 };
    const int32_t bytes      = saur_vocab_pieces(model.handle, tokens, 3, lengths, nullptr, 0);
    expect(lengths[0] + lengths[1] + lengths[2], bytes, "vocab_pieces into nothing");
    std::string pieces((size_t) std::max(1, bytes), '\x7f');
    expect(saur_vocab_pieces(model.handle, tokens, 3, lengths, &pieces[0], bytes), bytes, "vocab_pieces of an exact buffer");
    expect(pieces.find('\x7f') == std::string::npos || bytes == 0, 1, "vocab_pieces fill it");
    expect(saur_vocab_pieces(model.handle, tokens, -1, nullptr, nullptr, 0), 0, "vocab_pieces of less than none");
    for (int32_t token : { -1, INT32_MIN, INT32_MAX }) {
        expect(saur_vocab_pieces(model.handle, &token, 1, lengths, nullptr, 0), SAUR_BAD_TOKEN, "vocab_pieces out of range");
    }
}

// How many of the jobs, none of which an idle lane would take either, are refused because the lane is busy.
int32_t busy_refusals(Lane & lane, const Model & model) {
    const int32_t less = -1, zero = 0;
    int32_t       ids[1];
    double        memory[1];
    const int32_t found[] = {
        encode(lane, {}),
        init(lane, model, 0, 1, 1, saur::POOLING_MEAN),
        saur_model_load(lane.handle, "", &zero, 1),
        saur_model_quantize(lane.handle, "a", "b", "q99", 1),
        saur_vocab_tokenize(lane.handle, model.handle, "", &less, &zero, 1),
        saur_lane_result(lane.handle, nullptr, 0),
        saur_vocab_counts(lane.handle, ids, -1) == SAUR_BAD_ARGUMENT && !saur_model_take(lane.handle) ? SAUR_BUSY : 0,
        saur_context_memory(lane.handle, memory, 1),
    };
    // an idle lane also refuses the last: it has no room for its counts
    const bool idle = found[5] != SAUR_BUSY;
    return (int32_t) std::count(std::begin(found), std::end(found), (int32_t) SAUR_BUSY) - (idle ? 1 : 0);
}

// Without a context, beside the range of its options, and while a job runs.
void check_refusals(Script & script, Lane & lane, const Model & model, const std::string & path) {
    const int32_t one = 1, less = -1;
    float         row[1];
    expect(encode(lane, { 3 }), SAUR_NO_CONTEXT, "encode without a context");
    for (int32_t bad : { 0, -1, INT32_MIN }) {
        expect(init(lane, model, bad, 1, 1, saur::POOLING_MEAN), SAUR_BAD_ARGUMENT, "a context of no tokens");
        expect(init(lane, model, 64, bad, 1, saur::POOLING_MEAN), SAUR_BAD_ARGUMENT, "a context of no sequences");
        expect(init(lane, model, 64, 1, bad, saur::POOLING_MEAN), SAUR_BAD_ARGUMENT, "a context of no threads");
    }
    expect(init(lane, model, 64, 1 << 20, 1, saur::POOLING_MEAN), SAUR_BAD_ARGUMENT, "a context of too many sequences");
    expect(init(lane, model, 64, 1, 1 << 20, saur::POOLING_MEAN), SAUR_BAD_ARGUMENT, "a context of too many threads");
    expect(init(lane, model, 64, 1, 1, 9), SAUR_BAD_ARGUMENT, "a context of an unknown pooling");
    expect(init(lane, model, 64, 1, 1, saur::POOLING_UNKNOWN), SAUR_BAD_ARGUMENT, "a context of a pooling without a name");
    expect(saur_context_init(lane.handle, model.handle, &one, 1, nullptr, 0), SAUR_BAD_ARGUMENT, "a context of one option");
    const ContextOptions good = context_options(64, 1, 1, saur::POOLING_MEAN);
    expect(saur_context_init(lane.handle, model.handle, good.data(), (int32_t) good.size(), &one, -1), SAUR_BAD_ARGUMENT,
           "a context of -1 answers");
    expect(harness::init(lane.handle, model.handle, good, { model.vocabulary }), SAUR_BAD_TOKEN,
           "an answer outside the vocabulary");
    ContextOptions kernels = good;
    kernels[saur::CONTEXT_KERNELS] = 2;
    expect(harness::init(lane.handle, model.handle, kernels), SAUR_BAD_ARGUMENT, "a context half with kernels");
    expect(saur_model_load(lane.handle, path.c_str(), &one, 1), SAUR_BAD_ARGUMENT, "a load of one option");
    ModelOptions device = model_options();
    device[saur::MODEL_DEVICE] = 1 << 20;
    expect(harness::load(lane.handle, path, device), SAUR_BAD_ARGUMENT, "a load on no device");
    expect(saur_model_quantize(lane.handle, "a", "b", "q99", 1), SAUR_BAD_ARGUMENT, "an unknown quantisation");
    expect(saur_vocab_tokenize(lane.handle, model.handle, "", &less, &one, 1), SAUR_BAD_ARGUMENT, "a text of -1 bytes");
    expect(saur_vocab_tokenize(lane.handle, model.handle, "", &one, &one, -1), SAUR_BAD_ARGUMENT, "-1 texts");
    for (int32_t mode : { -1, saur::SPECIAL_PARSE + 1 }) {
        expect(saur_vocab_tokenize(lane.handle, model.handle, "a", &one, &mode, 1), SAUR_BAD_ARGUMENT, "an unknown mode");
    }
    expect(saur_model_take(lane.handle) == nullptr, 1, "model_take before a load");

    expect_result(script, lane, init(lane, model, 64, 4, 1, saur::POOLING_MEAN), SAUR_OK, "a context");
    double memory[saur::CONTEXT_MEMORY];
    expect(saur_context_memory(lane.handle, memory, saur::CONTEXT_MEMORY - 1), SAUR_BAD_ARGUMENT, "context_memory into a short buffer");
    expect(saur_context_memory(lane.handle, memory, saur::CONTEXT_MEMORY), SAUR_OK, "context_memory");
    expect_result(script, lane, saur_context_free(lane.handle), SAUR_OK, "context_free");
    expect(saur_context_memory(lane.handle, memory, saur::CONTEXT_MEMORY), SAUR_NO_CONTEXT, "context_memory without a context");
    expect(encode(lane, { 3 }), SAUR_NO_CONTEXT, "a pass without a context");
    expect_result(script, lane, saur_context_free(lane.handle), SAUR_OK, "context_free without a context");
    expect_result(script, lane, init(lane, model, 64, 4, 1, saur::POOLING_MEAN), SAUR_OK, "a context again");
    expect(busy_refusals(lane, model), 0, "jobs that an idle lane takes for busy");
    std::string   text(1 << 18, 'x');
    const int32_t length = (int32_t) text.size(), special = saur::SPECIAL_ADD;
    script.run(lane, saur_vocab_tokenize(lane.handle, model.handle, text.data(), &length, &special, 1), [](int32_t) {});
    const int32_t refused = busy_refusals(lane, model);
    if (saur_lane_result(lane.handle, nullptr, 0) == SAUR_BUSY) {  // it ran all the while
        expect(refused, 8, "jobs that a busy lane refuses");
        expect(saur_pooling_embeddings(lane.handle, row, 1), SAUR_BAD_ARGUMENT, "embeddings of a busy lane");
    }
    script.finish();
}

void check_encode(Script & script, Lane & lane, const Model & model) {
    expect_result(script, lane, init(lane, model, 64, 4, 1, saur::POOLING_MEAN), SAUR_OK, "a context");
    expect(encode(lane, {}), SAUR_EMPTY, "no sequence");
    expect(encode(lane, { 3, 0 }), SAUR_EMPTY, "an empty sequence");
    expect(encode(lane, { 3, -1 }), SAUR_EMPTY, "a negative sequence");
    expect(encode(lane, { 1, 1, 1, 1, 1 }), SAUR_TOO_MANY_SEQUENCES, "five sequences");
    expect(encode(lane, { 40, 40 }), SAUR_BATCH_TOO_LARGE, "more than the pass");
    expect(encode(lane, { 65 }), SAUR_BATCH_TOO_LARGE, "a sequence of more than the pass");
    expect(encode(lane, { 5 }, 5, 2), SAUR_BAD_ARGUMENT, "lengths that do not add up");
    for (int32_t token : { -1, model.vocabulary, INT32_MAX, INT32_MIN }) {
        expect(encode(lane, { 3 }, token), SAUR_BAD_TOKEN, "a token outside the vocabulary");
    }
    expect_result(script, lane, encode(lane, { 5, 7, 64 - 12 }), SAUR_OK, "a full pass");
    const size_t n = embeddings_of(lane).size();
    expect((int32_t) n, 3 * model.dimensions, "numbers of a pass");
    std::vector<float> exact(n);
    expect(saur_pooling_embeddings(lane.handle, exact.data(), (int32_t) n - 1), SAUR_BAD_ARGUMENT, "a short buffer");
    expect(saur_pooling_embeddings(lane.handle, exact.data(), (int32_t) n), (int32_t) n, "an exact buffer");

    // a pass longer than what the model was trained for
    expect_result(script, lane, init(lane, model, model.trained + 64, 4, 1, saur::POOLING_MEAN), SAUR_OK, "a large context");
    expect(encode(lane, { model.trained + 1 }), SAUR_SEQUENCE_TOO_LONG, "more than trained for");
    expect_result(script, lane, encode(lane, { model.trained }), SAUR_OK, "as long as trained for");

    // an abort before the job is forgotten, one in it is not an error of the context
    saur_lane_abort(lane.handle, 1);
    expect_result(script, lane, encode(lane, { 5 }), SAUR_OK, "a pass after an abort of nothing");
}

// Sequences of a causal model that begin alike: computed, kept, stopped, and with others.
void check_shared(Script & script, Lane & lane, const Model & model) {
    const ContextOptions options = context_options(64, 4, 1, saur::POOLING_NONE);
    expect_result(script, lane, harness::init(lane.handle, model.handle, options, { 5, 6 }), SAUR_OK, "a context for answers");
    Pack pack;
    pack.tokens.resize(66, 5);
    pack.lengths = pack.segment_b = { 30, 36 };
    pack.prefix_lengths = { 20, 20 };
    expect_result(script, lane, pack.encode(lane), SAUR_OK, "a beginning");
    const std::vector<float> first = embeddings_of(lane);
    expect((int32_t) first.size(), 4, "numbers of two sequences' answers");
    pack.prefix_lengths = { -1, INT32_MAX };
    expect(pack.encode(lane), SAUR_BATCH_TOO_LARGE, "more than the pass, where nothing is shared");
    pack.prefix_lengths = { 29, 3 };
    expect_result(script, lane, pack.encode(lane), SAUR_OK, "two beginnings");
    pack.prefix_lengths = { 20, 20 };
    expect_result(script, lane, pack.encode(lane), SAUR_OK, "the first beginning");
    expect(embeddings_of(lane) == first, 1, "the same answers");
}

// An assertion inside a kernel: with one thread it runs on the lane's own, and is a result of the job.
void check_kernel(Script & script, Lane & lane) {
    ggml_threadpool * threadpool = lane.handle->context->threadpool;
    const int32_t     started    = lane.handle->start([threadpool]() -> int32_t {
        std::unique_ptr<ggml_context, void (*)(ggml_context *)> context(ggml_init({ 1 << 20, nullptr, false }), ggml_free);
        ggml_tensor * x     = ggml_set_f32(ggml_new_tensor_1d(context.get(), GGML_TYPE_F32, 64), 1);
        ggml_cgraph * graph = ggml_new_graph(context.get());
        ggml_build_forward_expand(graph, ggml_norm(context.get(), x, -1.0f));  // the kernel wants no negative number
        ggml_cplan           plan = ggml_graph_plan(graph, 1, threadpool);
        std::vector<uint8_t> work(plan.work_size);
        plan.work_data = work.data();
        ggml_graph_compute(graph, &plan);
        return SAUR_OK;
    });
    script.run(lane, started, [&](int32_t status) {
        expect(status, SAUR_LOST, "an assertion in a kernel");
        expect(words_of(lane).find("GGML_ASSERT(eps") != std::string::npos, 1, "its words, in: " + words_of(lane));
    });
    script.finish();
}

// As many tokens and sequences as one likes, whether or not llama.cpp can divide them.
void check_contexts(Script & script, Lane & lane, const Model & model) {
    for (int32_t tokens : { 1, 64, 65, 97 }) {
        for (int32_t sequences : { 1, 3, 7, 64 }) {
            const std::string what = "a context of " + std::to_string(tokens) + " and " + std::to_string(sequences);
            expect_result(script, lane, init(lane, model, tokens, sequences, 1, saur::POOLING_MEAN), SAUR_OK, what);
            expect_result(script, lane, encode(lane, { tokens }), SAUR_OK, what);
        }
    }
}

void check_tokenize(Script & script, Lane & lane, const Model & model, int32_t big) {
    const std::vector<std::string> texts = { "",          std::string(7, '\0'),        "plain words",  std::string(big, 'x'),
                                             "\xff\xfe\x80", "\xf0\x9f\x98",           "[SEP] [CLS]", std::string(999, ' ') };
    std::string          bytes;
    std::vector<int32_t> lengths, special;
    for (const auto & text : texts) {
        for (int32_t kind : { saur::SPECIAL_ADD, saur::SPECIAL_NONE, saur::SPECIAL_PARSE }) {
            if (kind != saur::SPECIAL_ADD && (int32_t) text.size() == big) {
                continue;  // a second of work, once
            }
            bytes += text;
            lengths.push_back((int32_t) text.size());
            special.push_back(kind);
        }
    }
    const auto n = (int32_t) lengths.size();
    expect_result(script, lane,
                  saur_vocab_tokenize(lane.handle, model.handle, bytes.data(), lengths.data(), special.data(), n), SAUR_OK,
                  "strange texts");
    std::vector<int32_t> counts(lengths.size());
    expect(saur_vocab_counts(lane.handle, counts.data(), n - 1), SAUR_BAD_ARGUMENT, "a short buffer of counts");
    const int32_t        sum = saur_vocab_counts(lane.handle, counts.data(), n);
    std::vector<int32_t> ids((size_t) std::max(0, sum));
    expect(saur_vocab_tokens(lane.handle, ids.data(), sum - 1), SAUR_BAD_ARGUMENT, "a short buffer of tokens");
    expect(saur_vocab_tokens(lane.handle, ids.data(), sum), sum, "an exact buffer of tokens");
    expect_result(script, lane, saur_vocab_tokenize(lane.handle, model.handle, "", nullptr, nullptr, 0), SAUR_OK, "no text");
    expect(saur_vocab_counts(lane.handle, nullptr, 0), 0, "counts of no text");
}

}  // namespace

void check_lanes(const Arguments & arguments) {
    for (Waking waking : { Waking::wait, Waking::notify }) {
        Script script(waking);
        Lane & lane = *script.open(0);
        expect_result(script, lane, load(lane, arguments.scratch + "/none.gguf"), SAUR_NOT_FOUND, "a missing file");
        expect_result(script, lane, load(lane, arguments.scratch), SAUR_NOT_GGUF, "a directory");
        for (const auto & path : arguments.bad) {
            script.run(lane, load(lane, path), [&](int32_t status) {
                report.count("bad file " + std::to_string(status));
                saur_model_free(saur_model_take(lane.handle));  // NULL, but for a change that does no harm
            });
            script.finish();
        }
        for (size_t i = 0; i < arguments.models.size(); i++) {
            Lane & fresh = *script.open(0);
            expect_result(script, fresh, load(fresh, arguments.models[i]), SAUR_OK, "a good file");
            saur_model * handle = saur_model_take(fresh.handle);
            if (!handle) {
                report.wrong("model_take gives NULL after a load");
                continue;
            }
            const Model model(handle, i);
            expect(saur_model_take(fresh.handle) == nullptr, 1, "model_take gives a model once");
            check_model(model);
            check_refusals(script, fresh, model, arguments.models[i]);
            check_encode(script, fresh, model);
            if (model.is_causal_decoder) {
                check_shared(script, fresh, model);
            }
            check_tokenize(script, fresh, model, arguments.big);
            check_kernel(script, fresh);
            check_contexts(script, fresh, model);
            drain(fresh.handle);
        }  // the model's handle is freed before its contexts
        check_first_passes(arguments, waking);
    }
}

}  // namespace harness
