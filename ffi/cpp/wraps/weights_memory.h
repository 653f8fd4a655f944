// The memory that weights are read into, which a second thread makes ready while llama.cpp reads the vocabulary.
#pragma once
#include <cstddef>
#include <memory>

namespace saur {

class ReadyMemory;

// While one exists on a thread, large memory that it asks for is for weights.
class WeightsMemory {
  public:
    // About how many bytes will be asked for; with 0 nothing is made ready.
    explicit WeightsMemory(size_t bytes);
    ~WeightsMemory();
    WeightsMemory(const WeightsMemory &) = delete;

  private:
    std::unique_ptr<ReadyMemory> ready;
};

// To be called before memory is freed that may be a model's.
void before_free(const void * memory);

}  // namespace saur
