#include "kernels.h"

#include "ggml-backend-impl.h"

#include <cstring>
#include <mutex>
#include <new>

#if defined(SAUR_KERNELS_X86)
extern const saur::Kernels kernels_avx2, kernels_avx512, kernels_avx512_bf16;
#    if defined(__linux__)
extern const saur::Kernels kernels_amx;
#    endif
#elif defined(SAUR_KERNELS_ARM)
extern const saur::Kernels kernels_neon;
#endif

namespace saur {
namespace {

// What contexts made on this thread compute with; empty: nothing of ours.
thread_local std::optional<Computing> chosen;

constexpr std::align_val_t LINE{ 64 };  // of the cache

bool has_float_rows(const ggml_tensor * t) { return t->type == GGML_TYPE_F32 && t->nb[0] == sizeof(float); }

bool can_multiply(const Kernels & kernels, const ggml_tensor * op) {
    const ggml_tensor *a = op->src[0], *b = op->src[1];
    if (a->nb[0] != ggml_type_size(a->type) || !has_float_rows(b) || !has_float_rows(op) ||
        op->op_params[1] == GGML_HINT_SRC0_IS_HADAMARD) {
        return false;
    }
    switch (a->type) {
        case GGML_TYPE_Q8_0: return kernels.product != nullptr;
        // few rows do not pay for a panel of weights
        case GGML_TYPE_BF16: return kernels.product_bf16 && a->ne[0] % 32 == 0 && b->ne[1] > 1;
        case GGML_TYPE_F32:  return kernels.product_f32 && b->ne[1] >= 8;
        default:             return false;
    }
}

void multiply(const Kernels & kernels, const Computing & computing, ggml_tensor * op, Scratch & scratch) {
    if (computing.weights && computing.weights->wants(kernels, op) && computing.weights->multiply(kernels, op, scratch)) {
        return;
    }
    switch (op->src[0]->type) {
        case GGML_TYPE_Q8_0: return kernels.product(op, scratch);
        case GGML_TYPE_BF16: return kernels.product_bf16(op, scratch);
        default:             return kernels.product_f32(op, scratch);
    }
}

bool can_attend(const ggml_tensor * op) {
    const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *sinks = op->src[4];
    float              params[3];  // scale, max_bias, softcap
    memcpy(params, op->op_params, sizeof(params));
    const auto floats = [](const ggml_tensor * t) {
        return (t->type == GGML_TYPE_F16 || t->type == GGML_TYPE_F32) && t->nb[0] == ggml_type_size(t->type);
    };
    // A few queries do not pay for reading many keys as floats. An encoder has as many of both.
    if (q->ne[1] * q->ne[2] < 4 * k->ne[2] && k->ne[1] > 16 * q->ne[1]) {
        return false;
    }
    return !sinks && params[2] == 0.0f && has_float_rows(q) && has_float_rows(op) && floats(k) && floats(v) &&
           k->ne[2] == v->ne[2] && q->ne[2] % k->ne[2] == 0 && k->ne[3] == q->ne[3] && v->ne[3] == q->ne[3];
}

// the backend, one a context

struct Context {
    const Computing computing;
    Scratch         scratch;
};

const char * backend_name(ggml_backend_t) { return "llamasaur"; }

void backend_free(ggml_backend_t backend) {
    delete (Context *) backend->context;
    delete backend;
}

ggml_status backend_compute(ggml_backend_t backend, ggml_cgraph * graph) {
    auto * context = (Context *) backend->context;
    for (int i = 0; i < ggml_graph_n_nodes(graph); i++) {
        ggml_tensor * op = ggml_graph_node(graph, i);
        if ((op->flags & GGML_TENSOR_FLAG_COMPUTE) != 0) {
            compute(*kernels_of_cpu(), context->computing, op, context->scratch);
        }
    }
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

ggml_backend_device_i device_interface() {
    ggml_backend_device_i i = {};
    i.get_name              = [](ggml_backend_dev_t) { return "llamasaur"; };
    i.get_description       = [](ggml_backend_dev_t) { return kernels_of_cpu()->name; };
    i.get_memory            = [](ggml_backend_dev_t, size_t * free, size_t * total) { *free = *total = 0; };
    i.get_type              = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_ACCEL; };
    i.get_props             = device_props;
    i.init_backend          = [](ggml_backend_dev_t device, const char *) {
        return new ggml_backend{ guid(), backend_interface(), device, new Context{ chosen.value_or(Computing{ Gelu::tanh, nullptr }), {} } };
    };
    i.get_buffer_type      = [](ggml_backend_dev_t) { return ggml_backend_cpu_buffer_type(); };
    i.buffer_from_host_ptr = [](ggml_backend_dev_t, void * data, size_t size, size_t) {
        return ggml_backend_cpu_buffer_from_ptr(data, size);
    };
    i.supports_op   = [](ggml_backend_dev_t, const ggml_tensor * op) { return chosen && can_compute(*kernels_of_cpu(), *chosen, op); };
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

Gelu gelu_of(const std::string & architecture) {
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
    if (bytes > size[use]) {
        operator delete(data[use], LINE);
        data[use] = nullptr;
        size[use] = 0;
        data[use] = operator new(bytes, LINE);
        size[use] = bytes;
    }
    return data[use];
}

std::vector<const Kernels *> usable_kernels() {
    std::vector<const Kernels *> all;
#if defined(SAUR_KERNELS_X86)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")) {
#    if defined(__linux__)
        if (__builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") && kernels_amx.may_be_used()) {
            all.push_back(&kernels_amx);
        }
#    endif
        all.push_back(__builtin_cpu_supports("avx512bf16") ? &kernels_avx512_bf16 : &kernels_avx512);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {  // no CPU has them without F16C
        all.push_back(&kernels_avx2);
    }
#elif defined(SAUR_KERNELS_ARM)
    all.push_back(&kernels_neon);
#endif
    return all;
}

const Kernels * kernels_of_cpu() {
    static const Kernels * const best = [] {
        const auto all = usable_kernels();
        // ARM's are compiled, and tested by tests/kernels_check.cpp on such a machine; none was at hand, so they are off.
#if defined(SAUR_KERNELS_ARM)
        return (const Kernels *) nullptr;
#else
        return all.empty() ? nullptr : all[0];
#endif
    }();
    return best;
}

std::string kernel_names() {
    const Kernels * kernels = kernels_of_cpu();
    std::string     names;
    const auto      add = [&](const char * name, bool there) { names += there ? name + std::string(1, '\0') : ""; };
    if (kernels) {
        add("gelu", true);
        add("attention", true);
        add("f32", kernels->product_f32);
        add("q8_0", kernels->product);
        add("bf16", kernels->product_bf16);
        add("onednn", has_onednn());
    }
    return names;
}

bool can_compute(const Kernels & kernels, const Computing & computing, const ggml_tensor * op) {
    const ggml_tensor *a = op->src[0], *b = op->src[1];
    switch (op->op) {
        case GGML_OP_MUL_MAT: return can_multiply(kernels, op) || (computing.weights && computing.weights->wants(kernels, op));
        case GGML_OP_UNARY:
            return (ggml_get_unary_op(op) == GGML_UNARY_OP_GELU || ggml_get_unary_op(op) == GGML_UNARY_OP_GELU_ERF) &&
                   has_float_rows(a) && has_float_rows(op);
        case GGML_OP_GLU:
            return (ggml_get_glu_op(op) == GGML_GLU_OP_GEGLU || ggml_get_glu_op(op) == GGML_GLU_OP_GEGLU_ERF) &&
                   has_float_rows(a) && (!b || has_float_rows(b)) && has_float_rows(op);
        case GGML_OP_FLASH_ATTN_EXT: return can_attend(op);
        default:                     return false;
    }
}

void compute(const Kernels & kernels, const Computing & computing, ggml_tensor * op, Scratch & scratch) {
    switch (op->op) {
        case GGML_OP_MUL_MAT:        multiply(kernels, computing, op, scratch); break;
        case GGML_OP_FLASH_ATTN_EXT: kernels.attention(op, scratch); break;
        case GGML_OP_UNARY:
            kernels.gelu(ggml_get_unary_op(op) == GGML_UNARY_OP_GELU_ERF ? Gelu::erf : computing.gelu, op);
            break;
        case GGML_OP_GLU: kernels.gelu(ggml_get_glu_op(op) == GGML_GLU_OP_GEGLU_ERF ? Gelu::erf : computing.gelu, op); break;
        default:          break;  // a view
    }
}

void register_kernels() {
    static std::once_flag once;
    std::call_once(once, [] {
        if (kernels_of_cpu()) {
            ggml_backend_register(registration());
        }
    });
}

KernelScope::KernelScope(std::optional<Computing> computing) { chosen = computing; }

KernelScope::~KernelScope() { chosen.reset(); }

}  // namespace saur
