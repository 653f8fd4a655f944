#include "guard/gguf/vocabulary.h"

#include "gguf.h"
#include "guard/gguf/limits.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace saur {
namespace {

const char TOKENS[]   = "tokenizer.ggml.tokens";
const char MERGES[]   = "tokenizer.ggml.merges";
const char CHARSMAP[] = "tokenizer.ggml.precompiled_charsmap";

void check_longest(const GgufHeader & keys, const char * key, uint64_t max, const std::string & tokenizer) {
    const GgufField * list = keys.find(key);
    if (list && list->longest > max) {
        refuse(std::string("the longest of ") + key, (double) list->longest,
               "may have " + std::to_string(max) + " bytes with the tokenizer '" + tokenizer + "'");
    }
}

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

// A token as llama_unescape_rwkv_token reads it.
std::string unescaped(const std::string & text) {
    std::string bytes;
    bool        escaping = false;
    int         hex_left = 0;
    uint8_t     value    = 0;
    for (const char c : text) {
        if (hex_left > 0) {
            value = (uint8_t) ((value << 4) + (c >= 'a' ? c - 'a' + 10 : c - '0'));
            if (--hex_left == 0) {
                bytes += (char) value;
                value = 0;
            }
        } else if (escaping) {
            escaping = false;
            if (c == 'x') {
                hex_left = 2;
            } else {
                bytes += c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
            }
        } else if (c == '\\') {
            escaping = true;
        } else {
            bytes += c;
        }
    }
    return bytes;
}

// Where tokens begin with a byte and none of those that a text goes on with is whole, llama.cpp takes token 0 and goes back to
// the text's beginning, for ever. With a token for the byte alone there is always one.
void check_rwkv(const ModelFiles & files, const GgufField & tokens) {
    std::array<bool, 256> begins{}, alone{};
    files.each_text(tokens, [&](uint64_t i, const std::string & text) {
        const std::string bytes = unescaped(text.empty() ? "[EMPTY_" + std::to_string(i) + "]" : text);
        if (!bytes.empty()) {
            begins[(uint8_t) bytes[0]] = true;
            alone[(uint8_t) bytes[0]]  = alone[(uint8_t) bytes[0]] || bytes.size() == 1;
        }
    });
    for (size_t byte = 0; byte < begins.size(); byte++) {
        if (begins[byte] && !alone[byte]) {
            char hex[8];
            snprintf(hex, sizeof(hex), "0x%02x", (unsigned) byte);
            throw Unsound(std::string(TOKENS) + " has tokens that begin with the byte " + hex + " and none for it alone: on a " +
                          "text with it the tokenizer 'rwkv' would not come to an end");
        }
    }
}

// The code points of a text, or -1 if it is not the UTF-8 that llama.cpp would make of them again.
int64_t code_points(const std::string & text) {
    int64_t n = 0;
    for (size_t i = 0; i < text.size(); n++) {
        const uint8_t  c    = (uint8_t) text[i];
        const size_t   size = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
        uint32_t       code = size == 1 ? c : c & (0xff >> (size + 1));
        if (size == 0 || i + size > text.size()) {
            return -1;
        }
        for (size_t j = 1; j < size; j++) {
            const uint8_t more = (uint8_t) text[i + j];
            if ((more & 0xc0) != 0x80) {
                return -1;
            }
            code = code << 6 | (more & 0x3f);
        }
        const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        if (code < least[size] || code > 0x10ffff) {
            return -1;
        }
        i += size;
    }
    return n;
}

// llama.cpp builds a table of all ends of all tokens, in time that grows with the cube of their length, and finds its way in it
// by code points: where a token is not their UTF-8, the table leads behind the text's end.
void check_plamo2(const ModelFiles & files, const GgufField & tokens) {
    double cubes = 0;
    files.each_text(tokens, [&](uint64_t i, const std::string & text) {
        const int64_t n = code_points(text);
        if (n < 0) {
            throw Unsound(std::string(TOKENS) + " has no UTF-8 in token " + std::to_string(i) +
                          ", which the tokenizer 'plamo2' must have");
        }
        cubes += (double) n * (double) n * (double) n;
    });
    if (cubes > MAX_CUBES) {
        refuse(std::string("the sum of the cubes of the lengths of ") + TOKENS, cubes,
               "may be " + shown(MAX_CUBES) + " with the tokenizer 'plamo2', which takes as long as that to load");
    }
}

// A text grows by what its characters are replaced with. The map: four bytes of the size of a search tree, the tree, and the
// replacements, each with a byte 0 at its end.
void check_charsmap(const ModelFiles & files) {
    const GgufField * list = files.keys().find(CHARSMAP);
    if (!list || !list->array || (list->type != GGUF_TYPE_INT8 && list->type != GGUF_TYPE_UINT8)) {
        return;  // there is none, or llama.cpp says so
    }
    const std::vector<uint8_t> map = files.bytes(*list);
    uint32_t                   tree = 0;
    if (map.size() < sizeof(tree)) {
        return;  // likewise
    }
    memcpy(&tree, map.data(), sizeof(tree));
    size_t run = 0;
    for (uint64_t at = sizeof(tree) + (uint64_t) tree; at < map.size(); at++) {
        run = map[(size_t) at] == 0 ? 0 : run + 1;
        if (run > MAX_REPLACEMENT) {
            throw Unsound(std::string(CHARSMAP) + " has a replacement of more than " + std::to_string(MAX_REPLACEMENT) + " bytes");
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
    const std::string tokenizer = keys.text("tokenizer.ggml.model");
    check_longest(keys, TOKENS, tokenizer == "bert" ? MAX_WORD_PIECE_BYTES : MAX_TOKEN_BYTES, tokenizer);
    check_longest(keys, MERGES, 2 * MAX_TOKEN_BYTES + 1, tokenizer);
    if (tokens->squares > MAX_SQUARES) {
        refuse(std::string("the sum of the squares of the lengths of ") + TOKENS, tokens->squares,
               "may be " + shown(MAX_SQUARES) + ": llama.cpp takes that many bytes for them");
    }
    if (tokenizer == "bert") {
        check_word_piece(keys, tokens->count);
    } else if (tokenizer == "rwkv") {
        check_rwkv(files, *tokens);
    } else if (tokenizer == "plamo2") {
        check_plamo2(files, *tokens);
    } else if (tokenizer == "t5") {
        check_charsmap(files);
    }
}

}  // namespace saur
