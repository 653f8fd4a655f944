#include "shim/device.h"

#include "os/os.h"
#include "shim/answer.h"
#include "shim/shim.h"

#include <cstring>
#include <vector>

using namespace saur;

namespace saur {
namespace {

bool is_gpu(ggml_backend_dev_t device) {
    const auto type = ggml_backend_dev_type(device);
    return type == GGML_BACKEND_DEVICE_TYPE_GPU || type == GGML_BACKEND_DEVICE_TYPE_IGPU;
}

template <typename Function> Function cpu_function(const char * name) {
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    return cpu ? (Function) ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu), name) : nullptr;
}

bool has_cpu() { return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) != nullptr; }

// Where the backends of a libggml that is not ours lie: beside it, or as Homebrew has it in libexec beside its lib.
std::vector<std::string> directories_of_ggml() {
    std::vector<std::string> places;
#if defined(SAUR_PREBUILT)
    const std::string path = os::library_of((const void *) &ggml_backend_load_all_from_path), target = os::real_path(path);
    if (!path.empty()) {
        places.push_back(path.substr(0, path.find_last_of('/') + 1));
    }
    if (!target.empty()) {
        places.push_back(target.substr(0, target.find_last_of('/') + 1) + "../libexec");
    }
#endif
    return places;
}

}  // namespace

bool load_backends(const char * directory) {
    const bool named  = directory && *directory;
    const auto places = named ? std::vector<std::string>{ directory } : directories_of_ggml();
    for (size_t i = 0; i < places.size() && (i == 0 || !has_cpu()); i++) {
        // Never ggml_backend_load_all(): it also searches the working directory for libraries to load.
        ggml_backend_load_all_from_path(places[i].c_str());
    }
    return has_cpu();
}

ggml_threadpool_t new_threadpool(int32_t threads) {
    const auto             make   = cpu_function<decltype(&ggml_threadpool_new)>("ggml_threadpool_new");
    ggml_threadpool_params params = ggml_threadpool_params_default(threads);
    return make ? make(&params) : nullptr;
}

void free_threadpool(ggml_threadpool_t threadpool) {
    const auto free = cpu_function<decltype(&ggml_threadpool_free)>("ggml_threadpool_free");
    if (free) {
        free(threadpool);
    }
}

ggml_backend_dev_t choose_device(int32_t index) {
    if (index >= 0) {
        ggml_backend_dev_t device = ggml_backend_dev_get((size_t) index);
        return is_gpu(device) ? device : nullptr;
    }
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        if (is_gpu(ggml_backend_dev_get(i))) {
            return ggml_backend_dev_get(i);
        }
    }
    return nullptr;
}

int32_t device_index(ggml_backend_dev_t device) {
    for (size_t i = 0; device && i < ggml_backend_dev_count(); i++) {
        if (ggml_backend_dev_get(i) == device) {
            return (int32_t) i;
        }
    }
    return -1;
}

}  // namespace saur

int32_t saur_device_count(void) {
    return answer<int32_t>(0, []() -> int32_t {
        // Our own kernels are registered last; they are part of the CPU, and nobody's choice (`kernels` turns them off).
        size_t count = ggml_backend_dev_count();
        while (count > 0 && strcmp(ggml_backend_dev_name(ggml_backend_dev_get(count - 1)), "llamasaur") == 0) {
            count--;
        }
        return (int32_t) count;
    });
}

// "<c|g|i|a>name\0description\0": CPU, GPU, integrated GPU or accelerator. -1: no such device.
int32_t saur_device_text(int32_t index, char * out, int32_t size) {
    return answer<int32_t>(-1, [&]() -> int32_t {
        if (index < 0 || index >= (int32_t) ggml_backend_dev_count()) {
            return -1;
        }
        ggml_backend_dev_t device = ggml_backend_dev_get((size_t) index);
        char               kind   = 'a';
        switch (ggml_backend_dev_type(device)) {
            case GGML_BACKEND_DEVICE_TYPE_CPU:  kind = 'c'; break;
            case GGML_BACKEND_DEVICE_TYPE_GPU:  kind = 'g'; break;
            case GGML_BACKEND_DEVICE_TYPE_IGPU: kind = 'i'; break;
            default:                            break;
        }
        const std::string text = kind + std::string(ggml_backend_dev_name(device)) + '\0' +
                                 ggml_backend_dev_description(device) + '\0';
        return copy_text(text, out, size);
    });
}

// Free and total bytes of memory.
int32_t saur_device_memory(int32_t index, double * out) {
    return answer<int32_t>(SAUR_LOST, [&]() -> int32_t {
        if (index < 0 || index >= (int32_t) ggml_backend_dev_count()) {
            return SAUR_BAD_ARGUMENT;
        }
        size_t free = 0, total = 0;
        ggml_backend_dev_memory(ggml_backend_dev_get((size_t) index), &free, &total);
        out[0] = (double) free;
        out[1] = (double) total;
        return SAUR_OK;
    });
}
