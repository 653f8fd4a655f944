#include "kernels/kernels.h"
#include "kernels/reordered.h"

#if !defined(SAUR_ONEDNN)

struct saur::Reordered::Held {};

saur::Reordered::Reordered()  = default;
saur::Reordered::~Reordered() = default;

bool saur::Reordered::wants(const Kernels &, const ggml_tensor *) const { return false; }
bool saur::Reordered::multiply(const Kernels &, ggml_tensor *, Scratch &) { return false; }
bool saur::has_onednn() { return false; }

#else

#    include "ggml-backend.h"

#    include <oneapi/dnnl/dnnl.hpp>

#    include <algorithm>
#    include <map>
#    include <mutex>
#    include <new>
#    include <optional>
#    include <string>
#    include <tuple>
#    include <utility>

#    if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
extern "C" void omp_set_num_threads(int);
#    endif

namespace {

using dnnl::matmul;
using dnnl::memory;
using tag  = memory::format_tag;
using type = memory::data_type;

// Rows of one call. Each count of rows has code of its own, made when it is first met, so there is a bound.
const int64_t MOST_ROWS = 64;
// oneDNN is asked for less than that nowhere: measured from 384 by 384 on.
const int64_t FEWEST_NUMBERS = 32, FEWEST_COLUMNS = 32;

const dnnl::engine & engine() {
    static const auto & one = *new dnnl::engine(dnnl::engine::kind::cpu, 0);  // outlives lanes that the process leaves behind
    return one;
}

// A lane computes alone; a team of threads beside it would take the other lanes' cores.
void be_alone() {
#    if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
    static thread_local const bool once = (omp_set_num_threads(1), true);  // of this thread alone
    (void) once;
#    endif
}

matmul::primitive_desc describe(const memory::desc & x, const memory::desc & w, const memory::desc & out) {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);  // with its own, a primitive is one thread's at a time
#    if DNNL_VERSION_MAJOR >= 3
    return matmul::primitive_desc(engine(), x, w, out, attr);
#    else
    return matmul::primitive_desc(matmul::desc(x, w, out), attr, engine());
#    endif
}

struct Shape {
    int64_t rows, numbers, columns;
    type    weights;
    int64_t x_stride, out_stride;  // numbers from row to row

    auto key() const { return std::make_tuple(rows, numbers, columns, (int) weights, x_stride, out_stride); }

    matmul::primitive_desc with(const memory::desc & w) const {
        return describe({ { rows, numbers }, weights, memory::dims{ x_stride, 1 } }, w,
                        { { rows, columns }, type::f32, memory::dims{ out_stride, 1 } });
    }
};

type type_of(const ggml_tensor * t) { return t->type == GGML_TYPE_BF16 ? type::bf16 : type::f32; }

}  // namespace

namespace saur {

struct Reordered::Held {
    struct Product {
        matmul       primitive;
        memory::desc x, out, scratchpad;
    };
    std::mutex                                               mutex;
    std::map<const void *, std::optional<memory>>            weights;  // empty: oneDNN has no fast way
    std::map<decltype(std::declval<Shape>().key()), Product> products;

    // One order for any number of rows: that of many.
    const std::optional<memory> & reordered(const ggml_tensor * t) {
        const auto found = weights.find(t->data);
        if (found != weights.end()) {
            return found->second;
        }
        std::optional<memory> made;
        try {
            const Shape shape{ MOST_ROWS, t->ne[0], t->ne[1], type_of(t), t->ne[0], t->ne[1] };
            const memory::dims sizes{ t->ne[0], t->ne[1] };
            const auto         how = shape.with({ sizes, shape.weights, tag::any });
            if (std::string(how.impl_info_str()).find("ref") == std::string::npos) {
                memory       to(how.weights_desc(), engine());
                memory       from({ sizes, shape.weights, tag::ba }, engine(), t->data);
                dnnl::stream stream(engine());
                dnnl::reorder(from, to).execute(stream, from, to);
                stream.wait();
                made = to;
            }
        } catch (const dnnl::error & error) {
            if (error.status == dnnl_out_of_memory) {
                throw std::bad_alloc();
            }
        }
        return weights.emplace(t->data, made).first->second;
    }

    const Product & product(const Shape & shape, const memory::desc & w) {
        auto found = products.find(shape.key());
        if (found == products.end()) {
            const auto how = shape.with(w);
            found = products.emplace(shape.key(), Product{ matmul(how), how.src_desc(), how.dst_desc(), how.scratchpad_desc() }).first;
        }
        return found->second;
    }
};

Reordered::Reordered() : held(new Held) {}
Reordered::~Reordered() = default;

bool has_onednn() { return true; }

bool Reordered::wants(const Kernels & kernels, const ggml_tensor * op) const {
    const ggml_tensor *w = op->src[0], *x = op->src[1];
    return (w->type == GGML_TYPE_F32 || (w->type == GGML_TYPE_BF16 && kernels.to_bf16)) && !w->view_src && w->buffer &&
           ggml_backend_buffer_get_usage(w->buffer) == GGML_BACKEND_BUFFER_USAGE_WEIGHTS && ggml_is_contiguous(w) &&
           ggml_n_dims(w) == 2 && ggml_n_dims(x) <= 2 && w->ne[0] >= FEWEST_NUMBERS && w->ne[1] >= FEWEST_COLUMNS &&
           x->type == GGML_TYPE_F32 && x->nb[0] == sizeof(float) && op->type == GGML_TYPE_F32 &&
           op->op_params[1] != GGML_HINT_SRC0_IS_HADAMARD;
}

bool Reordered::multiply(const Kernels & kernels, ggml_tensor * op, Scratch & scratch) {
    const ggml_tensor *w = op->src[0], *x = op->src[1];
    be_alone();
    std::optional<memory> weights;
    {
        const std::lock_guard<std::mutex> lock(held->mutex);
        weights = held->reordered(w);
    }
    if (!weights) {
        return false;
    }
    const bool   halves = w->type == GGML_TYPE_BF16;
    dnnl::stream stream(engine());
    for (int64_t row = 0; row < x->ne[1]; row += MOST_ROWS) {
        const Shape shape{ std::min(MOST_ROWS, x->ne[1] - row), w->ne[0], w->ne[1], type_of(w),
                           halves ? w->ne[0] : (int64_t) (x->nb[1] / sizeof(float)), (int64_t) (op->nb[1] / sizeof(float)) };
        const Held::Product * product;
        {
            const std::lock_guard<std::mutex> lock(held->mutex);
            product = &held->product(shape, weights->get_desc());
        }
        void * in = (char *) x->data + (size_t) row * x->nb[1];
        if (halves) {
            auto * rounded = scratch.get<uint16_t>(Scratch::ACTIVATIONS, shape.rows * shape.numbers);
            for (int64_t r = 0; r < shape.rows; r++) {
                kernels.to_bf16((const float *) ((char *) in + (size_t) r * x->nb[1]), rounded + r * shape.numbers, shape.numbers);
            }
            in = rounded;
        }
        memory from(product->x, engine(), in), out(product->out, engine(), (char *) op->data + (size_t) row * op->nb[1]);
        memory pad(product->scratchpad, engine(), scratch.get(Scratch::PANEL, std::max<size_t>(1, product->scratchpad.get_size())));
        product->primitive.execute(stream, { { DNNL_ARG_SRC, from }, { DNNL_ARG_WEIGHTS, *weights }, { DNNL_ARG_DST, out },
                                             { DNNL_ARG_SCRATCHPAD, pad } });
    }
    stream.wait();
    return true;
}

}  // namespace saur

#endif
