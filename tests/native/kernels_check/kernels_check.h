// What kernels_check.cpp compares with: random tensors, their values in float64, ggml-cpu.
#pragma once
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "kernels/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <vector>

namespace {

using saur::KernelOptions;
using saur::Gelu;
using saur::Kernels;

std::mt19937 generator;

int64_t some(int64_t from, int64_t to) { return std::uniform_int_distribution<int64_t>(from, to)(generator); }
float   normal(float size) { return std::normal_distribution<float>(0, size)(generator); }
template <class T> T one_of(std::initializer_list<T> list) { return list.begin()[some(0, (int64_t) list.size() - 1)]; }

// A ggml context that is freed.
struct Memory {
    Memory() : context(ggml_init({ 64u << 20, nullptr, false })) {}
    ~Memory() { ggml_free(context); }
    Memory(const Memory &) = delete;
    ggml_context * const context;
};

double value(const ggml_tensor * t, int64_t i0, int64_t i1, int64_t i2, int64_t i3) {
    const char * p = (const char *) t->data + i1 * t->nb[1] + i2 * t->nb[2] + i3 * t->nb[3];
    if (t->type == GGML_TYPE_F32) {
        return *(const float *) (p + i0 * t->nb[0]);
    }
    if (t->type == GGML_TYPE_F16) {
        return ggml_fp16_to_fp32(*(const ggml_fp16_t *) (p + i0 * t->nb[0]));
    }
    if (t->type == GGML_TYPE_BF16) {
        return ggml_bf16_to_fp32(*(const ggml_bf16_t *) (p + i0 * t->nb[0]));
    }
    float         block[256];
    const int64_t size = ggml_blck_size(t->type);
    ggml_get_type_traits(t->type)->to_float(p + i0 / size * t->nb[0], block, size);
    return block[i0 % size];
}

// All of them, row after row.
std::vector<double> values(const ggml_tensor * t) {
    std::vector<double> all;
    all.reserve((size_t) ggml_nelements(t));
    for (int64_t i3 = 0; i3 < t->ne[3]; i3++) {
        for (int64_t i2 = 0; i2 < t->ne[2]; i2++) {
            for (int64_t i1 = 0; i1 < t->ne[1]; i1++) {
                for (int64_t i0 = 0; i0 < t->ne[0]; i0++) {
                    all.push_back(value(t, i0, i1, i2, i3));
                }
            }
        }
    }
    return all;
}

// A tensor of random numbers; now and then one is far larger than the others, as in activations.
ggml_tensor * random_tensor(ggml_context * c, ggml_type type, int64_t n0, int64_t n1, int64_t n2 = 1, int64_t n3 = 1) {
    ggml_tensor *      t = ggml_new_tensor_4d(c, type, n0, n1, n2, n3);
    std::vector<float> v((size_t) ggml_nelements(t));
    for (float & x : v) {
        x = normal(some(0, 200) == 0 ? 20.0f : 1.0f);
    }
    if (type == GGML_TYPE_F32) {
        memcpy(t->data, v.data(), v.size() * sizeof(float));
    } else {
        ggml_quantize_chunk(type, v.data(), t->data, 0, n1 * n2 * n3, n0, nullptr);
    }
    return t;
}

// The same as a view with gaps between rows, or with its second and third dimension exchanged in memory.
ggml_tensor * random_view(ggml_context * c, ggml_type type, int64_t n0, int64_t n1, int64_t n2, int64_t n3) {
    switch (some(0, 2)) {
        case 0: return random_tensor(c, type, n0, n1, n2, n3);
        case 1: return ggml_permute(c, random_tensor(c, type, n0, n2, n1, n3), 0, 2, 1, 3);
        default: {
            ggml_tensor * t = random_tensor(c, type, n0 + std::max<int64_t>(32, ggml_blck_size(type)), n1, n2, n3);
            return ggml_view_4d(c, t, n0, n1, n2, n3, t->nb[1], t->nb[2], t->nb[3], 0);
        }
    }
}

// What a model's weights are in; no others are put into panels.
struct Weights {
    Weights() : buffer(ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), 64)) {
        ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    }
    ~Weights() { ggml_backend_buffer_free(buffer); }
    Weights(const Weights &) = delete;

    ggml_tensor * of(ggml_tensor * t) const {
        t->buffer = buffer;
        return t;
    }
    ggml_backend_buffer_t const buffer;
};

struct Result {
    int    cases = 0;
    double ours = 0, stock = 0;

    void print(const char * name, const Kernels * kernels, const char * unit) const {
        printf("{\"name\":\"%s\",\"kernels\":\"%s\",\"cases\":%d,\"ours\":%.3g,\"stock\":%.3g,\"unit\":\"%s\"}\n", name,
               kernels->name, cases, ours, stock, unit);
        fflush(stdout);
    }
};

// Computes a tensor, and what it is made from.
void compute(const Kernels * kernels, const KernelOptions & options, ggml_context * c, ggml_tensor * op) {
    ggml_cgraph * graph = ggml_new_graph(c);
    ggml_build_forward_expand(graph, op);
    saur::Scratch scratch;
    saur::compute(*kernels, options, graph, scratch);
}

std::vector<float> computed(ggml_tensor * op) {
    std::vector<float> v((size_t) ggml_nelements(op));
    memcpy(v.data(), op->data, v.size() * sizeof(float));
    return v;
}

// Computes with ggml-cpu, then with the kernels, and compares both with `reference(i0..i3)`, in parts of `unit`.
void compare(Result & result, const Kernels * kernels, const KernelOptions & options, ggml_context * c, ggml_tensor * op,
             const std::function<double(int64_t, int64_t, int64_t, int64_t, double &)> & reference,
             const std::function<void()> & between = [] {}) {
    ggml_cgraph * graph = ggml_new_graph(c);
    ggml_build_forward_expand(graph, op);
    ggml_graph_compute_with_ctx(c, graph, 1);
    const std::vector<float> stock = computed(op);
    between();
    if (!saur::can_compute(*kernels, op)) {
        fprintf(stderr, "refused: %s\n", ggml_op_desc(op));
        exit(1);
    }
    std::fill_n((float *) op->data, ggml_nelements(op), std::numeric_limits<float>::quiet_NaN());
    compute(kernels, options, c, op);
    const std::vector<float> ours = computed(op);
    size_t                   i    = 0;
    for (int64_t i3 = 0; i3 < op->ne[3]; i3++) {
        for (int64_t i2 = 0; i2 < op->ne[2]; i2++) {
            for (int64_t i1 = 0; i1 < op->ne[1]; i1++) {
                for (int64_t i0 = 0; i0 < op->ne[0]; i0++, i++) {
                    double       unit = 1;
                    const double r    = reference(i0, i1, i2, i3, unit);
                    const double off  = std::fabs(ours[i] - r) / unit;
                    result.ours       = std::isnan(off) ? INFINITY : std::max(result.ours, off);
                    result.stock      = std::max(result.stock, std::fabs(stock[i] - r) / unit);
                }
            }
        }
    }
    result.cases++;
}

}  // namespace
