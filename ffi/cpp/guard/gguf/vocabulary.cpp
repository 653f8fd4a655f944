#include "guard/gguf/vocabulary.h"

#include "gguf.h"
#include "guard/gguf/limits.h"

#include <string>

namespace saur {
namespace {

const char TOKENS[] = "tokenizer.ggml.tokens";

// WordPiece puts these two around every text and asserts that they are there; the defaults are llama.cpp's.
void check_word_piece(const GgufHeader & keys, uint64_t n_tokens) {
    const struct {
        const char * key;
        double       otherwise;
    } specials[] = { { "tokenizer.ggml.bos_token_id", 101 }, { "tokenizer.ggml.seperator_token_id", 102 } };
    for (const auto & special : specials) {
        const double id = keys.first(special.key, special.otherwise);
        if (id >= (double) n_tokens) {
            refuse(special.key, id, "the vocabulary has " + std::to_string(n_tokens) + " tokens");
        }
    }
}

}  // namespace

void check_vocabulary(const ModelFiles & files) {
    const GgufHeader & keys   = files.keys();
    const GgufField *  tokens = keys.find(TOKENS);
    if (!tokens) {
        return;
    }
    if (!tokens->array || tokens->type != GGUF_TYPE_STRING) {
        throw Unsound(std::string(TOKENS) + " must be a list of strings");
    }
    if (tokens->count < 1 || tokens->count > MAX_TOKENS) {
        refuse(std::string("the number of ") + TOKENS, (double) tokens->count, "must be from 1 to " + std::to_string(MAX_TOKENS));
    }
    if (tokens->longest > MAX_TOKEN_BYTES) {
        refuse(std::string("the longest of ") + TOKENS, (double) tokens->longest,
               "may have " + std::to_string(MAX_TOKEN_BYTES) + " bytes");
    }
    if (keys.text("tokenizer.ggml.model") == "bert") {
        check_word_piece(keys, tokens->count);
    }
}

}  // namespace saur
