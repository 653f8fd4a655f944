#include "shim/word_pieces.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace saur {
namespace {

// Before a piece that begins a word; one that goes on has its text alone ("##ing" is "ing").
const std::string MARKER = "\xe2\x96\x81";

// U+10FFFF, which is no character and in no vocabulary.
const std::string NONCHARACTER = "\xf4\x8f\xbf\xbf";

llama_token unknown_of(const llama_vocab * vocab) {
    llama_token one = LLAMA_TOKEN_NULL;
    if (llama_tokenize(vocab, NONCHARACTER.data(), (int32_t) NONCHARACTER.size(), &one, 1, false, false) != 1) {
        throw std::runtime_error("the vocabulary has no token for unknown words");
    }
    return one;
}

}  // namespace

WordPieces::WordPieces(const llama_vocab * vocab) : vocab(vocab), unknown(unknown_of(vocab)) {
    for (llama_token id = 0; id < llama_vocab_n_tokens(vocab); id++) {
        if (!llama_vocab_is_control(vocab, id)) {
            by_text.push_back(id);
            longest = std::max(longest, strlen(llama_vocab_get_text(vocab, id)));
        }
    }
    std::sort(by_text.begin(), by_text.end(), [vocab](llama_token a, llama_token b) {
        return strcmp(llama_vocab_get_text(vocab, a), llama_vocab_get_text(vocab, b)) < 0;
    });
}

llama_token WordPieces::find(const std::string & text) const {
    const auto at = std::lower_bound(by_text.begin(), by_text.end(), text, [this](llama_token id, const std::string & text) {
        return strcmp(llama_vocab_get_text(vocab, id), text.c_str()) < 0;
    });
    return at != by_text.end() && text == llama_vocab_get_text(vocab, *at) ? *at : LLAMA_TOKEN_NULL;
}

void WordPieces::append(const std::string & word, std::vector<llama_token> & tokens) const {
    const size_t before = tokens.size();
    for (size_t from = 0; from < word.size();) {
        const std::string marker = from == 0 ? MARKER : "";
        // "▁x" is the beginning of a word: that a file's "▁x" was "##▁x" cannot be seen.
        const bool  begins = from > 0 && word.compare(from, MARKER.size(), MARKER) == 0;
        size_t      size   = begins ? MARKER.size() : std::min(word.size() - from, longest);
        llama_token id     = LLAMA_TOKEN_NULL;
        for (; size > 0; size--) {
            id = find(marker + word.substr(from, size));
            if (id != LLAMA_TOKEN_NULL) {
                break;
            }
        }
        if (id == LLAMA_TOKEN_NULL) {
            tokens.resize(before);
            break;
        }
        tokens.push_back(id);
        from += size;
    }
    if (tokens.size() == before) {
        tokens.push_back(unknown);
    }
}

bool WordPieces::has_bare_marker(const llama_vocab * vocab) {
    for (llama_token id = 0; id < llama_vocab_n_tokens(vocab); id++) {
        if (MARKER == llama_vocab_get_text(vocab, id)) {
            return true;
        }
    }
    return false;
}

bool WordPieces::is_sentence_piece(const llama_vocab * vocab) {
    static const char TWICE[] = "\xe2\x96\x81\xe2\x96\x81";  // "▁▁"
    const int32_t     count   = llama_vocab_n_tokens(vocab);
    int32_t           marked  = 0;
    bool              begins  = false;
    for (llama_token id = 0; id < count; id++) {
        const char * text = llama_vocab_get_text(vocab, id);
        begins            = begins || strcmp(text, "<s>") == 0;
        marked += strncmp(text, TWICE, sizeof(TWICE) - 1) == 0;
    }
    // WordPiece may have a "▁" of its own, but no tenth of its pieces begins with one.
    return begins && marked > count / 10;
}

}  // namespace saur
