// Contexts: a lane has one, made and freed on the lane's own thread.
#include "shim/decoder.h"
#include "shim/device.h"
#include "shim/lane.h"
#include "shim/pooling.h"

#include <algorithm>

using saur::answer;

namespace {

bool on_abort_poll(void * user) { return ((saur_lane *) user)->abort != 0 || saur::exiting(); }

// A causal pass of more tokens is computed in several steps, with the same result.
constexpr int32_t CAUSAL_STEP = 512;

// options: tokens of one pass, sequences of one pass, threads, pooling (ours), whether to use the kernels, and then the
// tokens whose logits are wanted, if it is they and not embeddings
int32_t init_context(saur_lane * lane, std::shared_ptr<saur::LoadedModel> model, const std::vector<int32_t> & options) {
    lane->drop_context();
    std::vector<int32_t> answers(options.begin() + 5, options.end());
    // The kernels are for contexts that compute on the lane's own thread.
    if (options[4] && options[2] == 1 && model->device < 0 && saur::kernels_of_cpu()) {
        char architecture[128] = "";
        llama_model_meta_val_str(model->model, "general.architecture", architecture, sizeof(architecture));
        lane->kernels = saur::KernelOptions{ saur::gelu_of(architecture), llama_model_ftype(model->model) == LLAMA_FTYPE_MOSTLY_BF16,
                                         model->reordered.get(),
                                         saur::has_onednn() ? nullptr : &model->panelled };
    } else if (!model->panelled.leave_all()) {
        return SAUR_BAD_ARGUMENT;  // it would read weights that are in panels for other contexts' kernels
    }
    const saur::KernelScope kernels(lane->kernels);
    // llama.cpp reserves its graph for a multiple of the sequences; with pooling mean it asserts where a pass is none.
    const int64_t        sequences = options[1], tokens = (options[0] + sequences - 1) / sequences * sequences;
    llama_context_params p         = llama_context_default_params();
    p.n_ctx = p.n_batch = p.n_ubatch = (uint32_t) tokens;
    p.n_seq_max                      = (uint32_t) options[1];
    p.n_threads = p.n_threads_batch  = options[2];
    p.pooling_type                   = saur::to_llama(options[3]);
    // llama.cpp gives flash attention keys and values rounded to half precision, and ggml's sums in it, too, in passes of
    // less than 64 tokens: a text alone gets another vector than in company. Our kernel sums in f32; weights in f32 are
    // asked for by those who want the original's. "Auto" is for GPUs: it turns flash attention off where another backend
    // than the layer's would compute it.
    const bool exact                 = llama_model_ftype(model->model) == LLAMA_FTYPE_ALL_F32;
    p.flash_attn_type                = exact           ? LLAMA_FLASH_ATTN_TYPE_DISABLED
                                       : lane->kernels ? LLAMA_FLASH_ATTN_TYPE_ENABLED
                                                       : LLAMA_FLASH_ATTN_TYPE_AUTO;
    p.type_k = p.type_v              = exact ? GGML_TYPE_F32 : GGML_TYPE_F16;
    if (saur::is_bidirectional(model->model)) {
        p.attention_type = LLAMA_ATTENTION_TYPE_NON_CAUSAL;
    }
    const bool is_causal_decoder = saur::is_causal_decoder(model->model);
    const auto pooling = (saur::Pooling) options[3];
    const bool scores  = pooling == saur::POOLING_RANK && model->has_head();
    const bool one_row = !answers.empty() || pooling == saur::POOLING_LAST || scores;  // of each sequence its last token's
    if (answers.empty() && saur::exposes_hidden_states(model->model) &&
        (one_row || pooling == saur::POOLING_MEAN || pooling == saur::POOLING_NONE)) {
        lane->hidden_states          = std::make_unique<saur::HiddenStates>();
        lane->hidden_states->width   = llama_model_n_embd_out(model->model);
        p.cb_eval             = saur::HiddenStates::on_tensor;
        p.cb_eval_user_data   = lane->hidden_states.get();
    }
    p.embeddings = answers.empty() && !lane->hidden_states;
    if (!p.embeddings) {
        p.pooling_type  = LLAMA_POOLING_TYPE_NONE;
        p.n_ubatch      = is_causal_decoder ? (uint32_t) std::min(options[0], CAUSAL_STEP) : p.n_ubatch;
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
    lane->splits_batch   = is_causal_decoder && !p.embeddings && llama_get_memory(lane->context);
    lane->shares_prefix    = lane->splits_batch && one_row;
    lane->pooling   = p.embeddings ? (saur::Pooling) saur::from_llama(llama_pooling_type(lane->context)) : pooling;
    lane->model     = std::move(model);
    lane->answers   = std::move(answers);
    lane->n_threads = options[2];
    // Without one, ggml makes one for every graph: it starts and joins threads, and an assertion in a kernel leaks it.
    lane->threadpool = saur::new_threadpool(options[2]);
    if (!lane->threadpool) {
        return SAUR_OUT_OF_MEMORY;
    }
    llama_attach_threadpool(lane->context, lane->threadpool, lane->threadpool);
    return SAUR_OK;
}

}  // namespace

int32_t saur_context_init(saur_lane * lane, saur_model * model, const int32_t * options, int32_t n) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    if (n < 5 || options[0] < 1 || options[1] < 1 || options[1] > (int32_t) llama_max_parallel_sequences() ||
        options[2] < 1 || options[2] > GGML_MAX_N_THREADS || !saur::is_pooling(options[3]) || options[4] < 0 ||
        options[4] > 1) {
        return SAUR_BAD_ARGUMENT;
    }
    const int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model->model->model));
    if (std::any_of(options + 5, options + n, [&](int32_t t) { return t < 0 || t >= n_vocab; })) {
        return SAUR_BAD_TOKEN;
    }
    return answer<int32_t>(SAUR_OUT_OF_MEMORY, [&] {
        std::vector<int32_t> copy(options, options + n);
        lane->abort = 0;
        return lane->start([lane, held = model->model, copy] { return init_context(lane, held, copy); });
    });
}
