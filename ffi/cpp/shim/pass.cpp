#include "shim/pass.h"

#include "wraps/wraps.h"

#include <algorithm>
#include <cmath>

namespace saur {
namespace {

// What the functions of a pass work on.
struct Pass {
    LaneContext &                    context;
    Slot &                           slot;
    const AbortFlag &                abort;
    std::vector<const llama_token *> starts;  // the tokens of each sequence
};

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

int32_t decode(const Pass & pass, Batch & batch) {
    LaneContext &               context = pass.context;
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
    if (context.hidden_states) {
        context.hidden_states->rows.clear();
    }
    // An encoder has no memory object, and llama_decode becomes llama_encode for it. Only T5's kind needs the call by name.
    const KernelScope kernels(context.kernels);
    const SkipLogits  logits(context.hidden_states != nullptr);
    const bool        encoder = llama_model_has_encoder(llama_get_model(context.llama));
    const int32_t     rc      = encoder ? llama_encode(context.llama, whole) : llama_decode(context.llama, whole);
    if (rc != 0) {
        return rc == 2 || pass.abort ? SAUR_ABORTED : rc == -2 ? SAUR_OUT_OF_MEMORY : SAUR_DECODE_FAILED;
    }
    static std::once_flag once;  // ggml has built the statics of its first pass by now
    std::call_once(once, arm_exit_guard);
    return SAUR_OK;
}

// The input embeddings of all tokens if a sequence has a segment B, else nothing: token ids do then.
std::vector<float> segment_rows(const Pass & pass) {
    const Slot & slot = pass.slot;
    if (std::all_of(slot.sequences.begin(), slot.sequences.end(), [](const Sequence & s) { return s.segment_b == s.length; })) {
        return {};
    }
    const InputEmbeddings & inputs = pass.context.model->input_embeddings();
    std::vector<float>      rows(slot.tokens.size() * (size_t) inputs.n_embd);
    size_t                  k = 0;
    for (const Sequence & sequence : slot.sequences) {
        for (int32_t i = 0; i < sequence.length; i++, k++) {
            inputs.row(slot.tokens[k], i >= sequence.segment_b, rows.data() + k * (size_t) inputs.n_embd);
        }
    }
    return rows;
}

// Sequences of the pass that begin with the same tokens.
struct Group {
    const llama_token *  prefix;
    int32_t              n_prefix;
    std::vector<int32_t> members;
};

// Whether the memory still holds a group's prefix, from a pass before.
bool is_cached(const LaneContext & context, const Group & group) {
    const std::vector<int32_t> & cached = context.cached_prefix;
    return std::equal(cached.begin(), cached.end(), group.prefix, group.prefix + group.n_prefix);
}

// The sequences by their prefix; those first whose prefix the memory still holds.
std::vector<Group> groups_of(const Pass & pass) {
    std::vector<Group> groups;
    for (int32_t s = 0; s < (int32_t) pass.starts.size(); s++) {
        const llama_token * tokens = pass.starts[s];
        const int32_t       n      = usable_prefix(pass.context, pass.slot.sequences[s]);
        const auto          found  = std::find_if(groups.begin(), groups.end(), [&](const Group & group) {
            return group.n_prefix == n && std::equal(tokens, tokens + n, group.prefix);
        });
        if (found == groups.end()) {
            groups.push_back({ tokens, n, { s } });
        } else {
            found->members.push_back(s);
        }
    }
    std::stable_partition(groups.begin(), groups.end(), [&](const Group & group) { return is_cached(pass.context, group); });
    return groups;
}

// Leaves in the memory a group's prefix and nothing else. It is in the memory's first cells whether it is computed now or
// was before, so the sums that follow have the same order.
int32_t cache_prefix(const Pass & pass, const Group & group) {
    LaneContext &  context = pass.context;
    llama_memory_t memory  = llama_get_memory(context.llama);
    if (!memory) {
        return SAUR_OK;
    }
    if (group.n_prefix > 0 && is_cached(context, group)) {
        llama_memory_seq_keep(memory, prefix_sequence());
        return SAUR_OK;
    }
    context.cached_prefix.clear();
    llama_memory_clear(memory, false);
    if (group.n_prefix == 0) {
        return SAUR_OK;
    }
    Batch batch;
    for (int32_t i = 0; i < group.n_prefix; i++) {
        batch.add(group.prefix[i], i, prefix_sequence(), false);
    }
    const int32_t rc = decode(pass, batch);
    if (rc == SAUR_OK) {
        context.cached_prefix.assign(group.prefix, group.prefix + group.n_prefix);
    }
    return rc;
}

// What llama.cpp's graph makes of the last token's hidden state with pooling rank: the head's outputs through a softmax. Of one
// output that is 1.0 whatever the text, so it stays the logit.
void classify(const std::vector<float> & head, const float * state, size_t width, float * out) {
    const size_t        n = head.size() / width;
    std::vector<double> logits(n);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < width; j++) {
            logits[i] += (double) state[j] * head[i * width + j];
        }
    }
    if (n == 1) {
        out[0] = (float) logits[0];
        return;
    }
    const double most = *std::max_element(logits.begin(), logits.end());
    double       sum  = 0;
    for (double & logit : logits) {
        sum += logit = std::exp(logit - most);
    }
    std::transform(logits.begin(), logits.end(), out, [&](double one) { return (float) (one / sum); });
}

// One row of the hidden states of several tokens, or as many rows.
void pool(const LaneContext & context, const float * states, int32_t n, size_t width, float * out) {
    if (context.pooling == POOLING_RANK) {
        classify(context.model->head, states, width, out);
        return;
    }
    if (context.pooling != POOLING_MEAN) {
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

// The logits of the answers after one token of the batch.
int32_t read_answers(const LaneContext & context, int32_t token, float * out) {
    const float * logits = llama_get_logits_ith(context.llama, token);
    if (!logits) {
        return SAUR_NO_OUTPUT;
    }
    std::transform(context.answers.begin(), context.answers.end(), out, [&](int32_t answer) { return logits[answer]; });
    return SAUR_OK;
}

// Whether there is a row a token; then no prefix is shared, and all sequences are one group.
bool row_per_token(const LaneContext & context) { return context.answers.empty() && context.pooling == POOLING_NONE; }

size_t row_width(const LaneContext & context) {
    const llama_model * model = llama_get_model(context.llama);
    return !context.answers.empty()          ? context.answers.size()
           : context.pooling == POOLING_RANK ? (size_t) llama_model_n_cls_out(model)
                                             : (size_t) llama_model_n_embd_out(model);
}

// The embeddings that llama.cpp has made of a sequence, or of each of its tokens; `token` is its first of the batch.
int32_t read_embeddings(const LaneContext & context, int32_t sequence, int32_t token, int32_t length, size_t width,
                        float * out) {
    const bool each = row_per_token(context);
    for (int32_t r = 0; r < (each ? length : 1); r++) {
        const float * row = each ? llama_get_embeddings_ith(context.llama, token + r)
                                 : llama_get_embeddings_seq(context.llama, sequence);
        if (!row) {
            return SAUR_NO_OUTPUT;
        }
        std::copy(row, row + width, out + r * width);
    }
    return SAUR_OK;
}

// The rows of a group after its batch was computed, each to its sequence's place.
int32_t read_rows(const Pass & pass, const Group & group) {
    const LaneContext & context = pass.context;
    const size_t        width   = row_width(context);
    int32_t             token   = 0;  // of the batch
    size_t              state   = 0;
    for (const int32_t s : group.members) {
        const int32_t length = pass.slot.sequences[s].length - group.n_prefix;
        float *       out    = pass.slot.embeddings.data() + (size_t) (row_per_token(context) ? token : s) * width;
        int32_t       rc     = SAUR_OK;
        if (!context.answers.empty()) {
            rc = read_answers(context, token + length - 1, out);
        } else if (const HiddenStates * states = context.hidden_states.get()) {
            const int32_t n = last_token_only(context) ? 1 : length;
            if (states->rows.size() < (state + n) * (size_t) states->width) {
                return SAUR_NO_OUTPUT;
            }
            pool(context, states->rows.data() + state * (size_t) states->width, n, (size_t) states->width, out);
            state += n;
        } else {
            rc = read_embeddings(context, s, token, length, width, out);
        }
        if (rc != SAUR_OK) {
            return rc;
        }
        token += length;
    }
    return SAUR_OK;
}

int32_t compute_group(const Pass & pass, const Group & group) {
    const int32_t cached = cache_prefix(pass, group);
    if (cached != SAUR_OK) {
        return cached;
    }
    const bool last_only = last_token_only(pass.context);
    Batch      batch;
    for (const int32_t s : group.members) {
        if (group.n_prefix > 0) {
            llama_memory_seq_cp(llama_get_memory(pass.context.llama), prefix_sequence(), s, -1, -1);
        }
        const int32_t length = pass.slot.sequences[s].length;
        for (int32_t i = group.n_prefix; i < length; i++) {
            batch.add(pass.starts[s][i], i, s, !last_only || i == length - 1);
        }
    }
    batch.rows       = segment_rows(pass);
    const int32_t rc = decode(pass, batch);
    return rc == SAUR_OK ? read_rows(pass, group) : rc;
}

// Puts what a head of ours makes of the rows in their place.
void apply_head(LaneContext & context, Slot & slot, size_t n_rows) {
    Rows                 rows{ std::move(slot.embeddings), (int64_t) n_rows, (int64_t) row_width(context) };
    std::vector<int32_t> lengths;
    for (const Sequence & sequence : slot.sequences) {
        if (context.reduces) {
            lengths.push_back(sequence.length);
        }
    }
    Scratch * scratch = context.head_scratch ? &*context.head_scratch : nullptr;
    slot.embeddings   = context.head->compute(std::move(rows), std::move(lengths), scratch).numbers;
}

}  // namespace

int32_t compute_pass(LaneContext & context, Slot & slot, const AbortFlag & abort) {
    Pass                pass{ context, slot, abort, {} };
    const llama_token * next = slot.tokens.data();
    for (const Sequence & sequence : slot.sequences) {
        pass.starts.push_back(next);
        next += sequence.length;
    }
    const size_t n_rows = row_per_token(context) ? slot.tokens.size() : slot.sequences.size();
    slot.embeddings.assign(n_rows * row_width(context), 0.0f);
    for (const Group & group : groups_of(pass)) {
        const int32_t rc = compute_group(pass, group);
        if (rc != SAUR_OK) {
            context.cached_prefix.clear();  // what the memory holds now is not known
            return rc;
        }
    }
    if (context.head) {
        apply_head(context, slot, n_rows);
    }
    return SAUR_OK;
}

}  // namespace saur
