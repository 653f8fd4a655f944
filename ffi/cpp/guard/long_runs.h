// Texts that llama.cpp's byte-pair tokenizers may not have in one piece.
#pragma once
#include <cstddef>
#include <vector>

namespace saur {

// Where to cut a text so that no run without white space, and none of white space, is longer than 8 KB: offsets in rising
// order, none for an ordinary text. Many pre-tokenizers split by std::regex, which recurses for each character of a match
// and overflows the stack of 8 MB between 18,000 and 36,000 of them. A cut is before punctuation where there is any, since
// that is where a word ends anyway, and never inside a character.
std::vector<size_t> cuts_of_long_runs(const char * text, size_t size);

}  // namespace saur
