// A matrix of f32 weights outside of any graph, for the heads that llama.cpp does not compute: rows are multiplied with it by
// the kernels' product, or by a plain loop.
#pragma once
#include "kernels/kernels.h"

#include <cstdint>
#include <vector>

namespace saur {

class Matrix {
  public:
    // `numbers` has outputs x inputs of them, a row for each output. `bias` has one for each output, or none.
    Matrix(std::vector<float> numbers, int64_t inputs, std::vector<float> bias);

    int64_t inputs() const { return columns; }
    int64_t outputs() const { return (int64_t) numbers.size() / columns; }
    size_t  bytes() const { return (numbers.size() + bias.size() + panels.size()) * sizeof(float); }

    // Multiplies n rows of inputs into n rows of outputs. By the kernels where `scratch` is there and the processor has them;
    // either way each number is summed in an order that neither n nor another row changes.
    void multiply(const float * rows, int64_t n, float * out, Scratch * scratch) const;

  private:
    void multiply_in_panels(const float * rows, int64_t n, float * out, Scratch & scratch) const;
    void multiply_plainly(const float * row, float * out) const;

    std::vector<float> numbers, bias;
    std::vector<float> panels;  // the numbers as the kernels' product takes them; empty where their sizes or the processor don't allow it
    int64_t            columns;
};

}  // namespace saur
