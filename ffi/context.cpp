// Contexts: a lane has one, made and freed on the lane's own thread.
#include "device.h"
#include "lane.h"
#include "pooling.h"

using saur::answer;

namespace {

bool on_abort_poll(void * user) { return ((saur_lane *) user)->abort != 0 || saur::exiting(); }

// options: tokens of one pass, sequences of one pass, threads, pooling (ours), whether to use the kernels
int32_t init_context(saur_lane * lane, std::shared_ptr<saur::LoadedModel> model, const int32_t * options) {
    lane->drop_context();
    // The kernels are for contexts that compute on the lane's own thread.
    if (options[4] && options[2] == 1 && model->device < 0 && saur::kernels_of_cpu()) {
        char architecture[128] = "";
        llama_model_meta_val_str(model->model, "general.architecture", architecture, sizeof(architecture));
        lane->kernels = saur::gelu_of(architecture);
    }
    const saur::KernelScope kernels(lane->kernels);
    llama_context_params p = llama_context_default_params();
    p.n_ctx = p.n_batch = p.n_ubatch = (uint32_t) options[0];
    p.n_seq_max                      = (uint32_t) options[1];
    p.n_threads = p.n_threads_batch  = options[2];
    p.pooling_type                   = saur::to_llama(options[3]);
    // "Auto" is for GPUs: it turns flash attention off where another backend than the layer's would compute it.
    p.flash_attn_type                = lane->kernels ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_AUTO;
    p.embeddings                     = true;
    p.kv_unified                     = true;  // otherwise every sequence gets n_ctx / n_seq_max cells only
    p.no_perf                        = true;
    p.abort_callback                 = on_abort_poll;
    p.abort_callback_data            = lane;
    lane->context                    = llama_init_from_model(model->model, p);
    if (!lane->context) {
        return lane->abort ? SAUR_ABORTED : SAUR_NULL;
    }
    lane->model     = std::move(model);
    lane->n_threads = options[2];
    if (options[2] > 1) {
        // Without one, ggml starts and joins threads for every graph when OpenMP is off.
        lane->threadpool = saur::new_threadpool(options[2]);
        if (!lane->threadpool) {
            return SAUR_OUT_OF_MEMORY;
        }
        llama_attach_threadpool(lane->context, lane->threadpool, lane->threadpool);
    }
    return SAUR_OK;
}

}  // namespace

int32_t saur_context_init(saur_lane * lane, saur_model * model, const int32_t * options, int32_t n) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    if (n != 5 || options[0] < 1 || options[1] < 1 || options[1] > (int32_t) llama_max_parallel_sequences() ||
        options[2] < 1 || options[2] > GGML_MAX_N_THREADS || !saur::is_pooling(options[3])) {
        return SAUR_BAD_ARGUMENT;
    }
    return answer<int32_t>(SAUR_OUT_OF_MEMORY, [&] {
        std::vector<int32_t> copy(options, options + n);
        lane->abort = 0;
        return lane->start([lane, held = model->model, copy] { return init_context(lane, held, copy.data()); });
    });
}
