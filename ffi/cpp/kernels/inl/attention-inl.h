// Included by arch/*.cpp (kernels-inl.h) after sight-inl.h; needs WIDTH, load_halves, sum_of, largest_of.
//
// Attention by sequence: a pass packs several texts, and each token sees its own text alone, which the mask says. Its rows are
// read first, so nothing is computed where it is -infinity throughout.
//
// computes  FLASH_ATTN_EXT without sinks and softcap: for a query q the sum of w_t v_t over the sum of w_t, w_t = exp(scale
//           q.k_t + slope mask_t - the largest of these), t over what the mask lets q see
// layout    of one head and one run of tokens, as floats, with zeros up to the next vector:
//             keys   [dimension][token]   a vector is one dimension of WIDTH tokens
//             values [token][dimension]   a vector is WIDTH dimensions of one token
//             tile   QUERIES rows by SPAN vectors of sums, in registers
// rounds    keys and values come as 16- or 32-bit floats; scores, weights and sums are 32-bit floats, e^x is off by 1e-7 of
//           itself. Stock sums in 16 bits in passes of less than 64 tokens.
// sums      a score over the dimensions from 0 on; the weights of the tokens that the query sees in lane i mod WIDTH, i from
//           the first of them on, then the lanes; the values over the same tokens. What else is in the pass changes none of it:
//           a text alone and in a pack are equal. Where a prefix that it shares is not next to it, what lies between is left out
//           before anything is read (sight-inl.h), since a processor's own tiles sum by a token's place.
// measured  with GELU and q8_0 products: MiniLM alone and in a pack agree to 5e-8, f32 is off by 6e-5 and not 4.6e-4 (commit 624e109).
#pragma once
#include "ggml.h"
#include "kernels/kernels.h"

#include <math.h>

namespace {

// Keys and values of one head over [begin, end) as floats: keys by dimension, so that vectors run over the tokens;
// values by token, so that they run over the dimensions. Both have zeros up to the next vector.
struct Head {
    int64_t dimensions, out_dimensions;
    int64_t begin, key_stride, value_stride;
    float * keys;
    float * values;
};

const int QUERIES = 4;                    // rows of a tile
const int MOST    = 16;                   // of one of the processor's
const int SPAN    = WIDTH == 16 ? 4 : 2;  // vectors of a tile

inline Floats load_some(const char * p, bool halves, int64_t at, int64_t n) {
    return halves ? load_halves_part((const uint16_t *) p + at, n) : load_part((const float *) p + at, n);
}

Head read_head(const ggml_tensor * k, const ggml_tensor * v, int64_t i2, int64_t i3, const Sight & sight, saur::Scratch & scratch) {
    const int64_t n = sight.end - sight.begin, padded = rounded_up(n, WIDTH) + WIDTH;  // a tile's span may begin anywhere
    Head h = { k->ne[0], v->ne[0], sight.begin, padded, rounded_up(v->ne[0], WIDTH), nullptr, nullptr };
    h.keys   = scratch.get<float>(saur::Scratch::KEYS, h.dimensions * padded);
    h.values = scratch.get<float>(saur::Scratch::VALUES, n * h.value_stride);
    for (int64_t t = 0; t < n; t++) {
        const char * key   = sight.row_of(k, t, i2, i3);
        const char * value = sight.row_of(v, t, i2, i3);
        for (int64_t c = 0; c < h.dimensions; c += WIDTH) {
            const Floats  part = load_some(key, k->type == GGML_TYPE_F16, c, h.dimensions - c);
            const int64_t some = h.dimensions - c < WIDTH ? h.dimensions - c : WIDTH;
            for (int64_t i = 0; i < some; i++) {
                h.keys[(c + i) * padded + t] = part[i];
            }
        }
        for (int64_t c = 0; c < h.out_dimensions; c += WIDTH) {
            store(h.values + t * h.value_stride + c,
                  load_some(value, v->type == GGML_TYPE_F16, c, h.out_dimensions - c));
        }
    }
    for (int64_t c = 0; c < h.dimensions; c++) {
        memset(h.keys + c * padded + n, 0, (size_t) (padded - n) * sizeof(float));
    }
    return h;
}

// The dot products of R queries with V vectors of keys. `queries` has the R beside each other for each dimension.
template <int R, int V>
inline void score(const Head & head, const float * queries, const float * keys, float * scores, int64_t stride) {
    Floats sums[R][V] = {};
    for (int64_t c = 0; c < head.dimensions; c++, keys += head.key_stride) {
        Floats k[V];
        for (int i = 0; i < V; i++) {
            k[i] = load(keys + i * WIDTH);
        }
        for (int r = 0; r < R; r++) {
            const Floats q = splat(queries[c * R + r]);
            for (int i = 0; i < V; i++) {
                sums[r][i] += q * k[i];
            }
        }
    }
    for (int r = 0; r < R; r++) {
        for (int i = 0; i < V; i++) {
            store(scores + r * stride + i * WIDTH, sums[r][i]);
        }
    }
}

// V vectors of the sums of n values, weighted.
template <int R, int V>
inline void weigh(const Head & head, const float * weights, int64_t stride, const float * values, int64_t n,
                  const float * totals, float * const * out, int64_t columns) {
    Floats sums[R][V] = {};
    for (int64_t t = 0; t < n; t++, values += head.value_stride) {
        Floats v[V];
        for (int i = 0; i < V; i++) {
            v[i] = load(values + i * WIDTH);
        }
        for (int r = 0; r < R; r++) {
            const Floats w = splat(weights[r * stride + t]);
            for (int i = 0; i < V; i++) {
                sums[r][i] += w * v[i];
            }
        }
    }
    for (int r = 0; r < R; r++) {
        for (int i = 0; i < V; i++) {
            store_part(out[r] + i * WIDTH, sums[r][i] * (totals[r] == 0 ? 0.0f : 1.0f / totals[r]), columns - i * WIDTH);
        }
    }
}

// Scores become weights, not yet divided by their sum, which is returned.
float soften(float * scores, int64_t n) {
    const int64_t padded = rounded_up(n, WIDTH);
    for (int64_t t = n; t < padded; t++) {
        scores[t] = -INFINITY;
    }
    Floats most = splat(-INFINITY);
    for (int64_t t = 0; t < padded; t += WIDTH) {
        most = larger(load(scores + t), most);
    }
    const float peak = largest_of(most);
    Floats      sum  = {};
    for (int64_t t = 0; t < padded; t += WIDTH) {
        const Floats weight = exp_of(load(scores + t) - peak);
        store(scores + t, weight);
        sum += weight;
    }
    return sum_of(sum);
}

// The sum of the weights of what a row sees, one after another as if nothing hidden were between them; `weights` are those from
// the range's first on.
template <class Bits> float sum_of_seen(const float * weights, const Bits * mask, const Range & range) {
    Floats        sum = {};
    const int64_t n   = range.end - range.begin;
    if (range.whole) {
        for (int64_t t = 0; t < n; t += WIDTH) {
            sum += load_part(weights + t, n - t);
        }
        return sum_of(sum);
    }
    float some[WIDTH];
    int   count = 0;
    for (int64_t t = 0; t < n; t++) {
        if (!is_hidden(mask[range.begin + t])) {
            some[count++] = weights[t];
        }
        if (count == WIDTH || t == n - 1) {
            sum += load_part(some, count);
            count = 0;
        }
    }
    return sum_of(sum);
}

// One tile: some queries over [begin, end), the union of their ranges.
struct Queries {
    int              rows;
    const float *    queries[MOST];
    const uint16_t * masks[MOST];  // NULL where the range is all of the tile's and plain
    const Range *    ranges;       // one a row
    bool             blind[MOST];  // sees nothing
    float *          out[MOST];
    int64_t          begin, end;
    float            scale, slope;
};

// A row's scores of n tokens from `begin` on become weights; the sum of them is returned, 0 for one that sees nothing.
float soften_row(const Queries & tile, int r, float * scores, int64_t begin, int64_t n) {
    for (int64_t i = 0; tile.masks[r] && i < n; i += WIDTH) {
        const Floats mask = load_halves_part(tile.masks[r] + begin + i, n - i);
        store(scores + i, load(scores + i) + tile.slope * mask);
    }
    const float total = soften(scores, n);
    if (tile.blind[r]) {
        memset(scores, 0, (size_t) n * sizeof(float));
        return 0;
    }
    const Range & range = tile.ranges[r];
    return range.whole && range.begin == begin ? total : sum_of_seen(scores + range.begin - begin, tile.masks[r], range);
}

template <int R> void attend(const Head & head, const Queries & tile, saur::Scratch & scratch) {
    const int64_t n = tile.end - tile.begin, stride = rounded_up(n, WIDTH), at = tile.begin - head.begin;
    float *       scores  = scratch.get<float>(saur::Scratch::SCORES, R * (stride + head.dimensions));
    float *       queries = scores + R * stride;
    for (int64_t c = 0; c < head.dimensions; c++) {
        for (int r = 0; r < R; r++) {
            queries[c * R + r] = tile.queries[r][c] * tile.scale;
        }
    }
    int64_t t = 0;
    for (; t + SPAN * WIDTH <= stride; t += SPAN * WIDTH) {
        score<R, SPAN>(head, queries, head.keys + at + t, scores + t, stride);
    }
    for (; t < stride; t += WIDTH) {
        score<R, 1>(head, queries, head.keys + at + t, scores + t, stride);
    }
    float totals[R];
    for (int r = 0; r < R; r++) {
        totals[r] = soften_row(tile, r, scores + r * stride, tile.begin, n);
    }
    const float * values = head.values + at * head.value_stride;
    int64_t       c      = 0;
    for (; c + (SPAN - 1) * WIDTH < head.out_dimensions; c += SPAN * WIDTH) {
        float * out[R];
        for (int r = 0; r < R; r++) {
            out[r] = tile.out[r] + c;
        }
        weigh<R, SPAN>(head, scores, stride, values + c, n, totals, out, head.out_dimensions - c);
    }
    for (; c < head.out_dimensions; c += WIDTH) {
        float * out[R];
        for (int r = 0; r < R; r++) {
            out[r] = tile.out[r] + c;
        }
        weigh<R, 1>(head, scores, stride, values + c, n, totals, out, head.out_dimensions - c);
    }
}

// By vectors: the way for every processor and type. `By` below is this or the processor's own tiles.
struct ByVectors {
    typedef Head Keys;
    static const int QUERIES = ::QUERIES;

    static Head read(const ggml_tensor * k, const ggml_tensor * v, int64_t i2, int64_t i3, const Sight & sight, saur::Scratch & scratch) {
        return read_head(k, v, i2, i3, sight, scratch);
    }
    static void attend(const Head & head, const Queries & tile, saur::Scratch & scratch) {
        switch (tile.rows) {
            case 1:  return ::attend<1>(head, tile, scratch);
            case 2:  return ::attend<2>(head, tile, scratch);
            case 3:  return ::attend<3>(head, tile, scratch);
            default: return ::attend<QUERIES>(head, tile, scratch);
        }
    }
};

// The rows of a sight for one head; `ranges` has one a row.
template <class By>
void attend_rows(ggml_tensor * op, const typename By::Keys & head, const Sight & sight, const Range * ranges, int64_t i2, int64_t i3,
                 saur::Scratch & scratch) {
    const ggml_tensor * q = op->src[0];
    float               params[2];  // scale, max_bias
    memcpy(params, op->op_params, sizeof(params));
    for (int64_t i = sight.from; i < sight.to; i += By::QUERIES) {
        Queries tile;
        tile.rows   = (int) (sight.to - i < By::QUERIES ? sight.to - i : By::QUERIES);
        tile.scale  = params[0];
        tile.slope  = slope_of(i2, q->ne[2], params[1]);
        tile.ranges = ranges + i;
        tile.begin  = INT64_MAX;
        tile.end    = 0;
        for (int r = 0; r < tile.rows; r++) {
            const Range & range = ranges[i + r];
            tile.blind[r]       = range.begin >= range.end;
            if (!tile.blind[r]) {
                tile.begin = range.begin < tile.begin ? range.begin : tile.begin;
                tile.end   = range.end > tile.end ? range.end : tile.end;
            }
        }
        if (tile.end == 0) {
            tile.begin = sight.begin;
            tile.end   = sight.begin;
        }
        for (int r = 0; r < tile.rows; r++) {
            const Range & range = ranges[i + r];
            const bool    plain = range.plain && range.begin == tile.begin && range.end == tile.end;
            tile.queries[r] = (const float *) ((const char *) q->data + (i + r) * q->nb[1] + i2 * q->nb[2] + i3 * q->nb[3]);
            tile.out[r]     = (float *) ((char *) op->data + i2 * op->nb[1] + (i + r) * op->nb[2] + i3 * op->nb[3]);
            tile.masks[r]   = plain || tile.blind[r] ? nullptr : sight.mask_of(i + r);
        }
        By::attend(head, tile, scratch);
    }
}

template <class By> void attend_by(ggml_tensor * op, saur::Scratch & scratch) {
    const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
    const int64_t      rows = q->ne[1], group = q->ne[2] / k->ne[2], planes = mask ? mask->ne[2] : 1;
    Range *            ranges = scratch.get<Range>(saur::Scratch::RANGES, rows);
    for (int64_t i3 = 0; i3 < q->ne[3]; i3++) {
        for (int64_t plane = 0; plane < planes; plane++) {
            Sight whole = { 0, rows, 0, k->ne[1], nullptr, nullptr, 0 };
            if (mask) {
                whole.mask   = (const char *) mask->data + plane * mask->nb[2] + i3 % mask->ne[3] * mask->nb[3];
                whole.stride = mask->nb[1];
            }
            for (int64_t i = 0; i < rows; i++) {
                ranges[i] = mask ? range_of(whole.mask_of(i), (int32_t) k->ne[1]) : Range{ 0, (int32_t) k->ne[1], true, true };
            }
            for (int64_t from = 0; from < rows;) {
                const Sight sight = next_sight(whole, from, ranges, scratch);
                for (int64_t shared = 0; shared < k->ne[2]; shared++) {
                    const auto head = By::read(k, v, shared, i3, sight, scratch);
                    for (int64_t i2 = shared * group; i2 < (shared + 1) * group; i2++) {
                        if (i2 % planes == plane) {
                            attend_rows<By>(op, head, sight, ranges, i2, i3, scratch);
                        }
                    }
                }
                from = sight.to;
            }
        }
    }
}

void attention(ggml_tensor * op, saur::Scratch & scratch) { attend_by<ByVectors>(op, scratch); }

}  // namespace
