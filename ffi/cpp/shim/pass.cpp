#include "shim/pass.h"

#include <algorithm>
#include <cmath>

namespace saur {
namespace {

// What llama.cpp is given to compute in one call.
struct Batch {
    std::vector<llama_token>  tokens;
    std::vector<float>        rows;  // in place of tokens
    std::vector<llama_pos>    positions;
    std::vector<llama_seq_id> sequences;
    std::vector<int8_t>       outputs;

    void add(llama_token token, llama_pos position, llama_seq_id sequence, bool output) {
        tokens.push_back(token);
        positions.push_back(position);
        sequences.push_back(sequence);
        outputs.push_back(output);
    }
};

int32_t decode(saur_lane * lane, Batch & batch) {
    std::vector<int32_t>        n_ids(batch.tokens.size(), 1);
    std::vector<llama_seq_id *> ids(batch.tokens.size());
    std::transform(batch.sequences.begin(), batch.sequences.end(), ids.begin(), [](llama_seq_id & id) { return &id; });
    const llama_batch whole = { (int32_t) batch.tokens.size(),
                                batch.rows.empty() ? batch.tokens.data() : nullptr,
                                batch.rows.empty() ? nullptr : batch.rows.data(),
                                batch.positions.data(),
                                n_ids.data(),
                                ids.data(),
                                batch.outputs.data() };
    if (lane->hidden_states) {
        lane->hidden_states->rows.clear();
    }
    // An encoder has no memory object, and llama_decode becomes llama_encode for it. Only T5's kind needs the call by name.
    const KernelScope   kernels(lane->kernels);
    const SkipLogits    logits(lane->hidden_states != nullptr);
    const int32_t       rc = llama_model_has_encoder(llama_get_model(lane->context)) ? llama_encode(lane->context, whole)
                                                                                   : llama_decode(lane->context, whole);
    if (rc != 0) {
        return rc == 2 || lane->abort ? SAUR_ABORTED : rc == -2 ? SAUR_OUT_OF_MEMORY : SAUR_DECODE_FAILED;
    }
    static std::once_flag once;  // ggml has built the statics of its first pass by now
    std::call_once(once, arm_exit_guard);
    return SAUR_OK;
}

// The input embeddings of all tokens if a sequence has a segment B, else nothing: token ids do then.
std::vector<float> segment_rows(saur_lane * lane) {
    if (lane->segment_b == lane->lengths) {
        return {};
    }
    const TokenRows &  table = lane->model->token_rows();
    std::vector<float> rows(lane->tokens.size() * (size_t) table.n_embd);
    size_t             k = 0;
    for (size_t s = 0; s < lane->lengths.size(); s++) {
        for (int32_t i = 0; i < lane->lengths[s]; i++, k++) {
            table.row(lane->tokens[k], i >= lane->segment_b[s], rows.data() + k * (size_t) table.n_embd);
        }
    }
    return rows;
}

// Some sequences of the pass, which begin with the same tokens.
struct Group {
    const llama_token *  prefix;
    int32_t              n_prefix;
    std::vector<int32_t> members;
};

// Whether the memory still holds what a group begins with, from a pass before.
bool holds(const saur_lane * lane, const Group & group) {
    return std::equal(lane->prefix.begin(), lane->prefix.end(), group.prefix, group.prefix + group.n_prefix);
}

// The sequences by what they share; those first whose beginning the memory still holds.
std::vector<Group> groups_of(const saur_lane * lane, const std::vector<const llama_token *> & sequences) {
    std::vector<Group> groups;
    for (int32_t s = 0; s < (int32_t) sequences.size(); s++) {
        const llama_token * tokens = sequences[s];
        const int32_t       n      = usable_prefix(lane, lane->lengths[s], lane->prefix_lengths[s]);
        const auto          found  = std::find_if(groups.begin(), groups.end(), [&](const Group & group) {
            return group.n_prefix == n && std::equal(tokens, tokens + n, group.prefix);
        });
        if (found == groups.end()) {
            groups.push_back({ tokens, n, { s } });
        } else {
            found->members.push_back(s);
        }
    }
    std::stable_partition(groups.begin(), groups.end(), [&](const Group & group) { return holds(lane, group); });
    return groups;
}

// Leaves in the memory the tokens that a group begins with, and nothing else. They are in its first cells whether they
// are computed now or were before, so the sums that follow have the same order.
int32_t hold_prefix(saur_lane * lane, const Group & group) {
    llama_memory_t memory = llama_get_memory(lane->context);
    if (!memory) {
        return SAUR_OK;
    }
    if (group.n_prefix > 0 && holds(lane, group)) {
        llama_memory_seq_keep(memory, prefix_sequence());
        return SAUR_OK;
    }
    lane->prefix.clear();
    llama_memory_clear(memory, false);
    if (group.n_prefix == 0) {
        return SAUR_OK;
    }
    Batch batch;
    for (int32_t i = 0; i < group.n_prefix; i++) {
        batch.add(group.prefix[i], i, prefix_sequence(), false);
    }
    const int32_t rc = decode(lane, batch);
    if (rc == SAUR_OK) {
        lane->prefix.assign(group.prefix, group.prefix + group.n_prefix);
    }
    return rc;
}

// What llama.cpp's graph makes of the last token's state with pooling rank: the head's outputs through a softmax.
void score(const std::vector<float> & head, const float * state, size_t width, float * out) {
    const size_t        n = head.size() / width;
    std::vector<double> logits(n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < width; j++) {
            logits[i] += (double) state[j] * head[i * width + j];
        }
    }
    const double most = *std::max_element(logits.begin(), logits.end());
    double       sum  = 0;
    for (double & logit : logits) {
        sum += logit = std::exp(logit - most);
    }
    std::transform(logits.begin(), logits.end(), out, [&](double one) { return (float) (one / sum); });
}

// One vector of several, or as many.
void pool(const saur_lane * lane, const float * states, int32_t n, size_t width, float * out) {
    if (lane->pooling == POOLING_RANK) {
        score(lane->model->head, states, width, out);
        return;
    }
    if (lane->pooling != POOLING_MEAN) {
        std::copy(states, states + n * width, out);
        return;
    }
    for (size_t i = 0; i < width; i++) {
        double sum = 0;
        for (int32_t row = 0; row < n; row++) {
            sum += states[row * width + i];
        }
        out[i] = (float) (sum / n);
    }
}

// The logits of the wanted tokens after one of the batch.
int32_t read_answers(const saur_lane * lane, int32_t token, float * out) {
    const float * logits = llama_get_logits_ith(lane->context, token);
    if (!logits) {
        return SAUR_NO_OUTPUT;
    }
    std::transform(lane->answers.begin(), lane->answers.end(), out, [&](int32_t answer) { return logits[answer]; });
    return SAUR_OK;
}

// Whether there is a row a token; then nothing is shared, and all sequences are one group.
bool row_a_token(const saur_lane * lane) { return lane->answers.empty() && lane->pooling == POOLING_NONE; }

size_t row_width(const saur_lane * lane) {
    const llama_model * model = llama_get_model(lane->context);
    return !lane->answers.empty()          ? lane->answers.size()
           : lane->pooling == POOLING_RANK ? (size_t) llama_model_n_cls_out(model)
                                           : (size_t) llama_model_n_embd_out(model);
}

// The rows of a group after its batch was computed, each to its sequence's place.
int32_t read_rows(saur_lane * lane, const Group & group) {
    const size_t width = row_width(lane);
    const bool   each  = row_a_token(lane);
    int32_t      token = 0;  // of the batch
    size_t       state = 0;
    for (const int32_t s : group.members) {
        const int32_t length = lane->lengths[s] - group.n_prefix;
        float *       out    = lane->embeddings.data() + (size_t) (each ? token : s) * width;
        if (!lane->answers.empty()) {
            const int32_t rc = read_answers(lane, token + length - 1, out);
            if (rc != SAUR_OK) {
                return rc;
            }
        } else if (lane->hidden_states) {
            const int32_t n       = one_output(lane) ? 1 : length;
            const size_t  numbers = (size_t) lane->hidden_states->width;
            if (lane->hidden_states->rows.size() < (state + n) * numbers) {
                return SAUR_NO_OUTPUT;
            }
            pool(lane, lane->hidden_states->rows.data() + state * numbers, n, numbers, out);
            state += n;
        } else {
            for (int32_t r = 0; r < (each ? length : 1); r++) {
                const float * row = each ? llama_get_embeddings_ith(lane->context, token + r)
                                         : llama_get_embeddings_seq(lane->context, s);
                if (!row) {
                    return SAUR_NO_OUTPUT;
                }
                std::copy(row, row + width, out + r * width);
            }
        }
        token += length;
    }
    return SAUR_OK;
}

int32_t compute_group(saur_lane * lane, const Group & group, const std::vector<const llama_token *> & sequences) {
    const int32_t held = hold_prefix(lane, group);
    if (held != SAUR_OK) {
        return held;
    }
    Batch batch;
    for (const int32_t s : group.members) {
        if (group.n_prefix > 0) {
            llama_memory_seq_cp(llama_get_memory(lane->context), prefix_sequence(), s, -1, -1);
        }
        for (int32_t i = group.n_prefix; i < lane->lengths[s]; i++) {
            batch.add(sequences[s][i], i, s, !one_output(lane) || i == lane->lengths[s] - 1);
        }
    }
    batch.rows       = segment_rows(lane);
    const int32_t rc = decode(lane, batch);
    return rc == SAUR_OK ? read_rows(lane, group) : rc;
}

}  // namespace

int32_t compute_pass(saur_lane * lane) {
    std::vector<const llama_token *> sequences;
    const llama_token *              next = lane->tokens.data();
    for (const int32_t length : lane->lengths) {
        sequences.push_back(next);
        next += length;
    }
    const size_t n_rows = row_a_token(lane) ? lane->tokens.size() : sequences.size();
    lane->embeddings.assign(n_rows * row_width(lane), 0.0f);
    for (const Group & group : groups_of(lane, sequences)) {
        const int32_t rc = compute_group(lane, group, sequences);
        if (rc != SAUR_OK) {
            lane->prefix.clear();  // what the memory holds now is not known
            return rc;
        }
    }
    return SAUR_OK;
}

}  // namespace saur
