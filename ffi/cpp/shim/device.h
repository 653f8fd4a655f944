// The devices that ggml's registered backends offer.
#pragma once
#include "ggml-backend.h"
#include "ggml-cpu.h"

#include <cstdint>

namespace saur {

// Registers the backends that are files of their own: of `directory`, else, in a library that was linked with somebody
// else's ggml, of the directory that holds it. Returns whether there is anything to compute on.
bool load_backends(const char * directory);

// ggml's thread pools, asked of the CPU's backend: it may be a file of its own. NULL: there is none.
ggml_threadpool_t  new_threadpool(int32_t threads);
void               free_threadpool(ggml_threadpool_t threadpool);

// The GPU to put a model on: the wanted one if it is a GPU, the first if `index` is -1; NULL means the CPU.
ggml_backend_dev_t choose_device(int32_t index);
// Its index, or -1 for NULL.
int32_t            device_index(ggml_backend_dev_t device);

}  // namespace saur
