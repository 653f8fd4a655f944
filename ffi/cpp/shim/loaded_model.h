// A model in memory, with what llama.h does not give of its file: which tensors it has, and rows of two of them.
#pragma once
#include "kernels/panelled_weights.h"
#include "llama.h"
#include "kernels/reordered.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace saur {

// Input embeddings for BERT pairs. llama.cpp adds the embedding of segment A (token type 0) to every token; a token of
// segment B gets the difference of the two types on top, in an `embd` batch (proven in shared/prototype/ce.cpp).
class TokenRows {
  public:
    // Throws std::runtime_error when the file has no token_embd.weight and token_types.weight of two rows, or is no
    // longer the one with this hash.
    TokenRows(const std::string & path, const std::string & hash);
    // Writes the row of a token, n_embd floats.
    void    row(int32_t token, bool second, float * out) const;
    int64_t n_embd = 0;

  private:
    std::vector<uint8_t> raw;  // token_embd.weight as it is in the file
    size_t               row_bytes = 0;
    int                  type      = 0;
    std::vector<float>   difference;
};

struct LoadedModel {
    LoadedModel(llama_model * model, std::string path, std::string hash, int32_t device) :
        model(model), path(std::move(path)), hash(std::move(hash)), device(device) {}
    ~LoadedModel();
    LoadedModel(const LoadedModel &) = delete;

    bool              has_tensor(const char * name);
    const TokenRows & token_rows();  // read at the first call; any lane may make it
    void              read_head();   // before there are lanes with it
    bool              has_head() const { return !head.empty(); }

    llama_model * const model;
    const std::string   path;
    const std::string   hash;    // of the file; see guard/gguf/file.h
    const int32_t       device;  // index of the GPU that holds the layers, or -1 for the CPU
    std::unique_ptr<Reordered> reordered{ new Reordered };
    PanelledWeights            panelled;
    std::vector<float>         head;  // labels x dimensions, where classifies_last_token (shim/decoder.h) and the file has it; else empty

  private:
    std::mutex                 mutex;
    std::unique_ptr<TokenRows> rows;
    std::optional<std::set<std::string>> names;  // of the file's tensors
};

}  // namespace saur
