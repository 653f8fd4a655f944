#include "shim/head.h"

#include <algorithm>
#include <cmath>

namespace saur {
namespace {

using Kind = Head::Kind;

bool is_reduction(Kind kind) { return kind == Kind::mean || kind == Kind::cls || kind == Kind::last || kind == Kind::max; }

// The formulas are those of transformers' ACT2FN. Computed in double: a head has few of them.
double activation(Kind kind, double x) {
    switch (kind) {
        case Kind::tanh:      return std::tanh(x);
        case Kind::relu:      return std::isnan(x) ? x : std::max(x, 0.0);
        case Kind::gelu:      return 0.5 * x * (1 + std::erf(x * 0.70710678118654752440));
        case Kind::gelu_tanh: return 0.5 * x * (1 + std::tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
        case Kind::silu:      return x / (1 + std::exp(-x));
        default:              return x;
    }
}

void layer_norm(const Head::Step & step, float * row, int64_t width) {
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < width; i++) {
        mean += row[i];
    }
    mean /= (double) width;
    for (int64_t i = 0; i < width; i++) {
        squares += (row[i] - mean) * (row[i] - mean);
    }
    const double by = 1 / std::sqrt(squares / (double) width + (double) step.epsilon);
    for (int64_t i = 0; i < width; i++) {
        const double shift = step.shift.empty() ? 0 : (double) step.shift[(size_t) i];
        row[i]             = (float) ((row[i] - mean) * by * (double) step.scale[(size_t) i] + shift);
    }
}

// As torch.nn.functional.normalize: a row of zeros stays one.
void l2(float * row, int64_t width) {
    double squares = 0;
    for (int64_t i = 0; i < width; i++) {
        squares += (double) row[i] * (double) row[i];
    }
    const double by = 1 / std::max(std::sqrt(squares), 1e-12);
    for (int64_t i = 0; i < width; i++) {
        row[i] = (float) (row[i] * by);
    }
}

// One row of those of a sequence.
void reduce(Kind kind, const float * rows, int64_t n, int64_t width, float * out) {
    for (int64_t i = 0; i < width; i++) {
        double sum = 0;
        float  most = rows[i];
        for (int64_t r = 0; r < n; r++) {
            const float one = rows[r * width + i];
            sum += one;
            most = one > most || std::isnan(one) ? one : most;
        }
        out[i] = kind == Kind::mean  ? (float) (sum / (double) n)
                 : kind == Kind::max ? most
                 : kind == Kind::cls ? rows[i]
                                     : rows[(n - 1) * width + i];
    }
}

Rows reduced(Kind kind, const Rows & rows, const std::vector<int32_t> & lengths) {
    Rows    out{ {}, (int64_t) lengths.size(), rows.width };
    int64_t at = 0;
    out.numbers.resize((size_t) (out.n * out.width));
    for (size_t s = 0; s < lengths.size(); s++) {
        reduce(kind, rows.numbers.data() + at * rows.width, lengths[s], rows.width, out.numbers.data() + (int64_t) s * out.width);
        at += lengths[s];
    }
    return out;
}

void compute_rows(const Head::Step & step, Rows & rows, Scratch * scratch) {
    if (step.kind == Kind::linear) {
        Rows out{ {}, rows.n, step.matrix->outputs() };
        out.numbers.resize((size_t) (out.n * out.width));
        step.matrix->multiply(rows.numbers.data(), rows.n, out.numbers.data(), scratch);
        rows = std::move(out);
        return;
    }
    for (int64_t r = 0; r < rows.n; r++) {
        float * row = rows.numbers.data() + r * rows.width;
        if (step.kind == Kind::layer_norm) {
            layer_norm(step, row, rows.width);
        } else if (step.kind == Kind::l2) {
            l2(row, rows.width);
        } else {
            std::transform(row, row + rows.width, row, [&](float x) { return (float) activation(step.kind, x); });
        }
    }
}

}  // namespace

size_t Head::bytes() const {
    size_t sum = letters;
    for (const Step & step : steps) {
        sum += (step.matrix ? step.matrix->bytes() : 0) + (step.scale.size() + step.shift.size()) * sizeof(float);
    }
    return sum;
}

bool Head::reduces() const {
    return std::any_of(steps.begin(), steps.end(), [](const Step & step) { return is_reduction(step.kind); });
}

Pooling Head::pooling_of_rows(Pooling asked) const {
    return asked == POOLING_NONE || reduces() ? POOLING_NONE : first != POOLING_UNSPECIFIED ? first : asked;
}

Rows Head::compute(Rows rows, std::vector<int32_t> lengths, Scratch * scratch) const {
    for (const Step & step : steps) {
        if (!is_reduction(step.kind)) {
            compute_rows(step, rows, scratch);
        } else if (!lengths.empty()) {
            rows = reduced(step.kind, rows, lengths);
            lengths.assign(lengths.size(), 1);
        }
    }
    return rows;
}

}  // namespace saur
