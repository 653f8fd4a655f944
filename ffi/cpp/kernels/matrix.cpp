#include "kernels/matrix.h"

namespace saur {
namespace {

// A tensor over numbers that are somebody else's.
ggml_tensor tensor_of(const float * numbers, int64_t columns, int64_t rows) {
    ggml_tensor t = {};
    t.type        = GGML_TYPE_F32;
    t.ne[0]       = columns;
    t.ne[1]       = rows;
    t.ne[2] = t.ne[3] = 1;
    t.nb[0]           = sizeof(float);
    t.nb[1]           = (size_t) columns * sizeof(float);
    t.nb[2] = t.nb[3] = (size_t) rows * t.nb[1];
    t.data            = (void *) numbers;
    return t;
}

}  // namespace

Matrix::Matrix(std::vector<float> numbers, int64_t inputs, std::vector<float> bias) :
    numbers(std::move(numbers)), bias(std::move(bias)), columns(inputs) {
    const ProductOf * product = kernels_of_cpu() ? kernels_of_cpu()->product_of(GGML_TYPE_F32) : nullptr;
    if (!product) {
        return;
    }
    panels            = this->numbers;
    ggml_tensor whole = tensor_of(panels.data(), columns, outputs());
    Scratch     scratch;
    if (!product->put_in_panels(&whole, nullptr, scratch)) {
        panels = {};
    }
}

void Matrix::multiply(const float * rows, int64_t n, float * out, Scratch * scratch) const {
    if (scratch && !panels.empty()) {
        multiply_in_panels(rows, n, out, *scratch);
        return;
    }
    for (int64_t r = 0; r < n; r++) {
        multiply_plainly(rows + r * columns, out + r * outputs());
    }
}

void Matrix::multiply_in_panels(const float * rows, int64_t n, float * out, Scratch & scratch) const {
    ggml_tensor weights = tensor_of(panels.data(), columns, outputs()), x = tensor_of(rows, columns, n),
                op = tensor_of(out, outputs(), n), row = tensor_of(bias.data(), outputs(), 1);
    op.src[0] = &weights;
    op.src[1] = &x;
    Product product{ &op, &op };
    product.bias      = bias.empty() ? nullptr : &row;
    product.in_panels = true;
    scratch.let_go();  // it knows activations by their tensor, and this one has had its place in memory before
    kernels_of_cpu()->product_of(GGML_TYPE_F32)->product(product, scratch);
    scratch.let_go();
}

// Sixteen sums side by side, which a compiler keeps in vectors of any width, then those in their order.
void Matrix::multiply_plainly(const float * row, float * out) const {
    constexpr int64_t LANES = 16;
    for (int64_t o = 0; o < outputs(); o++) {
        const float * by          = numbers.data() + o * columns;
        float         sums[LANES] = {};
        int64_t       i           = 0;
        for (; i + LANES <= columns; i += LANES) {
            for (int64_t lane = 0; lane < LANES; lane++) {
                sums[lane] += row[i + lane] * by[i + lane];
            }
        }
        float sum = bias.empty() ? 0.0f : bias[(size_t) o];
        for (; i < columns; i++) {
            sum += row[i] * by[i];
        }
        for (const float one : sums) {
            sum += one;
        }
        out[o] = sum;
    }
}

}  // namespace saur
