// A fixed piece of work, the same instructions on every run: what scripts/instructions.ts counts. A text is tokenised and
// encoded as src/pool/pool.ts does it, on one lane of one thread.
#include "script.h"

#include <algorithm>

namespace harness {
namespace {

constexpr int32_t PASS = 256, SEQUENCES = 64;
constexpr size_t  TEXTS = 50, TITLES = 12, MIXED = 4, DOCUMENTS = 8;

const char * const WORDS[] = { "safe",  "systems", "programming", "language", "yellow",  "fruit",   "rich",     "in",
                               "the",   "capital", "of",          "France",   "naïve",   "Zürich",  "embedding", "vectors",
                               "1,024", "tokens,", "unbelievably", "日本語",  "and",     "reranks", "documents", "(fast)." };

// The first ones are titles; of those behind them every second one is a paragraph.
std::vector<std::string> make_texts() {
    Random                   random(7);
    std::vector<std::string> texts;
    for (size_t i = 0; i < TEXTS; i++) {
        const bool  paragraph = i >= TITLES && i % 2 == 0;
        std::string text;
        for (int32_t n = paragraph ? random.draw(20, 40) : random.draw(2, 8); n > 0; n--) {
            text += text.empty() ? "" : " ";
            text += WORDS[random.draw(0, std::size(WORDS) - 1)];
        }
        texts.push_back(text);
    }
    return texts;
}

void finish(Script & script, Lane & lane, int32_t started, const char * what) {
    script.run(lane, started, [&](int32_t status) {
        if (status != SAUR_OK) {
            report.wrong(std::string(what) + " gave " + std::to_string(status) + ": " + words_of(lane));
        }
    });
    script.finish();
}

Model load(Script & script, Lane & lane, const Arguments & arguments, size_t index) {
    finish(script, lane, harness::load(lane.handle, arguments.models[index]), "load");
    return Model(saur_model_take(lane.handle), index);
}

void init(Script & script, Lane & lane, const Model & model) {
    const ContextOptions options = context_options(PASS, SEQUENCES, 1, saur::POOLING_UNSPECIFIED);
    finish(script, lane, harness::init(lane.handle, model.handle, options), "context");
    lane.tokens = PASS, lane.sequences = SEQUENCES;
    lane.vocabulary = model.vocabulary, lane.trained = model.trained;
}

std::vector<std::vector<int32_t>> tokenize(Script & script, Lane & lane, const Model & model,
                                           const std::vector<std::string> & texts) {
    std::string          bytes;
    std::vector<int32_t> lengths, counts(texts.size());
    for (const auto & text : texts) {
        bytes += text;
        lengths.push_back((int32_t) text.size());
    }
    const std::vector<int32_t> special(texts.size(), saur::SPECIAL_ADD);
    const auto                 n = (int32_t) texts.size();
    finish(script, lane,
           saur_vocab_tokenize(lane.handle, model.handle, bytes.data(), lengths.data(), special.data(), n), "tokenize");
    std::vector<int32_t> ids((size_t) std::max(0, saur_vocab_counts(lane.handle, counts.data(), n)));
    saur_vocab_tokens(lane.handle, ids.data(), (int32_t) ids.size());
    std::vector<std::vector<int32_t>> sequences;
    auto                              at = ids.begin();
    for (const int32_t count : counts) {
        sequences.emplace_back(at, at + count);
        at += count;
    }
    return sequences;
}

void encode(Script & script, Lane & lane, const Pack & pack, int32_t width) {
    finish(script, lane, pack.encode(lane), "encode");
    if (embeddings_of(lane).size() != pack.lengths.size() * (size_t) width) {
        report.wrong("a pass of another number of numbers");
    }
    report.count("passes");
}

Pack pack_of(const std::vector<std::vector<int32_t>> & sequences, size_t from, size_t count) {
    Pack pack;
    for (size_t i = from; i < from + count; i++) {
        pack.tokens.insert(pack.tokens.end(), sequences[i].begin(), sequences[i].end());
        pack.lengths.push_back((int32_t) sequences[i].size());
    }
    pack.segment_b = pack.lengths;
    pack.prefix_lengths.resize(count);
    return pack;
}

}  // namespace

void run_work(const Arguments & arguments) {
    Script script(Waking::wait);
    {
        Lane &      lane  = *script.open(0);
        const Model model = load(script, lane, arguments, 0);
        init(script, lane, model);
        const auto sequences = tokenize(script, lane, model, make_texts());
        encode(script, lane, pack_of(sequences, 0, TITLES), model.dimensions);
        encode(script, lane, pack_of(sequences, TITLES, MIXED), model.dimensions);
    }
    Lane &      lane  = *script.open(0);
    const Model model = load(script, lane, arguments, 1);
    init(script, lane, model);
    encode(script, lane, Pack::of(DOCUMENTS, lane, true), model.classes);
}

}  // namespace harness
