#include "shim/loaded_model.h"

#include "ggml.h"
#include "gguf.h"
#include "guard/gguf/file.h"

#include <cstdio>
#include <cstring>
#include <stdexcept>

#if defined(__linux__)
#    include <malloc.h>
#endif

namespace saur {
namespace {

struct File {
    explicit File(const std::string & path) {
        gguf_init_params params = { /*no_alloc*/ true, &tensors };
        gguf                    = gguf_init_from_file(path.c_str(), params);
        if (!gguf) {
            throw std::runtime_error("cannot read the header of " + path);
        }
    }
    ~File() {
        gguf_free(gguf);
        ggml_free(tensors);
    }
    File(const File &) = delete;

    ggml_context * tensors = nullptr;
    gguf_context * gguf    = nullptr;
};

// The file that a model was loaded from, with its data.
struct SameFile : File {
    SameFile(const std::string & path, const std::string & hash) :
        File(unchanged(path, hash)), data(ggml_fopen(path.c_str(), "rb"), fclose) {
        if (!data) {
            throw std::runtime_error("cannot open " + path);
        }
    }

    std::vector<uint8_t> read(const char * name) const {
        const int64_t id = gguf_find_tensor(gguf, name);
        if (id < 0) {
            throw std::runtime_error(std::string("the model has no tensor ") + name);
        }
        std::vector<uint8_t> bytes(gguf_get_tensor_size(gguf, id));
        const int64_t offset = (int64_t) (gguf_get_data_offset(gguf) + gguf_get_tensor_offset(gguf, id));
        if (!seek_from_start(data.get(), offset) || fread(bytes.data(), 1, bytes.size(), data.get()) != bytes.size()) {
            throw std::runtime_error(std::string("cannot read the tensor ") + name);
        }
        return bytes;
    }

  private:
    static const std::string & unchanged(const std::string & path, const std::string & hash) {
        std::string error;
        if (check_model_file(path, error) != SAUR_OK || hash_of_file(path) != hash) {
            throw std::runtime_error(path + " was changed after it was loaded: load it again");
        }
        return path;
    }

    std::unique_ptr<FILE, int (*)(FILE *)> data;
};

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

InputEmbeddings::InputEmbeddings(const std::string & path, const std::string & hash) {
    const SameFile      file(path, hash);
    const ggml_tensor * tokens = ggml_get_tensor(file.tensors, "token_embd.weight");
    const ggml_tensor * types  = ggml_get_tensor(file.tensors, "token_types.weight");
    if (!tokens || !types || types->ne[1] < 2 || types->ne[0] != tokens->ne[0]) {
        throw std::runtime_error("the model has no embeddings of two token types");
    }
    n_embd    = tokens->ne[0];
    type      = tokens->type;
    row_bytes = ggml_row_size(tokens->type, n_embd);
    raw       = file.read("token_embd.weight");
    const std::vector<uint8_t> two = file.read("token_types.weight");
    const size_t               one = ggml_row_size(types->type, n_embd);
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
    reordered.reset();
    llama_model_free(model);
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

bool LoadedModel::has_tensor(const char * name) {
    std::lock_guard<std::mutex> lock(mutex);
    if (!names) {
        // The whole header with its vocabulary is read for it, so it is read once.
        const File            file(path);
        std::set<std::string> found;
        for (int64_t i = 0; i < gguf_get_n_tensors(file.gguf); i++) {
            found.insert(gguf_get_tensor_name(file.gguf, i));
        }
        names = std::move(found);
    }
    return names->count(name) > 0;
}

const InputEmbeddings & LoadedModel::input_embeddings() {
    std::lock_guard<std::mutex> lock(mutex);
    if (!inputs) {
        inputs.reset(new InputEmbeddings(path, hash));
    }
    return *inputs;
}

void LoadedModel::read_head() {
    const SameFile      file(path, hash);
    const ggml_tensor * tensor = ggml_get_tensor(file.tensors, "cls.output.weight");
    if (tensor && tensor->ne[0] == llama_model_n_embd_out(model) && tensor->ne[1] == llama_model_n_cls_out(model)) {
        const std::vector<uint8_t> raw = file.read(tensor->name);
        head.resize((size_t) ggml_nelements(tensor));
        to_float(tensor->type, raw.data(), head.data(), ggml_nelements(tensor));
    }
}

}  // namespace saur
