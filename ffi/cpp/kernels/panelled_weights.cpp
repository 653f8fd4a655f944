#include "kernels/panelled_weights.h"

#include "ggml-backend.h"
#include "kernels/kernels.h"

#include <algorithm>

namespace saur {
namespace {

size_t scales_of(const Kernels & kernels, const ggml_tensor * weights) {
    const int numbers = kernels.product_of(weights->type)->numbers_a_scale;
    return numbers == ProductOf::A_ROW ? (size_t) ggml_nrows(weights) : numbers ? (size_t) (ggml_nelements(weights) / numbers) : 0;
}

}  // namespace

bool PanelledWeights::wants(const Kernels & kernels, const ggml_tensor * weights) {
    const ProductOf * of = kernels.product_of(weights->type);
    return of && of->put_in_panels && !weights->view_src && weights->op == GGML_OP_NONE && ggml_n_dims(weights) == 2 &&
           ggml_is_contiguous(weights) && weights->buffer && ggml_backend_buffer_is_host(weights->buffer) &&
           ggml_backend_buffer_get_usage(weights->buffer) == GGML_BACKEND_BUFFER_USAGE_WEIGHTS;
}

bool PanelledWeights::leave_all() {
    const std::lock_guard<std::mutex> lock(mutex);
    none = std::none_of(all.begin(), all.end(), [](const auto & one) { return one.second.state == Panels::IN_PANELS; });
    return none;
}

void PanelledWeights::leave(const ggml_tensor * weights) {
    const auto stays = [&] {
        const std::lock_guard<std::mutex> lock(mutex);
        Panels & one = all.emplace(weights->data, Panels{ Panels::AS_LOADED, 0, nullptr }).first->second;
        if (one.state == Panels::EXPECTED) {
            one.state = Panels::AS_LOADED;
        }
        return one.state == Panels::AS_LOADED;
    };
    GGML_ASSERT(stays() && "weights are in panels already");  // without the lock: the lane goes on
}

void PanelledWeights::expect(const Kernels & kernels, const ggml_tensor * weights) {
    const std::lock_guard<std::mutex> lock(mutex);
    all.emplace(weights->data, Panels{ Panels::EXPECTED, scales_of(kernels, weights), nullptr });
}

bool PanelledWeights::prepare(const Kernels & kernels, const ggml_tensor * weights, Scratch & scratch, const float *& scales) {
    if (!wants(kernels, weights)) {
        return false;
    }
    const std::lock_guard<std::mutex> lock(mutex);
    Panels & one = all.emplace(weights->data, Panels{ Panels::EXPECTED, scales_of(kernels, weights), nullptr }).first->second;
    if (one.state == Panels::EXPECTED && !none) {
        one.state = Panels::AS_LOADED;  // first, as there may be no memory for it
        if (one.scales > 0) {
            one.numbers.reset(new float[one.scales]);
        }
        if (kernels.product_of(weights->type)->put_in_panels(weights, one.numbers.get(), scratch)) {
            one.state = Panels::IN_PANELS;
        } else {
            one.numbers.reset();
        }
    }
    scales = one.numbers.get();
    return one.state == Panels::IN_PANELS;
}

size_t PanelledWeights::bytes() {
    const std::lock_guard<std::mutex> lock(mutex);
    size_t                            scales = 0;
    for (const auto & one : all) {
        const bool made = one.second.state == Panels::IN_PANELS, will_be = one.second.state == Panels::EXPECTED && !none;
        scales += made || will_be ? one.second.scales : 0;
    }
    return scales * sizeof(float);
}

}  // namespace saur
