// Included by arch/*.cpp (kernels-inl.h) after mask-inl.h and before attention-inl.h; needs nothing.
//
// Divides the rows of an attention into those that are computed together, and says which tokens these see. What a text sees may
// be in two places, a prefix that it shares and its own tokens: those between are left out, so that a token has the place that it
// has where the text is alone.
#pragma once
#include "ggml.h"
#include "kernels/kernels.h"

namespace {

// The rows [from, to) of an attention, and the tokens [begin, end) that they see some of.
struct Sight {
    int64_t         from, to;
    int64_t         begin, end;
    const int32_t * places;  // of each token among the keys; NULL: a token is in its own place
    const char *    mask;    // row 0's, of 16-bit floats; NULL: nothing is hidden
    size_t          stride;  // bytes from one row of the mask to the next

    const uint16_t * mask_of(int64_t row) const { return (const uint16_t *) (mask + row * (int64_t) stride); }
    // The key or value of the i-th token.
    const char * row_of(const ggml_tensor * t, int64_t i, int64_t i2, int64_t i3) const {
        const int64_t place = places ? places[begin + i] : begin + i;
        return (const char *) t->data + place * (int64_t) t->nb[1] + i2 * (int64_t) t->nb[2] + i3 * (int64_t) t->nb[3];
    }
};

// Where the last tokens begin that a row sees without a gap: those of its own text.
int32_t own_begin(const Range & range, const uint16_t * mask) {
    int32_t begin = range.whole ? range.begin : range.end;
    while (begin > range.begin && !is_hidden(mask[begin - 1])) {
        begin--;
    }
    return begin;
}

// The rows from `from` on that belong to those before, as `belongs(row, sight so far)` says; `gaps`: one does not see all between its
// first token and its last.
template <class Belongs> Sight rows_while(const Sight & all, int64_t from, const Range * ranges, bool & gaps, Belongs belongs) {
    Sight sight = all;
    sight.from  = from;
    sight.begin = ranges[from].begin;
    sight.end   = ranges[from].end;
    gaps        = !ranges[from].whole;
    for (sight.to = from + 1; sight.to < all.to && belongs(sight.to, sight); sight.to++) {
        const Range & range = ranges[sight.to];
        sight.begin = range.begin < sight.begin ? range.begin : sight.begin;
        sight.end   = range.end > sight.end ? range.end : sight.end;
        gaps        = gaps || !range.whole;
    }
    return sight;
}

// The same rows and tokens without those tokens that none of the rows sees; `ranges` become those of what is left.
Sight without_gaps(const Sight & sight, Range * ranges, saur::Scratch & scratch) {
    const int64_t n = sight.end - sight.begin;
    auto *        places = scratch.get<int32_t>(saur::Scratch::PLACES, n);
    int64_t       count = 0;
    for (int64_t t = sight.begin; t < sight.end; t++) {
        int64_t row = sight.to - 1;  // the last one sees most
        while (row >= sight.from && is_hidden(sight.mask_of(row)[t])) {
            row--;
        }
        if (row >= sight.from) {
            places[count++] = (int32_t) t;
        }
    }
    auto * mask = scratch.get<uint16_t>(saur::Scratch::MASK, (sight.to - sight.from) * count);
    for (int64_t row = sight.from; row < sight.to; row++) {
        uint16_t * to = mask + (row - sight.from) * count;
        for (int64_t i = 0; i < count; i++) {
            to[i] = sight.mask_of(row)[places[i]];
        }
        ranges[row] = range_of(to, (int32_t) count);
    }
    const size_t stride = (size_t) count * sizeof(uint16_t);
    return { sight.from, sight.to, 0, count, places, (const char *) mask - sight.from * (int64_t) stride, stride };
}

// The rows from `from` on that are computed together: those whose ranges hang together, or, where some are not whole, those of one
// text. Their ranges become those among the tokens of the sight.
Sight next_sight(const Sight & all, int64_t from, Range * ranges, saur::Scratch & scratch) {
    bool  gaps;
    Sight sight = rows_while(all, from, ranges, gaps, [&](int64_t row, const Sight & before) {
        return ranges[row].begin < before.end && ranges[row].end > before.begin;
    });
    if (!gaps) {
        return sight;
    }
    const int32_t own = own_begin(ranges[from], all.mask_of(from));
    sight = rows_while(sight, from, ranges, gaps, [&](int64_t row, const Sight & before) {
        const int32_t begin = own_begin(ranges[row], all.mask_of(row));
        return begin >= own && begin < before.end;
    });
    return gaps ? without_gaps(sight, ranges, scratch) : sight;
}

}  // namespace
