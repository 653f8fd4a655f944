#include "kernels/kernels.h"

#include "ggml-backend-impl.h"

#include <cstring>
#include <mutex>
#include <new>

namespace saur {
namespace {

// What contexts made on this thread compute with; empty: nothing of ours.
thread_local std::optional<KernelOptions> chosen;

constexpr std::align_val_t LINE{ 64 };  // of the cache

// the backend, one a context

struct Context {
    const KernelOptions options;
    Scratch         scratch;
};

const char * backend_name(ggml_backend_t) { return "llamasaur"; }

void backend_free(ggml_backend_t backend) {
    delete (Context *) backend->context;
    delete backend;
}

ggml_status backend_compute(ggml_backend_t backend, ggml_cgraph * graph) {
    auto * context = (Context *) backend->context;
    compute(*kernels_of_cpu(), context->options, graph, context->scratch);
    return GGML_STATUS_SUCCESS;
}

ggml_guid_t guid() {
    static ggml_guid id = { 0x6c, 0x6c, 0x61, 0x6d, 0x61, 0x73, 0x61, 0x75, 0x72, 0x2d, 0x6b, 0x65, 0x72, 0x6e, 0x65, 0x6c };
    return &id;
}

ggml_backend_i backend_interface() {
    ggml_backend_i i = {};
    i.get_name       = backend_name;
    i.free           = backend_free;
    i.graph_compute  = backend_compute;
    return i;
}

// its device

void device_props(ggml_backend_dev_t, ggml_backend_dev_props * props) {
    *props             = {};
    props->name        = "llamasaur";
    props->description = kernels_of_cpu()->name;
    props->type        = GGML_BACKEND_DEVICE_TYPE_ACCEL;
    props->caps        = { /*async*/ false, /*host_buffer*/ false, /*buffer_from_host_ptr*/ true, /*events*/ false, /*mmap_support*/ true };
}

// llama.cpp asks it of every operator that has weights before it computes any, so none is in panels that another one reads.
bool is_wanted(const KernelOptions & options, const ggml_tensor * op) {
    const Kernels & kernels = *kernels_of_cpu();
    const bool      can     = can_compute(kernels, op);
    for (int i = 0; i < GGML_MAX_SRC && options.panelled; i++) {
        const ggml_tensor * src = op->src[i] && op->src[i]->view_src ? op->src[i]->view_src : op->src[i];
        if (!src || !PanelledWeights::wants(kernels, src)) {
            continue;
        }
        if (can && op->op == GGML_OP_MUL_MAT && i == 0 && src == op->src[0]) {
            options.panelled->expect(kernels, src);
        } else {
            options.panelled->leave(src);
        }
    }
    return can;
}

ggml_backend_device_i device_interface() {
    ggml_backend_device_i i = {};
    i.get_name              = [](ggml_backend_dev_t) { return "llamasaur"; };
    i.get_description       = [](ggml_backend_dev_t) { return kernels_of_cpu()->name; };
    i.get_memory            = [](ggml_backend_dev_t, size_t * free, size_t * total) { *free = *total = 0; };
    i.get_type              = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_ACCEL; };
    i.get_props             = device_props;
    i.init_backend          = [](ggml_backend_dev_t device, const char *) {
        return new ggml_backend{ guid(), backend_interface(), device, new Context{ chosen.value_or(KernelOptions{ Gelu::tanh }), {} } };
    };
    i.get_buffer_type      = [](ggml_backend_dev_t) { return ggml_backend_cpu_buffer_type(); };
    i.buffer_from_host_ptr = [](ggml_backend_dev_t, void * data, size_t size, size_t) {
        return ggml_backend_cpu_buffer_from_ptr(data, size);
    };
    i.supports_op   = [](ggml_backend_dev_t, const ggml_tensor * op) { return chosen && is_wanted(*chosen, op); };
    i.supports_buft = [](ggml_backend_dev_t, ggml_backend_buffer_type_t type) { return ggml_backend_buft_is_host(type); };
    return i;
}

ggml_backend_reg_t registration() {
    static ggml_backend_reg reg = { GGML_BACKEND_API_VERSION,
                                    { [](ggml_backend_reg_t) { return "llamasaur"; },
                                      [](ggml_backend_reg_t) { return (size_t) 1; },
                                      [](ggml_backend_reg_t reg, size_t) { return (ggml_backend_dev_t) reg->context; },
                                      nullptr },
                                    nullptr };
    static ggml_backend_device device = { device_interface(), &reg, nullptr };
    static const bool          joined = (reg.context = &device) != nullptr;
    (void) joined;
    return &reg;
}

}  // namespace

Gelu gelu_of(const std::string & architecture, const std::string & activation) {
    // ACT2FN of transformers: these are tanh with one constant or another for sqrt(2 / pi).
    for (const char * name : { "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate" }) {
        if (activation == name) {
            return Gelu::tanh;
        }
    }
    // Those whose configuration on the hub says "gelu", which is erf in transformers. Neo-BERT and EuroBERT have none.
    for (const char * name : { "bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3" }) {
        if (architecture == name) {
            return Gelu::erf;
        }
    }
    return Gelu::tanh;
}

Scratch::~Scratch() {
    for (void * one : data) {
        operator delete(one, LINE);
    }
}

void * Scratch::get(Use use, size_t bytes) {
    if (use == ACTIVATIONS) {
        held = nullptr;
    }
    if (bytes > size[use]) {
        operator delete(data[use], LINE);
        data[use] = nullptr;
        size[use] = 0;
        data[use] = operator new(bytes, LINE);
        size[use] = bytes;
    }
    return data[use];
}

std::string kernel_names() {
    const Kernels * kernels = kernels_of_cpu();
    std::string     names;
    const auto      add = [&](const char * name, bool there) { names += there ? name + std::string(1, '\0') : ""; };
    if (kernels) {
        add("gelu", true);
        add("attention", true);
        for (const ProductOf * one = kernels->products; one && one->product; one++) {
            add(ggml_type_name(one->type), true);
        }
    }
    return names;
}

void register_kernels() {
    static std::once_flag once;
    std::call_once(once, [] {
        if (kernels_of_cpu()) {
            ggml_backend_register(registration());
        }
    });
}

KernelScope::KernelScope(std::optional<KernelOptions> options) { chosen = options; }

KernelScope::~KernelScope() { chosen.reset(); }

}  // namespace saur
