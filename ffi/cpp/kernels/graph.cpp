// Which operators the kernels compute, and how a graph of them is computed: what follows a product or a norm goes with it.
#include "kernels/kernels.h"

#include "ggml-impl.h"

#include <cstring>

namespace saur {
namespace {

bool has_float_rows(const ggml_tensor * t) { return t->type == GGML_TYPE_F32 && t->nb[0] == sizeof(float); }

// Of 16- or 32-bit floats.
bool has_rows(const ggml_tensor * t) {
    return (t->type == GGML_TYPE_F16 || t->type == GGML_TYPE_F32) && t->nb[0] == ggml_type_size(t->type);
}

bool can_multiply(const Kernels & kernels, const ggml_tensor * op) {
    const ggml_tensor *a = op->src[0], *b = op->src[1];
    if (a->nb[0] != ggml_type_size(a->type) || !has_float_rows(b) || !has_float_rows(op) ||
        op->op_params[1] == GGML_HINT_SRC0_IS_HADAMARD) {
        return false;
    }
    // Keys and values in halves are no weights: they are ggml's.
    if (a->type == GGML_TYPE_F16 && (a->op != GGML_OP_NONE || a->view_src)) {
        return false;
    }
    // However few rows there are: a text alone is to be what it is in a pack.
    return kernels.product_of(a->type) != nullptr && (a->type != GGML_TYPE_BF16 || !kernels.bf16.product || a->ne[0] % 32 == 0);
}

bool can_attend(const ggml_tensor * op) {
    const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *sinks = op->src[4];
    float              params[3];  // scale, max_bias, softcap
    memcpy(params, op->op_params, sizeof(params));
    return !sinks && params[2] == 0.0f && has_float_rows(q) && has_float_rows(op) && has_rows(k) && has_rows(v) &&
           k->ne[2] == v->ne[2] && q->ne[2] % k->ne[2] == 0 && k->ne[3] == q->ne[3] && v->ne[3] == q->ne[3];
}

bool can_soften(const ggml_tensor * op) {
    const ggml_tensor *x = op->src[0], *mask = op->src[1], *sinks = op->src[2];
    return !sinks && has_float_rows(x) && has_float_rows(op) && (!mask || has_rows(mask));
}

// Whether each row of `b` can be combined with one of `a`.
bool can_combine(const ggml_tensor * op) {
    const ggml_tensor *a = op->src[0], *b = op->src[1];
    return has_float_rows(a) && has_float_rows(b) && has_float_rows(op) && a->ne[0] == b->ne[0] && ggml_are_same_shape(a, op);
}

bool is_gelu(const ggml_tensor * op) {
    return op->op == GGML_OP_UNARY &&
           (ggml_get_unary_op(op) == GGML_UNARY_OP_GELU || ggml_get_unary_op(op) == GGML_UNARY_OP_GELU_ERF);
}

Gelu kind_of(const ggml_tensor * op, Gelu otherwise) {
    const bool erf = op->op == GGML_OP_UNARY ? ggml_get_unary_op(op) == GGML_UNARY_OP_GELU_ERF
                                             : ggml_get_glu_op(op) == GGML_GLU_OP_GEGLU_ERF;
    return erf ? Gelu::erf : otherwise;
}

// A graph's operators from one on, each of which has what the one before gives as its first input, and alone uses it.
class Chain {
  public:
    Chain(ggml_cgraph * graph, int first) : graph(graph), last(first) {}

    ggml_tensor * node() const { return ggml_graph_node(graph, last); }
    int           end() const { return last + 1; }
    // The next one, if it is such an operator and the kernels can compute it.
    ggml_tensor * next(const Kernels & kernels, ggml_op op) const {
        const ggml_op ops[] = { node()->op, op };
        if (!ggml_can_fuse(graph, last, ops, 2)) {
            return nullptr;
        }
        ggml_tensor * t = ggml_graph_node(graph, last + 1);
        return t->src[0] == node() && can_compute(kernels, t) ? t : nullptr;
    }
    void take() { last++; }

  private:
    ggml_cgraph * graph;
    int           last;
};

bool is_row(const ggml_tensor * t) { return ggml_nrows(t) == 1 && ggml_is_contiguous(t); }

int multiply(const Kernels & kernels, const KernelOptions & options, ggml_cgraph * graph, int at, Scratch & scratch) {
    Chain         chain(graph, at);
    ggml_tensor * op = chain.node();
    Product product{ op, op };
    if (op->ne[2] * op->ne[3] == 1) {
        ggml_tensor * add = chain.next(kernels, GGML_OP_ADD);
        if (add && is_row(add->src[1])) {
            product.bias = add->src[1];
            chain.take();
        }
        if (ggml_tensor * gelu = chain.next(kernels, GGML_OP_UNARY)) {
            product.gelu = true;
            product.kind = kind_of(gelu, options.gelu);
            chain.take();
        }
        add = chain.next(kernels, GGML_OP_ADD);
        if (add && ggml_are_same_shape(add, add->src[1])) {
            product.residual = add->src[1];
            chain.take();
        }
        product.out = chain.node();
    }
    product.in_panels = options.panelled && options.panelled->prepare(kernels, op->src[0], scratch, product.scales);
    kernels.product_of(op->src[0]->type)->product(product, scratch);
    return chain.end();
}

int normalise(const Kernels & kernels, ggml_cgraph * graph, int at) {
    Chain chain(graph, at);
    Norm  norm{ chain.node(), nullptr };
    for (const auto & [op, row] : { std::pair{ GGML_OP_MUL, &norm.scale }, std::pair{ GGML_OP_ADD, &norm.shift } }) {
        ggml_tensor * next = chain.next(kernels, op);
        if (next && is_row(next->src[1])) {
            *row = next->src[1];
            chain.take();
        }
    }
    norm.out = chain.node();
    kernels.norm(norm);
    return chain.end();
}

}  // namespace

const ProductOf * Kernels::product_of(ggml_type type) const {
    if (bf16.product && bf16.type == type) {
        return &bf16;
    }
    for (const ProductOf * one = products; one && one->product; one++) {
        if (one->type == type) {
            return one;
        }
    }
    return nullptr;
}

bool can_compute(const Kernels & kernels, const ggml_tensor * op) {
    const ggml_tensor *a = op->src[0], *b = op->src[1];
    switch (op->op) {
        case GGML_OP_MUL_MAT: return can_multiply(kernels, op);
        case GGML_OP_UNARY:   return kernels.gelu && is_gelu(op) && has_float_rows(a) && has_float_rows(op);
        case GGML_OP_GLU:
            return kernels.gelu && (ggml_get_glu_op(op) == GGML_GLU_OP_GEGLU || ggml_get_glu_op(op) == GGML_GLU_OP_GEGLU_ERF) &&
                   has_float_rows(a) && (!b || has_float_rows(b)) && has_float_rows(op);
        case GGML_OP_FLASH_ATTN_EXT: return kernels.attention && can_attend(op);
        case GGML_OP_SOFT_MAX:       return kernels.softmax && can_soften(op);
        case GGML_OP_NORM:
        case GGML_OP_RMS_NORM:       return kernels.norm && has_float_rows(a) && has_float_rows(op);
        case GGML_OP_ADD:
        case GGML_OP_MUL:            return kernels.combine && can_combine(op);
        default:                     return false;
    }
}

void compute(const Kernels & kernels, const KernelOptions & options, ggml_cgraph * graph, Scratch & scratch) {
    scratch.let_go();
    for (int i = 0, next; i < ggml_graph_n_nodes(graph); i = next) {
        ggml_tensor * op = ggml_graph_node(graph, i);
        next             = i + 1;
        if ((op->flags & GGML_TENSOR_FLAG_COMPUTE) == 0 || ggml_is_empty(op)) {
            continue;
        }
        switch (op->op) {
            case GGML_OP_MUL_MAT:        next = multiply(kernels, options, graph, i, scratch); break;
            case GGML_OP_FLASH_ATTN_EXT:
                (options.bf16 && kernels.attention_bf16 ? kernels.attention_bf16 : kernels.attention)(op, scratch);
                break;
            case GGML_OP_SOFT_MAX:       kernels.softmax(op, scratch); break;
            case GGML_OP_UNARY:
            case GGML_OP_GLU:            kernels.gelu(kind_of(op, options.gelu), op); break;
            case GGML_OP_NORM:
            case GGML_OP_RMS_NORM:       next = normalise(kernels, graph, i); break;
            case GGML_OP_ADD:
            case GGML_OP_MUL:            kernels.combine(op); break;
            default:                     break;  // a view
        }
    }
    scratch.let_go();
}

}  // namespace saur
