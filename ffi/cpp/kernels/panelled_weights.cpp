#include "kernels/panelled_weights.h"

#include "ggml-backend.h"
#include "kernels/kernels.h"

#include <algorithm>

namespace saur {

bool PanelledWeights::wants(const Kernels & kernels, const ggml_tensor * weights) {
    return ((weights->type == GGML_TYPE_F32 && kernels.f32.put_in_panels) ||
            (weights->type == GGML_TYPE_BF16 && kernels.bf16.put_in_panels)) &&
           !weights->view_src && weights->op == GGML_OP_NONE && ggml_n_dims(weights) == 2 && ggml_is_contiguous(weights) &&
           weights->buffer && ggml_backend_buffer_is_host(weights->buffer) &&
           ggml_backend_buffer_get_usage(weights->buffer) == GGML_BACKEND_BUFFER_USAGE_WEIGHTS;
}

bool PanelledWeights::leave_all() {
    const std::lock_guard<std::mutex> lock(mutex);
    none = std::none_of(states.begin(), states.end(), [](const auto & one) { return one.second == IN_PANELS; });
    return none;
}

void PanelledWeights::leave(const ggml_tensor * weights) {
    const auto stays = [&] {
        const std::lock_guard<std::mutex> lock(mutex);
        return states.emplace(weights->data, AS_LOADED).first->second == AS_LOADED;
    };
    GGML_ASSERT(stays() && "weights are in panels already");  // without the lock: the lane goes on
}

bool PanelledWeights::prepare(const Kernels & kernels, const ggml_tensor * weights, Scratch & scratch) {
    if (!wants(kernels, weights)) {
        return false;
    }
    const std::lock_guard<std::mutex> lock(mutex);
    const auto found = states.find(weights->data);
    if (found != states.end()) {
        return found->second == IN_PANELS;
    }
    if (none) {
        return false;
    }
    const auto & of   = weights->type == GGML_TYPE_BF16 ? kernels.bf16 : kernels.f32;
    auto &       made = states[weights->data];  // first, as there may be no memory for it
    made              = AS_LOADED;
    made              = of.put_in_panels(weights, scratch) ? IN_PANELS : AS_LOADED;
    return made == IN_PANELS;
}

}  // namespace saur
