// Contexts: a lane has one, made, measured and freed on the lane's own thread.
#include "llama-ext.h"  // not public API ("try not to include"): of it only llama_get_memory_breakdown, and only here
#include "shim/answer.h"
#include "shim/device.h"
#include "shim/lane.h"
#include "shim/pass.h"
#include "shim/pooling.h"
#include "shim/shim.h"
#include "wraps/wraps.h"

#include <algorithm>
#include <array>

using namespace saur;

namespace {

using Options = std::array<int32_t, CONTEXT_OPTIONS>;

// A causal pass of more tokens is computed in several ubatches, with the same result.
constexpr int32_t CAUSAL_UBATCH = 512;

bool on_abort_poll(void * user) { return ((saur_lane *) user)->abort || exiting(); }

bool are_valid(const int32_t * options) {
    const int32_t threads = options[CONTEXT_THREADS], sequences = options[CONTEXT_SEQUENCES];
    return options[CONTEXT_TOKENS] >= 1 && sequences >= 1 && sequences <= (int32_t) llama_max_parallel_sequences() &&
           threads >= 1 && threads <= GGML_MAX_N_THREADS && is_pooling(options[CONTEXT_POOLING]) &&
           options[CONTEXT_KERNELS] >= 0 && options[CONTEXT_KERNELS] <= 1;
}

// What the context computes with besides stock ggml. Our kernels are for contexts that compute on the lane's own thread.
std::optional<KernelOptions> kernels_for(LoadedModel & model, const Options & options) {
    if (!options[CONTEXT_KERNELS] || options[CONTEXT_THREADS] != 1 || model.device >= 0 || !kernels_of_cpu()) {
        return {};
    }
    const std::string architecture = metadata(model.model, "general.architecture");
    return KernelOptions{ gelu_of(architecture, metadata(model.model, architecture + ".hidden_activation")),
                          llama_model_ftype(model.model) == LLAMA_FTYPE_MOSTLY_BF16, &model.panelled };
}

// Sets what llama.cpp pools by, and whether its rows go through a head of ours. With a pooling that is not named a classifier's
// head is llama.cpp's.
void choose_pooling(LaneContext & context, Pooling asked) {
    const Head * head = context.model->own_head.get();
    context.pooling   = asked;
    if (head && head->ranks() == (asked == POOLING_RANK)) {
        context.head    = head;
        context.pooling = head->pooling_of_rows(asked);
        context.reduces = head->reduces() && asked != POOLING_NONE;
        if (context.kernels) {
            context.head_scratch.emplace();
        }
    }
}

llama_context_params params_of(const Options & options, Pooling pooling) {
    // llama.cpp reserves its graph for a multiple of the sequences; with pooling mean it asserts where a pass is none.
    const int64_t        sequences = options[CONTEXT_SEQUENCES];
    const int64_t        tokens    = (options[CONTEXT_TOKENS] + sequences - 1) / sequences * sequences;
    llama_context_params p         = llama_context_default_params();
    p.n_ctx = p.n_batch = p.n_ubatch = (uint32_t) tokens;
    p.n_seq_max                      = (uint32_t) sequences;
    p.n_threads = p.n_threads_batch  = options[CONTEXT_THREADS];
    p.pooling_type                   = to_llama(pooling);
    p.kv_unified                     = true;  // otherwise every sequence gets n_ctx / n_seq_max cells only
    p.no_perf                        = true;
    return p;
}

void choose_attention(llama_context_params & p, const llama_model * model, bool kernels) {
    // llama.cpp gives flash attention keys and values rounded to half precision, and ggml's sums in it, too, in passes of
    // less than 64 tokens: a text alone gets another vector than in company. Our kernel sums in f32; weights in f32 are
    // asked for by those who want the original's. "Auto" is for GPUs: it turns flash attention off where another backend
    // than the layer's would compute it.
    const bool exact    = (llama_model_ftype(model) & ~LLAMA_FTYPE_GUESSED) == LLAMA_FTYPE_ALL_F32;
    p.flash_attn_type   = exact     ? LLAMA_FLASH_ATTN_TYPE_DISABLED
                          : kernels ? LLAMA_FLASH_ATTN_TYPE_ENABLED
                                    : LLAMA_FLASH_ATTN_TYPE_AUTO;
    p.type_k = p.type_v = exact ? GGML_TYPE_F32 : GGML_TYPE_F16;
}

// Sets whether llama.cpp is asked for embeddings, or for logits, or is stopped at the hidden states. In the latter cases
// we do the pooling, and a causal decoder may take a pass in several ubatches.
void choose_outputs(llama_context_params & p, LaneContext & context, const Options & options) {
    const llama_model * model   = context.model->model;
    const Pooling       pooling = context.pooling;
    const bool classifies       = pooling == POOLING_RANK && context.model->has_head();
    const bool last_only        = !context.answers.empty() || pooling == POOLING_LAST || classifies;
    if (context.answers.empty() && exposes_hidden_states(model) &&
        (last_only || pooling == POOLING_MEAN || pooling == POOLING_NONE)) {
        context.hidden_states        = std::make_unique<HiddenStates>();
        context.hidden_states->width = llama_model_n_embd_out(model);
        p.cb_eval                    = HiddenStates::on_tensor;
        p.cb_eval_user_data          = context.hidden_states.get();
    }
    p.embeddings = context.answers.empty() && !context.hidden_states;
    if (!p.embeddings) {
        context.splits_batch  = is_causal_decoder(*context.model);
        context.shares_prefix = context.splits_batch && last_only;
        p.pooling_type        = LLAMA_POOLING_TYPE_NONE;
        p.n_ubatch            = context.splits_batch ? (uint32_t) std::min(options[CONTEXT_TOKENS], CAUSAL_UBATCH) : p.n_ubatch;
        p.n_outputs_max       = last_only ? p.n_seq_max : 0;
    }
}

int32_t init_context(saur_lane * lane, std::shared_ptr<LoadedModel> model, const Options & options,
                     const std::vector<int32_t> & answers) {
    lane->context.reset();
    auto context     = std::make_unique<LaneContext>();
    context->model   = model;
    context->answers = answers;
    context->kernels = kernels_for(*model, options);
    choose_pooling(*context, (Pooling) options[CONTEXT_POOLING]);
    if (!context->kernels && !model->panelled.leave_all()) {
        return SAUR_BAD_ARGUMENT;  // it would read weights that are in panels for other contexts' kernels
    }
    llama_context_params p = params_of(options, context->pooling);
    choose_attention(p, model->model, context->kernels.has_value());
    choose_outputs(p, *context, options);
    p.abort_callback      = on_abort_poll;
    p.abort_callback_data = lane;
    const KernelScope kernels(context->kernels);
    context->llama = llama_init_from_model(model->model, p);
    if (!context->llama) {
        return lane->abort ? SAUR_ABORTED : SAUR_NULL;
    }
    if (!llama_get_memory(context->llama)) {
        context->splits_batch = context->shares_prefix = false;
    }
    if (p.embeddings) {
        context->pooling = (Pooling) from_llama(llama_pooling_type(context->llama));
    }
    // Without one, ggml makes one for every graph: it starts and joins threads, and an assertion in a kernel leaks it.
    context->threadpool = new_threadpool(options[CONTEXT_THREADS]);
    if (!context->threadpool) {
        return SAUR_OUT_OF_MEMORY;
    }
    llama_attach_threadpool(context->llama, context->threadpool, context->threadpool);
    lane->context = std::move(context);
    return SAUR_OK;
}

// A full pass has a row of outputs for every token, or for every sequence; what is never written to is not counted.
void measure(const LaneContext & context, double * out) {
    const llama_model *         model = llama_get_model(context.llama);
    llama_memory_breakdown_data sum;
    for (const auto & one : llama_get_memory_breakdown(context.llama)) {
        sum.model += one.second.model;
        sum.context += one.second.context;
        sum.compute += one.second.compute;
    }
    // llama.cpp has room for the logits of every output, wanted or not (llama_context::output_reserve).
    const bool   embeds  = context.answers.empty() && !context.hidden_states, last = last_token_only(context);
    const bool   logits  = !context.answers.empty() || !cleared_pages_are_free();
    const size_t numbers = (logits ? (size_t) llama_vocab_n_tokens(llama_model_get_vocab(model)) : 0) +
                           (embeds ? (size_t) llama_model_n_embd_out(model) : 0);
    const Head * const head = context.model->own_head.get();
    const size_t       scales = context.kernels ? context.model->panelled.bytes() : 0;
    out[MEMORY_WEIGHTS]   = (double) (sum.model + scales + (head ? head->bytes() : 0));
    out[MEMORY_CACHE]     = (double) sum.context;
    out[MEMORY_COMPUTE]   = (double) sum.compute;
    out[MEMORY_ROW]       = (double) (numbers * sizeof(float));
    out[MEMORY_PER_TOKEN] = last ? 0 : 1;
    out[MEMORY_HEAD]      = last && !context.hidden_states ? out[MEMORY_ROW] : 0;
}

}  // namespace

int32_t saur_context_init(saur_lane * lane, saur_model * model, const int32_t * options, int32_t n, const int32_t * answers,
                          int32_t n_answers) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    if (n != CONTEXT_OPTIONS || n_answers < 0 || !are_valid(options)) {
        return SAUR_BAD_ARGUMENT;
    }
    const int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model->model->model));
    if (std::any_of(answers, answers + n_answers, [&](int32_t t) { return t < 0 || t >= n_vocab; })) {
        return SAUR_BAD_TOKEN;
    }
    return answer<int32_t>(SAUR_OUT_OF_MEMORY, [&] {
        Options copy;
        std::copy(options, options + CONTEXT_OPTIONS, copy.begin());
        const std::vector<int32_t> wanted(answers, answers + n_answers);
        return lane->start([lane, held = model->model, copy, wanted] { return init_context(lane, held, copy, wanted); });
    });
}

int32_t saur_context_memory(saur_lane * lane, double * out, int32_t size) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    if (!lane->context) {
        return SAUR_NO_CONTEXT;
    }
    if (size < CONTEXT_MEMORY) {
        return SAUR_BAD_ARGUMENT;
    }
    return answer<int32_t>(SAUR_OUT_OF_MEMORY, [&] {
        measure(*lane->context, out);
        return SAUR_OK;
    });
}

int32_t saur_context_free(saur_lane * lane) {
    return lane->start([lane] {
        lane->context.reset();
        return SAUR_OK;
    });
}
