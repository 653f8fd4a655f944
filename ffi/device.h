// The devices that ggml's registered backends offer.
#pragma once
#include "ggml-backend.h"

#include <cstdint>

namespace saur {

// The GPU to put a model on: the wanted one if it is a GPU, the first if `index` is -1; NULL means the CPU.
ggml_backend_dev_t choose_device(int32_t index);
// Its index, or -1 for NULL.
int32_t            device_index(ggml_backend_dev_t device);

}  // namespace saur
