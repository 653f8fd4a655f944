// WordPiece for words that llama.cpp's own would take apart or change first (src/text/bert_normalizer.ts says which).
#pragma once
#include "llama.h"

#include <string>
#include <vector>

namespace saur {

class WordPieces {
  public:
    // Sorts the vocabulary, some 10 ms for 30,000 tokens.
    explicit WordPieces(const llama_vocab * vocab);

    // Appends the tokens of a word, the longest piece first, or the one unknown token if pieces do not make it up.
    void append(const std::string & word, std::vector<llama_token> & tokens) const;

    // Whether the vocabulary has "##▁", which is "▁" in a file: llama.cpp finds it before every word.
    static bool has_bare_marker(const llama_vocab * vocab);

    // Whether the vocabulary is SentencePiece's, taken for WordPiece's by llama.cpp's converter, which puts "▁" before every
    // piece without "##" (BertModel.set_vocab, conversion/bert.py): "▁the" becomes "▁▁the".
    static bool is_sentence_piece(const llama_vocab * vocab);

  private:
    llama_token find(const std::string & text) const;

    const llama_vocab *      vocab;
    std::vector<llama_token> by_text;  // llama.cpp takes no vocabulary with two tokens of one text
    size_t                   longest = 0;
    llama_token              unknown;
};

}  // namespace saur
