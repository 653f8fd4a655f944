// What a lane's context takes, told by llama.cpp itself, and giving it back before the lane goes.
#include "llama-ext.h"
#include "pass.h"

#include <algorithm>

using saur::answer;

// In bytes, on all devices: the model's buffers, the context's memory (keys and values), its compute buffers, one row of its
// output buffer, whether a full pass has such a row for every token (1) or for every sequence (0), and, in the latter case,
// what each sequence more adds to the compute buffers.
int32_t saur_context_memory(saur_lane * lane, double * out, int32_t size) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    if (!lane->context) {
        return SAUR_NO_CONTEXT;
    }
    if (size < 6) {
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
        // llama.cpp keeps logits for every output, wanted or not (llama_context::output_reserve).
        const bool   embeds  = lane->answers.empty() && !lane->states, last = saur::one_output(lane);
        const size_t numbers = (size_t) llama_vocab_n_tokens(llama_model_get_vocab(model)) +
                               (embeds ? (size_t) llama_model_n_embd_out(model) : 0);
        const double values[] = { (double) sum.model, (double) sum.context, (double) sum.compute,
                                  (double) (numbers * sizeof(float)), (double) !last,
                                  last ? (double) (numbers * sizeof(float)) : 0.0 };
        std::copy(std::begin(values), std::end(values), out);
        return SAUR_OK;
    });
}

int32_t saur_context_free(saur_lane * lane) {
    return lane->start([lane] {
        lane->drop_context();
        return SAUR_OK;
    });
}
