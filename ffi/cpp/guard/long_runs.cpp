#include "guard/long_runs.h"

namespace saur {
namespace {

constexpr size_t LONGEST = 8192;

bool is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Whether a character that is neither letter, digit nor space begins here: ASCII's, and the CJK and full-width ones that
// are E3 80 xx and EF BC xx.
bool is_punctuation(const unsigned char * at, size_t left) {
    const unsigned char c = at[0];
    if (c < 0x80) {
        return c > ' ' && c < 0x7f && !((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'));
    }
    return left > 1 && ((c == 0xe3 && at[1] == 0x80) || (c == 0xef && at[1] == 0xbc));
}

// The best place for a cut behind `from`, at most LONGEST bytes on.
size_t cut_behind(const unsigned char * text, size_t size, size_t from) {
    size_t cut = from + LONGEST;
    while (cut > from + 1 && (text[cut] & 0xc0) == 0x80) {
        cut--;
    }
    for (size_t at = cut; at > from + LONGEST / 2; at--) {
        if (is_punctuation(text + at, size - at)) {
            return at;
        }
    }
    return cut;
}

}  // namespace

std::vector<size_t> cuts_of_long_runs(const char * text, size_t size) {
    const unsigned char * bytes = (const unsigned char *) text;
    std::vector<size_t>   cuts;
    size_t                from = 0;
    for (size_t at = 1; at < size; at++) {
        if (is_space(bytes[at]) != is_space(bytes[at - 1])) {
            from = at;
        } else if (at - from >= LONGEST) {
            from = cut_behind(bytes, size, from);
            cuts.push_back(from);
        }
    }
    return cuts;
}

}  // namespace saur
