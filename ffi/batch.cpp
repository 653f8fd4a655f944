// One pass: sequences of tokens, back to back, become one vector each (or one a token with pooling none), or the logits of
// some tokens after the last one.
#include "lane.h"
#include "pooling.h"

#include <algorithm>
#include <cstring>

using saur::answer;

namespace {

// llama.cpp asserts on these, on whatever thread it is on, or answers with numbers that mean nothing.
int32_t refuse(saur_lane * lane, const int32_t * tokens, int32_t n_tokens, const int32_t * lengths, int32_t n_sequences) {
    if (!lane->context) {
        return SAUR_NO_CONTEXT;
    }
    if (lane->lost) {
        return SAUR_LOST;
    }
    if (n_tokens < 1 || n_sequences < 1) {
        return SAUR_EMPTY;
    }
    if (n_sequences > (int32_t) llama_n_seq_max(lane->context)) {
        return SAUR_TOO_MANY_SEQUENCES;
    }
    // An encoder must see a sequence whole; where only logits are wanted, llama.cpp takes a pass in steps.
    if (n_tokens > (int32_t) (lane->answers.empty() ? llama_n_ubatch(lane->context) : llama_n_batch(lane->context))) {
        return SAUR_BATCH_TOO_LARGE;
    }
    const llama_model * model   = llama_get_model(lane->context);
    const int32_t       longest = std::min<int32_t>(llama_model_n_ctx_train(model), (int32_t) llama_n_ctx_seq(lane->context));
    int64_t             sum     = 0;
    for (int32_t s = 0; s < n_sequences; s++) {
        if (lengths[s] < 1) {
            return SAUR_EMPTY;
        }
        if (lengths[s] > longest) {
            return SAUR_SEQUENCE_TOO_LONG;
        }
        sum += lengths[s];
    }
    if (sum != n_tokens) {
        return SAUR_BAD_ARGUMENT;
    }
    const int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    const bool    inside  = std::all_of(tokens, tokens + n_tokens, [&](int32_t t) { return t >= 0 && t < n_vocab; });
    return inside ? SAUR_OK : SAUR_BAD_TOKEN;
}

// The input embeddings of all tokens if a sequence has a second segment, else nothing: token ids do then.
std::vector<float> segment_rows(saur_lane * lane) {
    if (lane->seconds == lane->lengths) {
        return {};
    }
    const saur::TokenRows & table = lane->model->token_rows();
    std::vector<float>      rows(lane->tokens.size() * (size_t) table.n_embd);
    size_t                  k = 0;
    for (size_t s = 0; s < lane->lengths.size(); s++) {
        for (int32_t i = 0; i < lane->lengths[s]; i++, k++) {
            table.row(lane->tokens[k], i >= lane->seconds[s], rows.data() + k * (size_t) table.n_embd);
        }
    }
    return rows;
}

// The logits of the wanted tokens after each sequence's last one.
int32_t read_answers(saur_lane * lane, const std::vector<int32_t> & last) {
    lane->embeddings.clear();
    for (const int32_t token : last) {
        const float * logits = llama_get_logits_ith(lane->context, token);
        if (!logits) {
            return SAUR_NO_OUTPUT;
        }
        for (const int32_t answer : lane->answers) {
            lane->embeddings.push_back(logits[answer]);
        }
    }
    return SAUR_OK;
}

int32_t encode(saur_lane * lane) {
    const int32_t             n_tokens = (int32_t) lane->tokens.size(), n_sequences = (int32_t) lane->lengths.size();
    std::vector<llama_pos>    positions(n_tokens);
    std::vector<int32_t>      n_ids(n_tokens, 1);
    std::vector<llama_seq_id> ids(n_tokens);
    std::vector<llama_seq_id *> id_pointers(n_tokens);
    std::vector<int8_t>       outputs(n_tokens, lane->answers.empty());
    std::vector<int32_t>      last(n_sequences);
    for (int32_t s = 0, k = 0; s < n_sequences; s++) {
        for (int32_t i = 0; i < lane->lengths[s]; i++, k++) {
            positions[k]   = i;
            ids[k]         = s;
            id_pointers[k] = &ids[k];
        }
        last[s]          = k - 1;
        outputs[last[s]] = 1;
    }
    if (llama_memory_t memory = llama_get_memory(lane->context)) {
        llama_memory_clear(memory, false);
    }
    const std::vector<float> embd = segment_rows(lane);
    llama_batch batch = { n_tokens,
                          embd.empty() ? lane->tokens.data() : nullptr,
                          embd.empty() ? nullptr : (float *) embd.data(),
                          positions.data(),
                          n_ids.data(),
                          id_pointers.data(),
                          outputs.data() };
    // An encoder has no memory object, and llama_decode becomes llama_encode for it. Only T5's kind needs the call by name.
    const llama_model *     model = llama_get_model(lane->context);
    const saur::KernelScope kernels(lane->kernels);
    const int32_t rc = llama_model_has_encoder(model) ? llama_encode(lane->context, batch) : llama_decode(lane->context, batch);
    if (rc != 0) {
        return rc == 2 || lane->abort ? SAUR_ABORTED : rc == -2 ? SAUR_OUT_OF_MEMORY : SAUR_DECODE_FAILED;
    }
    static std::once_flag once;  // ggml has built the statics of its first pass by now
    std::call_once(once, saur::arm_exit_guard);
    if (!lane->answers.empty()) {
        return read_answers(lane, last);
    }
    const auto   pooling = llama_pooling_type(lane->context);
    const size_t width   = pooling == LLAMA_POOLING_TYPE_RANK ? llama_model_n_cls_out(model) : (size_t) llama_model_n_embd_out(model);
    const int32_t rows   = pooling == LLAMA_POOLING_TYPE_NONE ? n_tokens : n_sequences;
    lane->embeddings.resize((size_t) rows * width);
    for (int32_t r = 0; r < rows; r++) {
        const float * row = pooling == LLAMA_POOLING_TYPE_NONE ? llama_get_embeddings_ith(lane->context, r)
                                                               : llama_get_embeddings_seq(lane->context, r);
        if (!row) {
            return SAUR_NO_OUTPUT;
        }
        memcpy(lane->embeddings.data() + (size_t) r * width, row, width * sizeof(float));
    }
    return SAUR_OK;
}

}  // namespace

int32_t saur_batch_encode(saur_lane * lane, const int32_t * tokens, int32_t n_tokens, const int32_t * lengths,
                          const int32_t * seconds, int32_t n_sequences) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    return answer<int32_t>(SAUR_OUT_OF_MEMORY, [&] {
        const int32_t refusal = refuse(lane, tokens, n_tokens, lengths, n_sequences);
        if (refusal != SAUR_OK) {
            return refusal;
        }
        lane->tokens.assign(tokens, tokens + n_tokens);
        lane->lengths.assign(lengths, lengths + n_sequences);
        lane->seconds.assign(seconds, seconds + n_sequences);
        lane->abort = 0;
        return lane->start([lane] {
            lane->lost       = true;  // stays so if an assertion takes us out of here
            const int32_t rc = encode(lane);
            lane->lost       = false;
            return rc;
        });
    });
}

// Copies the rows of the last encode: sequences x dimensions, tokens x dimensions with pooling none, sequences x labels
// with pooling rank, sequences x answers. Returns how many floats there are.
int32_t saur_pooling_embeddings(saur_lane * lane, float * out, int32_t size) {
    if (!lane->idle() || size < (int32_t) lane->embeddings.size()) {
        return SAUR_BAD_ARGUMENT;
    }
    std::copy(lane->embeddings.begin(), lane->embeddings.end(), out);
    return (int32_t) lane->embeddings.size();
}
