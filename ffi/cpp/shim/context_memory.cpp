// What a lane's context takes, told by llama.cpp itself, and giving it back before the lane goes.
#include "llama-ext.h"
#include "shim/pass.h"
#include "shim/shim.h"

using namespace saur;

namespace {

// Whether what nobody writes to takes no memory; see wraps/linux.cpp.
#if defined(__linux__) && defined(SAUR_OWN_GGML)
constexpr bool CLEARED_BY_THE_SYSTEM = true;
#else
constexpr bool CLEARED_BY_THE_SYSTEM = false;
#endif

}  // namespace

// In bytes, on all devices: the model's buffers, the KV cache, the compute buffers, one row of the output buffer, whether a full
// pass has such a row for every token (1) or for every sequence (0), and in the latter case what each sequence more adds to the
// compute buffers. What is never written to is not counted.
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
        const llama_model *         model = llama_get_model(lane->context);
        llama_memory_breakdown_data sum;
        for (const auto & one : llama_get_memory_breakdown(lane->context)) {
            sum.model += one.second.model;
            sum.context += one.second.context;
            sum.compute += one.second.compute;
        }
        // llama.cpp has room for the logits of every output, wanted or not (llama_context::output_reserve).
        const bool   embeds  = lane->answers.empty() && !lane->hidden_states, last = one_output(lane);
        const bool   logits  = !lane->answers.empty() || !CLEARED_BY_THE_SYSTEM;
        const size_t numbers = (logits ? (size_t) llama_vocab_n_tokens(llama_model_get_vocab(model)) : 0) +
                               (embeds ? (size_t) llama_model_n_embd_out(model) : 0);
        out[MEMORY_WEIGHTS]   = (double) sum.model;
        out[MEMORY_CACHE]     = (double) sum.context;
        out[MEMORY_COMPUTE]   = (double) sum.compute;
        out[MEMORY_ROW]       = (double) (numbers * sizeof(float));
        out[MEMORY_PER_TOKEN] = last ? 0 : 1;
        out[MEMORY_HEAD]      = last && !lane->hidden_states ? out[MEMORY_ROW] : 0;
        return SAUR_OK;
    });
}

int32_t saur_context_free(saur_lane * lane) {
    return lane->start([lane] {
        lane->drop_context();
        return SAUR_OK;
    });
}
