// A model in memory, and what of its file llama.h does not give: the names of its tensors, and the numbers of three of them.
#pragma once
#include "guard/gguf/model_files.h"
#include "kernels/panelled_weights.h"
#include "llama.h"
#include "shim/attention.h"
#include "shim/head.h"
#include "shim/word_pieces.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace saur {

// A value of the file's metadata as text; empty if it is not there.
std::string metadata(const llama_model * model, const std::string & key);

// A tensor's numbers as they are in its file, widened. Throws std::runtime_error.
std::vector<float> floats_of(const ModelFiles & files, const ModelTensor & tensor);

// Input embeddings of tokens in segment A or B. llama.cpp's graph adds the embedding of segment A (token type 0) to every
// input row (src/models/bert.cpp: "token types are hardcoded to zero"). It takes rows in place of token ids where a batch
// has `embd` (`build_inp_embd`): there a token of segment B gets the difference of the two types on top.
class InputEmbeddings {
  public:
    // Throws std::runtime_error when the files have no token_embd.weight and token_types.weight of two rows.
    explicit InputEmbeddings(const ModelFiles & files);
    // Writes the row of a token, n_embd floats.
    void    row(int32_t token, bool in_segment_b, float * out) const;
    int64_t n_embd = 0;

  private:
    std::vector<uint8_t> raw;  // token_embd.weight as it is in its file
    size_t               row_bytes = 0;
    int                  type      = 0;
    std::vector<float>   difference;  // of the two token types
};

struct LoadedModel {
    LoadedModel(llama_model * model, ModelFiles files, std::string hash, int32_t device) :
        model(model), files(std::move(files)), hash(std::move(hash)), device(device) {}
    ~LoadedModel();
    LoadedModel(const LoadedModel &) = delete;

    bool                    has_tensor(const char * name) const { return files.find(name) != nullptr; }
    const InputEmbeddings & input_embeddings() const;  // throws std::runtime_error where they were not read
    // While the model is loaded, before there are lanes with it: what happens to a file afterwards changes nothing.
    void                    read_input_embeddings();
    void                    read_head();
    const WordPieces &      word_pieces();  // made at the first call; any lane may make it
    bool                    has_head() const { return !head.empty(); }

    llama_model * const model;
    const ModelFiles    files;
    const std::string   hash;    // of the files as they were loaded
    const int32_t       device;  // index of the GPU that holds the layers, or -1 for the CPU
    Attention           attention;  // as it is computed
    PanelledWeights     panelled;
    std::unique_ptr<const Head> own_head;  // what is computed of llama.cpp's rows; NULL: nothing
    std::vector<float>  head;  // labels x dimensions, where classifies_last_token (shim/decoder.h) and the file has it; else empty

  private:
    std::mutex                       mutex;  // of pieces
    std::unique_ptr<InputEmbeddings> inputs;
    std::unique_ptr<WordPieces>      pieces;
};

}  // namespace saur
