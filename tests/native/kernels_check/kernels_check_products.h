// Products, with weights kept in every way, and what follows them.
#pragma once
#include "kernels_check.h"

namespace {

// The processor's own instructions for bf16 take activations in it, as stock ggml does.
double activation(const Kernels * kernels, ggml_type weights, double x) {
    return weights == GGML_TYPE_BF16 && kernels->bf16.product ? ggml_bf16_to_fp32(ggml_fp32_to_bf16((float) x)) : x;
}

// A length that rows of weights of a type may have: of so many blocks, or any up to that where they need not be whole.
int64_t some_length(const Kernels * kernels, ggml_type type, int64_t most) {
    const bool    any   = type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || (type == GGML_TYPE_BF16 && !kernels->bf16.product);
    const int64_t block = std::max<int64_t>(32, ggml_blck_size(type));
    return any && some(0, 3) ? some(1, most) : block * some(1, std::max<int64_t>(1, most / block));
}

std::vector<ggml_type> product_types(const Kernels * kernels) {
    std::vector<ggml_type> all;
    for (const saur::ProductOf * one = kernels->products; one && one->product; one++) {
        all.push_back(one->type);
    }
    return all;
}

ggml_type one_type(const Kernels * kernels) {
    const std::vector<ggml_type> all = product_types(kernels);
    return all[(size_t) some(0, (int64_t) all.size() - 1)];
}

// How a product's weights are kept.
enum Keeping { AS_GIVEN, IN_PANELS };
const char * const KEEPING_NAMES[] = { "", ", in panels" };

// A model's.
struct Kept {
    explicit Kept(Keeping how) : how(how) {}
    KernelOptions options() { return { Gelu::erf, false, how == IN_PANELS ? &panelled : nullptr }; }
    // Weights to multiply with; those in panels are no longer what they were.
    ggml_tensor * of(ggml_context * c, ggml_tensor * t) const { return how == AS_GIVEN ? t : owned.of(copied(c, t)); }

  private:
    static ggml_tensor * copied(ggml_context * c, const ggml_tensor * t) {
        ggml_tensor * copy = ggml_dup_tensor(c, t);
        memcpy(copy->data, t->data, ggml_nbytes(t));
        return copy;
    }
    const Keeping         how;
    const Weights         owned;
    saur::PanelledWeights panelled;
};

void check_products(const Kernels * kernels, ggml_type type, Keeping how) {
    Result result;
    for (int i = 0; i < (type == GGML_TYPE_F32 ? 120 : 24); i++) {
        Kept          kept(how);
        Memory        memory;
        const auto    c = memory.context;
        const int64_t k = some_length(kernels, type, 380), columns = i % 2 ? some(2, 70) : 16 * some(1, 5);
        const int64_t rows = i % 3 ? some(8, 70) : some(1, 3);
        const int64_t most = how == AS_GIVEN ? 2 : 1, w2 = some(1, most), w3 = some(1, most), x2 = w2 * some(1, 2), x3 = w3 * some(1, most);
        const bool    viewed  = how == AS_GIVEN && type != GGML_TYPE_F16;  // a view of halves is a cache's
        ggml_tensor * weights = viewed ? random_view(c, type, k, columns, w2, w3) : random_tensor(c, type, k, columns, w2, w3);
        ggml_tensor * x       = random_view(c, GGML_TYPE_F32, k, rows, x2, x3);
        // ggml-cpu computes with the weights as they were given
        ggml_tensor *             op = ggml_mul_mat(c, weights, x);
        const std::vector<double> all_w = values(weights), all_x = values(x);
        compare(result, kernels, kept.options(), c, op,
                [&](int64_t column, int64_t row, int64_t i2, int64_t i3, double & unit) {
                    const double *w = &all_w[(size_t) (((i3 * w3 / x3 * w2 + i2 * w2 / x2) * columns + column) * k)],
                                 *v = &all_x[(size_t) (((i3 * x2 + i2) * rows + row) * k)];
                    double sum = 0, squares = 0, sizes = 0;
                    for (int64_t j = 0; j < k; j++) {
                        const double by = activation(kernels, type, v[j]);
                        sum += w[j] * by;
                        squares += by * by;
                        sizes += w[j] * w[j];
                    }
                    unit = std::sqrt(squares * sizes);
                    return sum;
                },
                [&] { op->src[0] = kept.of(c, weights); });
    }
    const bool        own  = type == GGML_TYPE_BF16 && kernels->bf16.product;
    const std::string name = std::string("product, ") + ggml_type_name(type) + (own ? ", by its own instructions" : "") + KEEPING_NAMES[how];
    result.print(name.c_str(), kernels, "the vectors' lengths");
}

// Rows of activations alone and among others give the same bits.
void check_rows(const Kernels * kernels, ggml_type type, Keeping how) {
    Result result;
    for (int i = 0; i < 16; i++) {
        Kept            kept(how);
        Memory          memory;
        const auto      c = memory.context;
        const int64_t   k = some_length(kernels, type, 1280), columns = i % 4 ? some(32, 100) : some(1, 31), rows = i % 2 ? some(1, 7) : some(8, 140);
        const int64_t   before = some(0, 50), n = before + rows + some(0, 50);
        ggml_tensor *   w = kept.of(c, random_tensor(c, type, k, columns)), *x = random_tensor(c, GGML_TYPE_F32, k, n);
        ggml_tensor *   all   = ggml_mul_mat(c, w, x);
        ggml_tensor *   alone = ggml_mul_mat(c, w, ggml_view_2d(c, x, k, rows, x->nb[1], (size_t) before * x->nb[1]));
        for (ggml_tensor * op : { all, alone }) {
            compute(kernels, kept.options(), c, op);
        }
        const auto * there = (const float *) ((const char *) all->data + (size_t) before * all->nb[1]);
        for (int64_t j = 0; j < ggml_nelements(alone); j++) {
            result.ours += there[j] != ((const float *) alone->data)[j];
        }
        result.cases++;
    }
    result.print((std::string("product, alone and in a pack") + KEEPING_NAMES[how]).c_str(), kernels, "numbers that differ");
}

// Values in f32 summed by the weights of a softmax, of which a mask makes many 0: without those the bits are the same.
void check_zeros(const Kernels * kernels) {
    Result result;
    for (int i = 0; i < 40 && kernels->products; i++) {
        Memory        memory;
        const auto    c = memory.context;
        const int64_t columns = some(1, 80), prefix = some(0, 1) * some(0, 20), before = some(0, 40), own = some(1, 40), rows = some(1, 20);
        const int64_t k = prefix + own, n = k + before + some(0, 40);
        ggml_tensor *few = random_tensor(c, GGML_TYPE_F32, k, columns), *x_few = random_tensor(c, GGML_TYPE_F32, k, rows),
                    *many = random_tensor(c, GGML_TYPE_F32, n, columns), *x_many = ggml_new_tensor_2d(c, GGML_TYPE_F32, n, rows);
        ggml_tensor * mask = ggml_new_tensor_2d(c, GGML_TYPE_F32, n, rows);
        std::fill_n((float *) x_many->data, n * rows, 0.0f);
        std::fill_n((float *) mask->data, n * rows, -INFINITY);
        for (int64_t j = 0; j < k * rows; j++) {
            ((float *) mask->data)[j / k * n + (j % k < prefix ? j % k : j % k + before)] = 0;
        }
        for (const auto & [to, from] : { std::pair{ many, few }, std::pair{ x_many, x_few } }) {
            for (int64_t j = 0; j < k * from->ne[1]; j++) {
                const int64_t at = j % k;
                ((float *) to->data)[j / k * n + (at < prefix ? at : at + before)] = ((const float *) from->data)[j];
            }
        }
        ggml_tensor *a = ggml_mul_mat(c, few, ggml_soft_max_ext(c, x_few, nullptr, 1, 0)),
                    *b = ggml_mul_mat(c, many, ggml_soft_max_ext(c, x_many, mask, 1, 0));
        compute(kernels, { Gelu::erf }, c, a);
        compute(kernels, { Gelu::erf }, c, b);
        result.ours += computed(a) != computed(b);
        result.cases++;
    }
    result.print("product, alone and in a pack, zeros between", kernels, "products that differ");
}

// NaN and infinity in a row of activations show in that row of a product, and in no other.
void check_not_finite(const Kernels * kernels, ggml_type type) {
    Result result;
    for (const float bad : { NAN, INFINITY, -INFINITY }) {
        Memory        memory;
        const auto    c = memory.context;
        const int64_t k = 2 * std::max<int64_t>(32, ggml_blck_size(type));
        ggml_tensor * x = random_tensor(c, GGML_TYPE_F32, k, 5);
        ((float *) x->data)[2 * k + some(0, k - 1)] = bad;
        ggml_tensor * op = ggml_mul_mat(c, random_tensor(c, type, k, 20), x);
        compute(kernels, { Gelu::erf }, c, op);
        for (int64_t i = 0; i < 5 * 20; i++) {
            result.ours += std::isfinite(((float *) op->data)[i]) == (i / 20 == 2);
        }
        result.cases++;
    }
    result.print("product, not finite", kernels, "numbers that are wrong");
}

// Products of the same activations, with others between them, are what each is alone.
void check_shared_rows(const Kernels * kernels) {
    Result result;
    for (int i = 0; i < 60 && kernels->products; i++) {
        Memory        memory;
        const auto    c = memory.context;
        const int64_t k = i % 4 ? 32 * some(1, 8) : 256, columns = some(8, 60);
        ggml_tensor * x   = random_tensor(c, GGML_TYPE_F32, k, some(8, 40));
        ggml_tensor * row = random_tensor(c, GGML_TYPE_F32, k, 1);
        std::vector<ggml_tensor *> ops;
        ggml_cgraph *              graph = ggml_new_graph(c);
        for (int j = 0; j < 6; j++) {
            const auto any  = one_type(kernels);
            const auto type = k % ggml_blck_size(any) == 0 ? any : one_of({ GGML_TYPE_F32, GGML_TYPE_Q8_0, GGML_TYPE_Q4_1 });
            const bool one  = some(0, 3) == 0;
            ops.push_back(ggml_mul_mat(c, random_tensor(c, type, k, columns), one ? row : x));
            ggml_build_forward_expand(graph, ops.back());
        }
        saur::Scratch scratch;
        saur::compute(*kernels, { Gelu::erf }, graph, scratch);
        for (ggml_tensor * op : ops) {
            const std::vector<float> together = computed(op);
            compute(kernels, { Gelu::erf }, c, op);
            result.ours += together != computed(op);
        }
        result.cases++;
    }
    result.print("product, of the same activations", kernels, "products that differ");
}

// What follows a product or a norm is computed with it, to the same numbers as operator by operator.
void check_chains(const Kernels * kernels) {
    Result result;
    for (int i = 0; i < 200; i++) {
        const bool norm = some(0, 3) == 0 || !kernels->products;
        const auto type = norm ? GGML_TYPE_F32 : one_type(kernels);
        Kept       kept(some(0, 1) ? AS_GIVEN : IN_PANELS);
        Memory        memory;
        const auto    c    = memory.context;
        const int64_t k    = ggml_blck_size(type) == 256 ? 256 : 32 * some(1, 12), columns = 16 * some(1, 6) + some(0, 1) * some(0, 9), rows = some(8, 70);
        const bool    kept_apart = some(0, 3) == 0;
        ggml_tensor * x    = random_tensor(c, GGML_TYPE_F32, norm ? columns : k, rows);
        ggml_tensor * row  = random_tensor(c, GGML_TYPE_F32, columns, 1);
        ggml_tensor * many = random_tensor(c, GGML_TYPE_F32, columns, rows);
        std::vector<ggml_tensor *> chain{ norm ? ggml_norm(c, x, 1e-5f) : ggml_mul_mat(c, kept.of(c, random_tensor(c, type, k, columns)), x) };
        const auto follow = [&](ggml_tensor * next) { chain.push_back(next); };
        if (norm) {
            if (some(0, 3)) follow(ggml_mul(c, chain.back(), row));
            if (some(0, 3)) follow(ggml_add(c, chain.back(), row));
        } else {
            if (some(0, 3)) follow(ggml_add(c, chain.back(), row));
            if (some(0, 1)) follow(some(0, 1) ? ggml_gelu(c, chain.back()) : ggml_gelu_erf(c, chain.back()));
            // in place of the residual, as ggml's allocator may have it
            if (some(0, 1)) follow(some(0, 1) ? ggml_add(c, chain.back(), many) : ggml_add_inplace(c, many, chain.back()));
            if (chain.back()->src[0] == many) std::swap(chain.back()->src[0], chain.back()->src[1]);
        }
        if (kept_apart) { // its first number has another use, so it must be there afterwards
            follow(ggml_add(c, chain.back(), chain.front()));
        }
        const std::vector<float> before((const float *) many->data, (const float *) many->data + ggml_nelements(many));
        compute(kernels, kept.options(), c, chain.back());
        const std::vector<float> whole = computed(chain.back());
        memcpy(many->data, before.data(), before.size() * sizeof(float));
        for (ggml_tensor * op : chain) {
            ggml_cgraph * alone = ggml_new_graph(c);
            op->flags |= GGML_TENSOR_FLAG_COMPUTE;
            ggml_graph_add_node(alone, op);
            saur::Scratch scratch;
            saur::compute(*kernels, kept.options(), alone, scratch);
        }
        const std::vector<float> apart = computed(chain.back());
        for (size_t j = 0; j < whole.size(); j++) {
            const double off = std::fabs(whole[j] - apart[j]) / std::max(1.0, (double) std::fabs(apart[j]));
            result.ours      = std::isnan(off) ? INFINITY : std::max(result.ours, off);
        }
        result.cases++;
    }
    result.print("chain", kernels, "the numbers, or 1");
}

}  // namespace
