// Contexts: a lane has one, made and freed on the lane's own thread.
#include "shim/decoder.h"
#include "shim/device.h"
#include "shim/lane.h"
#include "shim/pooling.h"
#include "shim/shim.h"

#include <algorithm>
#include <array>

using namespace saur;

namespace {

bool on_abort_poll(void * user) { return ((saur_lane *) user)->abort != 0 || exiting(); }

// A causal pass of more tokens is computed in several steps, with the same result.
constexpr int32_t CAUSAL_STEP = 512;

using Options = std::array<int32_t, CONTEXT_OPTIONS>;

// answers: the tokens whose logits are wanted, if it is they and not embeddings
int32_t init_context(saur_lane * lane, std::shared_ptr<LoadedModel> model, const Options & options,
                     std::vector<int32_t> answers) {
    lane->drop_context();
    // The kernels are for contexts that compute on the lane's own thread.
    if (options[CONTEXT_KERNELS] && options[CONTEXT_THREADS] == 1 && model->device < 0 && kernels_of_cpu()) {
        char architecture[128] = "";
        llama_model_meta_val_str(model->model, "general.architecture", architecture, sizeof(architecture));
        lane->kernels = KernelOptions{ gelu_of(architecture), llama_model_ftype(model->model) == LLAMA_FTYPE_MOSTLY_BF16,
                                         model->reordered.get(),
                                         has_onednn() ? nullptr : &model->panelled };
    } else if (!model->panelled.leave_all()) {
        return SAUR_BAD_ARGUMENT;  // it would read weights that are in panels for other contexts' kernels
    }
    const KernelScope kernels(lane->kernels);
    // llama.cpp reserves its graph for a multiple of the sequences; with pooling mean it asserts where a pass is none.
    const int64_t        sequences = options[CONTEXT_SEQUENCES],
                         tokens    = (options[CONTEXT_TOKENS] + sequences - 1) / sequences * sequences;
    llama_context_params p         = llama_context_default_params();
    p.n_ctx = p.n_batch = p.n_ubatch = (uint32_t) tokens;
    p.n_seq_max                      = (uint32_t) sequences;
    p.n_threads = p.n_threads_batch  = options[CONTEXT_THREADS];
    p.pooling_type                   = to_llama(options[CONTEXT_POOLING]);
    // llama.cpp gives flash attention keys and values rounded to half precision, and ggml's sums in it, too, in passes of
    // less than 64 tokens: a text alone gets another vector than in company. Our kernel sums in f32; weights in f32 are
    // asked for by those who want the original's. "Auto" is for GPUs: it turns flash attention off where another backend
    // than the layer's would compute it.
    const bool exact                 = llama_model_ftype(model->model) == LLAMA_FTYPE_ALL_F32;
    p.flash_attn_type                = exact           ? LLAMA_FLASH_ATTN_TYPE_DISABLED
                                       : lane->kernels ? LLAMA_FLASH_ATTN_TYPE_ENABLED
                                                       : LLAMA_FLASH_ATTN_TYPE_AUTO;
    p.type_k = p.type_v              = exact ? GGML_TYPE_F32 : GGML_TYPE_F16;
    if (is_bidirectional(model->model)) {
        p.attention_type = LLAMA_ATTENTION_TYPE_NON_CAUSAL;
    }
    const bool causal  = is_causal_decoder(model->model);
    const auto pooling = (Pooling) options[CONTEXT_POOLING];
    const bool scores  = pooling == POOLING_RANK && model->has_head();
    const bool one_row = !answers.empty() || pooling == POOLING_LAST || scores;  // of each sequence its last token's
    if (answers.empty() && exposes_hidden_states(model->model) &&
        (one_row || pooling == POOLING_MEAN || pooling == POOLING_NONE)) {
        lane->hidden_states          = std::make_unique<HiddenStates>();
        lane->hidden_states->width   = llama_model_n_embd_out(model->model);
        p.cb_eval             = HiddenStates::on_tensor;
        p.cb_eval_user_data   = lane->hidden_states.get();
    }
    p.embeddings = answers.empty() && !lane->hidden_states;
    if (!p.embeddings) {
        p.pooling_type  = LLAMA_POOLING_TYPE_NONE;
        p.n_ubatch      = causal ? (uint32_t) std::min(options[CONTEXT_TOKENS], CAUSAL_STEP) : p.n_ubatch;
        p.n_outputs_max = one_row ? p.n_seq_max : 0;
    }
    p.kv_unified                     = true;  // otherwise every sequence gets n_ctx / n_seq_max cells only
    p.no_perf                        = true;
    p.abort_callback                 = on_abort_poll;
    p.abort_callback_data            = lane;
    lane->context                    = llama_init_from_model(model->model, p);
    if (!lane->context) {
        return lane->abort ? SAUR_ABORTED : SAUR_NULL;
    }
    lane->splits_batch   = causal && !p.embeddings && llama_get_memory(lane->context);
    lane->shares_prefix    = lane->splits_batch && one_row;
    lane->pooling   = p.embeddings ? (Pooling) from_llama(llama_pooling_type(lane->context)) : pooling;
    lane->model     = std::move(model);
    lane->answers   = std::move(answers);
    lane->n_threads = options[CONTEXT_THREADS];
    // Without one, ggml makes one for every graph: it starts and joins threads, and an assertion in a kernel leaks it.
    lane->threadpool = new_threadpool(options[CONTEXT_THREADS]);
    if (!lane->threadpool) {
        return SAUR_OUT_OF_MEMORY;
    }
    llama_attach_threadpool(lane->context, lane->threadpool, lane->threadpool);
    return SAUR_OK;
}

bool are_valid(const int32_t * options) {
    const int32_t threads = options[CONTEXT_THREADS], sequences = options[CONTEXT_SEQUENCES];
    return options[CONTEXT_TOKENS] >= 1 && sequences >= 1 && sequences <= (int32_t) llama_max_parallel_sequences() &&
           threads >= 1 && threads <= GGML_MAX_N_THREADS && is_pooling(options[CONTEXT_POOLING]) &&
           options[CONTEXT_KERNELS] >= 0 && options[CONTEXT_KERNELS] <= 1;
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
        lane->abort = 0;
        return lane->start([lane, held = model->model, copy, wanted] { return init_context(lane, held, copy, wanted); });
    });
}
