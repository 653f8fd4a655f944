// Our kernels against ggml-cpu and against sums in float64, over random shapes, strides, masks and types.
//
//   kernels_check [SEED]     one JSON object a line: what was compared, how often, and the largest differences
//
// `ours` and `stock` are the largest differences from float64, as parts of what `unit` says.
#include "kernels_check.h"
#include "kernels_check_attention.h"
#include "kernels_check_products.h"

namespace {

double gelu_reference(Gelu kind, double x) {
    return kind == Gelu::erf ? 0.5 * x * std::erfc(-x / std::sqrt(2.0))
                             : 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

void check_gelu(const Kernels * kernels) {
    for (const Gelu kind : { Gelu::erf, Gelu::tanh }) {
        Result result;
        for (int i = 0; i < 60; i++) {
            Memory        memory;
            const auto    c = memory.context;
            const int64_t n = some(1, 100), rows = some(1, 9), n2 = some(1, 3), n3 = some(1, 2);
            const int     form = (int) some(0, 4);
            const bool    halves = form >= 3;
            // ggml wants its rows side by side, so a view with gaps is of the innermost dimension alone
            ggml_tensor * wide = random_tensor(c, GGML_TYPE_F32, 2 * n, rows, n2, n3);
            ggml_tensor * x    = halves ? wide : ggml_view_4d(c, wide, n, rows, n2, n3, wide->nb[1], wide->nb[2], wide->nb[3], 0);
            ggml_tensor * by   = random_tensor(c, GGML_TYPE_F32, n, rows, n2, n3);
            ggml_tensor * op   = form == 0   ? ggml_gelu(c, x)
                                 : form == 1 ? (kind == Gelu::erf ? ggml_gelu_erf(c, x) : ggml_gelu(c, x))
                                 : form == 2 ? ggml_geglu_split(c, x, by)
                                 : form == 3 ? ggml_geglu(c, wide)
                                             : ggml_geglu_swapped(c, wide);
            const int64_t from = form == 4 ? n : 0, other = form == 3 ? n : 0;
            compare(result, kernels, { kind }, c, op, [&](int64_t i0, int64_t i1, int64_t i2, int64_t i3, double & unit) {
                const double in = value(x, i0 + from, i1, i2, i3);
                const double factor = form < 2 ? 1 : form == 2 ? value(by, i0, i1, i2, i3) : value(wide, i0 + other, i1, i2, i3);
                unit = std::max(1.0, std::fabs(in)) * std::max(1.0, std::fabs(factor));
                return gelu_reference(kind, in) * factor;
            });
        }
        result.print(kind == Gelu::erf ? "gelu erf" : "gelu tanh", kernels, "the inputs, or 1");
    }
}

// NORM, RMS_NORM, ADD and MUL of a tensor and another, or rows of it.
void check_rows_of_floats(const Kernels * kernels) {
    for (const auto kind : { GGML_OP_NORM, GGML_OP_RMS_NORM, GGML_OP_ADD, GGML_OP_MUL }) {
        Result result;
        for (int i = 0; i < 60; i++) {
            Memory        memory;
            const auto    c = memory.context;
            const int64_t n = some(1, 100), rows = some(1, 9), n2 = some(1, 3), n3 = some(1, 2);
            const float   epsilon = 1e-5f;
            ggml_tensor * x = random_view(c, GGML_TYPE_F32, n, rows, n2, n3);
            ggml_tensor * y = random_tensor(c, GGML_TYPE_F32, n, some(0, 1) ? rows : 1, some(0, 1) ? n2 : 1, some(0, 1) ? n3 : 1);
            ggml_tensor * op = kind == GGML_OP_NORM       ? ggml_norm(c, x, epsilon)
                               : kind == GGML_OP_RMS_NORM ? ggml_rms_norm(c, x, epsilon)
                               : kind == GGML_OP_ADD      ? ggml_add(c, x, y)
                                                          : ggml_mul(c, x, y);
            compare(result, kernels, { Gelu::erf }, c, op, [&](int64_t i0, int64_t i1, int64_t i2, int64_t i3, double & unit) {
                const double in = value(x, i0, i1, i2, i3);
                if (kind == GGML_OP_ADD || kind == GGML_OP_MUL) {
                    const double by = value(y, i0, i1 % y->ne[1], i2 % y->ne[2], i3 % y->ne[3]);
                    unit = std::max(1.0, std::fabs(in)) * std::max(1.0, std::fabs(by));
                    return kind == GGML_OP_ADD ? in + by : in * by;
                }
                double mean = 0, squares = 0;
                for (int64_t j = 0; j < n && kind == GGML_OP_NORM; j++) {
                    mean += value(x, j, i1, i2, i3) / (double) n;
                }
                for (int64_t j = 0; j < n; j++) {
                    squares += std::pow(value(x, j, i1, i2, i3) - mean, 2) / (double) n;
                }
                // a mean is rounded to a float: of few numbers that are nearly equal, little else is left
                const double deviation = std::sqrt(squares + (double) epsilon);
                unit = std::max(std::sqrt((double) n), std::fabs(mean) / deviation);
                return (in - mean) / deviation;
            });
        }
        result.print(ggml_op_name(kind), kernels, "the inputs, or the root of their number");
    }
}

// An operator is computed where the table has its function, and only there.
void check_tables(const Kernels * kernels) {
    Memory        memory;
    const auto    c = memory.context;
    Result        result;
    ggml_tensor * x = random_tensor(c, GGML_TYPE_F32, 256, 4);
    const auto    product = [&](ggml_type type) { return ggml_mul_mat(c, random_tensor(c, type, 256, 8), x); };
    const auto    attend = [&] {
        const auto part = [&](ggml_type type) { return random_tensor(c, type, 32, 4, 2); };
        return ggml_flash_attn_ext(c, part(GGML_TYPE_F32), part(GGML_TYPE_F16), part(GGML_TYPE_F16), nullptr, 1, 0, 0);
    };
    enum Field { GELU, ATTENTION, SOFTMAX, NORM, COMBINE, PRODUCTS };
    const auto without = [&](Field field) {
        Kernels table = *kernels;
        switch (field) {
            case GELU:      table.gelu = nullptr; break;
            case ATTENTION: table.attention = nullptr; break;
            case SOFTMAX:   table.softmax = nullptr; break;
            case NORM:      table.norm = nullptr; break;
            case COMBINE:   table.combine = nullptr; break;
            case PRODUCTS:  table.products = nullptr, table.bf16 = {}; break;
        }
        return table;
    };
    std::vector<std::pair<ggml_tensor *, Field>> all = {
        { ggml_gelu(c, x), GELU },
        { ggml_geglu(c, x), GELU },
        { attend(), ATTENTION },
        { ggml_soft_max(c, x), SOFTMAX },
        { ggml_norm(c, x, 1e-5f), NORM },
        { ggml_rms_norm(c, x, 1e-5f), NORM },
        { ggml_add(c, x, x), COMBINE },
        { ggml_mul(c, x, x), COMBINE },
    };
    for (const ggml_type type : product_types(kernels)) {
        all.push_back({ product(type), PRODUCTS });
    }
    for (const auto & [op, needs] : all) {
        const bool whole = saur::can_compute(*kernels, op);
        result.ours += !whole;
        for (const auto & one : all) {
            result.ours += saur::can_compute(without(one.second), op) != (whole && one.second != needs);
        }
        result.cases++;
    }
    result.print("table", kernels, "operators that are wrong");
}

// Two backends at once, each with the GELU of the scope it was made in; without a scope nothing is wanted.
void check_backend() {
    saur::register_kernels();
    ggml_backend_dev_t device = ggml_backend_dev_by_name("llamasaur");
    Memory             memory;
    const auto         c  = memory.context;
    ggml_tensor *      x  = random_tensor(c, GGML_TYPE_F32, 100, 3);
    ggml_tensor *      op = ggml_gelu(c, x);
    Result             result;
    result.ours += ggml_backend_dev_supports_op(device, op);
    ggml_backend_t backends[2];
    for (const Gelu kind : { Gelu::tanh, Gelu::erf }) {
        const saur::KernelScope scope(saur::KernelOptions{ kind });
        result.ours += !ggml_backend_dev_supports_op(device, op) + ggml_backend_dev_supports_op(device, ggml_gelu_quick(c, x));
        backends[(int) kind] = ggml_backend_dev_init(device, nullptr);
    }
    ggml_cgraph * graph = ggml_new_graph(c);
    ggml_build_forward_expand(graph, op);
    for (int i = 0; i < 6; i++) {
        const Gelu kind = i % 2 ? Gelu::erf : Gelu::tanh;
        ggml_backend_graph_compute(backends[(int) kind], graph);
        for (int64_t j = 0; j < ggml_nelements(op); j++) {
            const double in = value(x, j % 100, j / 100, 0, 0);
            result.ours += std::fabs(((float *) op->data)[j] - gelu_reference(kind, in)) > 1e-6 * std::max(1.0, std::fabs(in));
        }
        result.cases++;
    }
    for (ggml_backend_t backend : backends) {
        ggml_backend_free(backend);
    }
    result.print("backend", saur::kernels_of_cpu(), "numbers that are wrong");
}

}  // namespace

int main(int argc, char ** argv) {
    generator.seed(argc > 1 ? (unsigned) atoi(argv[1]) : 1);
    ggml_cpu_init();
    for (const Kernels * kernels : saur::usable_kernels()) {
        for (const auto type : product_types(kernels)) {
            check_not_finite(kernels, type);
            for (const auto how : { AS_GIVEN, IN_PANELS }) {
                if (how == AS_GIVEN || kernels->product_of(type)->put_in_panels) {
                    check_products(kernels, type, how);
                    check_rows(kernels, type, how);
                }
            }
        }
        check_rows_of_floats(kernels);
        check_chains(kernels);
        check_shared_rows(kernels);
        check_zeros(kernels);
        check_gelu(kernels);
        for (const bool bf16 : { false, true }) {
            for (int mask = NONE; mask < MASKS && (!bf16 || kernels->attention_bf16); mask++) {
                check_attention(kernels, (Mask) mask, bf16);
            }
            check_alone(kernels, bf16);
            check_cached(kernels, bf16);
        }
        for (int mask = NONE; mask < MASKS; mask++) {
            check_softmax(kernels, (Mask) mask);
        }
        check_softmax_alone(kernels);
        check_tables(kernels);
    }
    if (saur::kernels_of_cpu()) {
        check_backend();
    }
}
