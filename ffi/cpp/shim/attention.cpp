#include "shim/attention.h"

#include "gguf.h"

#include <cctype>

namespace saur {

namespace {

// Those that were never trained otherwise, whatever their files say. llama-embed is a Llama in all else, and llama.cpp's
// converter writes neither pooling nor attention of it (LlamaEmbedNemotronModel, conversion/llama.py).
bool is_never_causal(const std::string & architecture) {
    for (const char * name :
         { "bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "modern-bert", "neo-bert", "eurobert",
           "gemma-embedding", "llama-embed", "t5encoder", "dream", "llada", "llada-moe", "rnd1" }) {
        if (architecture == name) {
            return true;
        }
    }
    return false;
}

// gte-Qwen2's tokens see the whole text (`is_causal` false in its config.json), which llama.cpp's converter did not write
// down: its file is a Qwen2 like any other but for its name, "gte-Qwen2-1.5B-instruct" or "Gte Qwen2 1.5B Instruct".
bool is_gte_qwen2(const std::string & architecture, std::string name) {
    if (architecture != "qwen2") {
        return false;
    }
    for (char & c : name) {
        c = c == '-' || c == '_' ? ' ' : (char) tolower((unsigned char) c);
    }
    return name.find("gte qwen2") != std::string::npos;
}

}  // namespace

std::string Attention::key(const ModelFiles & files) {
    return files.keys().text("general.architecture") + ".attention.causal";
}

int32_t Attention::setting(const ModelFiles & files) const {
    const GgufField * field = files.keys().find(key(files));
    double            said  = 0;
    if (by == CAUSAL_BY_NOBODY || (field && field->type != GGUF_TYPE_BOOL)) {
        return -1;
    }
    return files.keys().number(key(files), said) && (said != 0) == causal ? -1 : causal;
}

Attention attention_of(const ModelFiles & files, int32_t wanted) {
    const std::string architecture = files.keys().text("general.architecture");
    double            said         = 0;
    if (is_never_causal(architecture)) {
        return { false, CAUSAL_BY_ARCHITECTURE };
    }
    if (wanted >= 0) {
        return { wanted == 1, CAUSAL_BY_OPTION };
    }
    if (files.keys().number(Attention::key(files), said)) {
        return { said != 0, CAUSAL_BY_FILE };
    }
    if (is_gte_qwen2(architecture, files.keys().text("general.name"))) {
        return { false, CAUSAL_BY_NAME };
    }
    return {};
}

}  // namespace saur
