#include "shim/decoder.h"

#include "ggml-backend.h"
#include "shim/loaded_model.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace saur {

bool is_causal_decoder(const LoadedModel & loaded) {
    const llama_model * model = loaded.model;
    return llama_model_has_decoder(model) && !llama_model_has_encoder(model) && !llama_model_is_recurrent(model) &&
           !llama_model_is_hybrid(model) && loaded.attention.causal;
}

// Those whose graph was read in the pinned llama.cpp (src/models): `res->t_embd`, which embeddings are made of, is the
// tensor "result_norm", and only the head comes after it.
bool exposes_hidden_states(const llama_model * model) {
    const std::string architecture = metadata(model, "general.architecture");
    for (const char * name : { "llama", "mistral3", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen3moe", "qwen3vl", "gemma",
                               "gemma2", "gemma3", "phi3", "olmo2", "granite", "stablelm", "exaone4", "smollm3", "glm4" }) {
        if (architecture == name) {
            return true;
        }
    }
    return false;
}

// Of the decoders, llama.cpp takes the last token for these only, and reads no other tensor of a head than cls.output
// (`llm_graph_input_cls`, `build_pooling`, src/models/qwen3.cpp).
bool classifies_last_token(const llama_model * model) {
    const std::string architecture = metadata(model, "general.architecture");
    return architecture == "qwen3" || architecture == "qwen3vl";
}

bool HiddenStates::on_tensor(ggml_tensor * tensor, bool ask, void * user) {
    auto & states = *(HiddenStates *) user;
    if (ask) {
        return strcmp(tensor->name, "result_norm") == 0;
    }
    // Another shape leaves too few rows, which is an error then; so does a type that is not f32.
    if (tensor->type == GGML_TYPE_F32 && tensor->ne[0] == states.width && ggml_is_contiguous(tensor)) {
        const size_t before = states.rows.size();
        states.rows.resize(before + (size_t) ggml_nelements(tensor));
        ggml_backend_tensor_get(tensor, states.rows.data() + before, 0, ggml_nbytes(tensor));
    }
    return false;
}

}  // namespace saur
