// Keeps the regular expressions that texts are split with before their byte pairs. Goes before unicode.cpp (build/CMakeLists.txt),
// and before nothing else.
//
// llama.cpp makes an expression anew for each text, each piece between a user's own tokens, and each word of the tokenizer
// "whitespace": .02 to 1.9 ms of processor time, which all but the expressions of GPT-2, Llama 3 and Qwen take. A title took 1.9 ms
// with granite-embedding-multilingual's (now .1), 0.87 with Tekken's (.09), 0.10 with StarCoder's (.03); 6,562 characters of
// words took 1.05 s, now .03 (Intel Xeon, gcc 12). Each lane keeps its own: matching reads them only, making them allocates, and an
// abort may throw there (AbortPoints), which leaves the map as it was. The patterns are llama.cpp's own, at most six a model.
// Patch 0006 of scripts/upstream would end it.
#pragma once

#include <map>
#include <regex>
#include <string>

namespace std {  // where unicode.cpp looks for the name

template <typename Char> class saur_kept_regex {
  public:
    saur_kept_regex(const basic_string<Char> & pattern, regex_constants::syntax_option_type flags) : regex(kept(pattern, flags)) {}
    operator const basic_regex<Char> &() const { return regex; }

  private:
    static const basic_regex<Char> & kept(const basic_string<Char> & pattern, regex_constants::syntax_option_type flags) {
        static thread_local map<basic_string<Char>, basic_regex<Char>> all;
        const auto                                                     found = all.find(pattern);
        return found != all.end() ? found->second : all.emplace(pattern, basic_regex<Char>(pattern, flags)).first->second;
    }

    const basic_regex<Char> & regex;
};

}  // namespace std

#define basic_regex saur_kept_regex
