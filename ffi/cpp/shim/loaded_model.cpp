#include "shim/loaded_model.h"

#include "ggml.h"
#include "os/os.h"

#include <cstring>
#include <stdexcept>

namespace saur {
namespace {

void to_float(int type, const uint8_t * data, float * out, int64_t n) {
    if (type == GGML_TYPE_F32) {
        memcpy(out, data, (size_t) n * sizeof(float));
    } else {
        ggml_get_type_traits((ggml_type) type)->to_float(data, out, n);
    }
}

}  // namespace

std::string metadata(const llama_model * model, const std::string & key) {
    const int32_t n = llama_model_meta_val_str(model, key.c_str(), nullptr, 0);
    if (n < 0) {
        return "";
    }
    std::string value((size_t) n + 1, '\0');
    llama_model_meta_val_str(model, key.c_str(), &value[0], value.size());
    value.resize((size_t) n);
    return value;
}

std::vector<float> floats_of(const ModelFiles & files, const ModelTensor & tensor) {
    const std::vector<uint8_t> raw = files.read(tensor);
    std::vector<float>         numbers((size_t) (tensor.ne[0] * tensor.ne[1] * tensor.ne[2] * tensor.ne[3]));
    to_float(tensor.type, raw.data(), numbers.data(), (int64_t) numbers.size());
    return numbers;
}

InputEmbeddings::InputEmbeddings(const ModelFiles & files) {
    const ModelTensor * tokens = files.find("token_embd.weight");
    const ModelTensor * types  = files.find("token_types.weight");
    if (!tokens || !types || types->ne[1] < 2 || types->ne[0] != tokens->ne[0]) {
        throw std::runtime_error("the model has no embeddings of two token types");
    }
    n_embd    = tokens->ne[0];
    type      = tokens->type;
    row_bytes = ggml_row_size((ggml_type) tokens->type, n_embd);
    raw       = files.read(*tokens);
    const std::vector<uint8_t> two = files.read(*types);
    const size_t               one = ggml_row_size((ggml_type) types->type, n_embd);
    std::vector<float>         first(n_embd);
    difference.resize(n_embd);
    to_float(types->type, two.data(), first.data(), n_embd);
    to_float(types->type, two.data() + one, difference.data(), n_embd);
    for (int64_t i = 0; i < n_embd; i++) {
        difference[i] -= first[i];
    }
}

void InputEmbeddings::row(int32_t token, bool in_segment_b, float * out) const {
    to_float(type, raw.data() + (size_t) token * row_bytes, out, n_embd);
    for (int64_t i = 0; in_segment_b && i < n_embd; i++) {
        out[i] += difference[i];
    }
}

// glibc keeps what a thread has freed for that thread's arena; lanes and their workers come and go, and what was 25 MB of
// weights would stay with each.
LoadedModel::~LoadedModel() {
    llama_model_free(model);
    os::trim_heap();
}

const InputEmbeddings & LoadedModel::input_embeddings() const {
    if (!inputs) {
        throw std::runtime_error("the model has no embeddings of two token types, or is no BERT cross-encoder");
    }
    return *inputs;
}

void LoadedModel::read_input_embeddings() { inputs.reset(new InputEmbeddings(files)); }

const WordPieces & LoadedModel::word_pieces() {
    std::lock_guard<std::mutex> lock(mutex);
    if (!pieces) {
        pieces.reset(new WordPieces(llama_model_get_vocab(model)));
    }
    return *pieces;
}

void LoadedModel::read_head() {
    const ModelTensor * tensor = files.find("cls.output.weight");
    if (tensor && tensor->ne[0] == llama_model_n_embd_out(model) && tensor->ne[1] == llama_model_n_cls_out(model)) {
        head = floats_of(files, *tensor);
    }
}

}  // namespace saur
