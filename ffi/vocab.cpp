// Tokenising: many texts in one job, since a thousand of them would hold the JavaScript thread for 40 ms.
#include "lane.h"

#include <algorithm>

using saur::answer;

// special[i]: 1 adds the tokens that the model wants around text i, 2 parses those written in it
int32_t saur_vocab_tokenize(saur_lane * lane, saur_model * model, const char * utf8, const int32_t * lengths,
                            const int32_t * special,
                            int32_t n_texts) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    if (n_texts < 0 || std::any_of(lengths, lengths + std::max(0, n_texts), [](int32_t n) { return n < 0; })) {
        return SAUR_BAD_ARGUMENT;
    }
    return answer<int32_t>(SAUR_OUT_OF_MEMORY, [&] {
        size_t bytes = 0;
        for (int32_t i = 0; i < n_texts; i++) {
            bytes += (size_t) lengths[i];
        }
        lane->text.assign(utf8, bytes);
        lane->lengths.assign(lengths, lengths + n_texts);
        lane->seconds.assign(special, special + n_texts);
        lane->abort = 0;
        return lane->start([lane, held = model->model]() -> int32_t {
            const llama_vocab * vocab = llama_model_get_vocab(held->model);
            lane->tokens.clear();
            lane->counts.clear();
            size_t at = 0;
            for (size_t i = 0; i < lane->lengths.size(); i++) {
                const int32_t length = lane->lengths[i], special = lane->seconds[i];
                if (lane->abort || saur::exiting()) {
                    return SAUR_ABORTED;
                }
                const size_t start = lane->tokens.size();
                int32_t      room  = length / 2 + 16;
                int32_t      n;
                for (;;) {
                    lane->tokens.resize(start + (size_t) room);
                    n = llama_tokenize(vocab, lane->text.data() + at, length, lane->tokens.data() + start, room,
                                       (special & 1) != 0, (special & 2) != 0);
                    if (n >= 0) {
                        break;
                    }
                    if (n == INT32_MIN || -n <= room) {
                        return SAUR_OUT_OF_MEMORY;
                    }
                    room = -n;
                }
                lane->tokens.resize(start + (size_t) n);
                lane->counts.push_back(n);
                at += (size_t) length;
            }
            return SAUR_OK;
        });
    });
}

int32_t saur_vocab_counts(saur_lane * lane, int32_t * out, int32_t size) {
    if (!lane->idle() || size < (int32_t) lane->counts.size()) {
        return SAUR_BAD_ARGUMENT;
    }
    std::copy(lane->counts.begin(), lane->counts.end(), out);
    return (int32_t) lane->tokens.size();
}

int32_t saur_vocab_tokens(saur_lane * lane, int32_t * out, int32_t size) {
    if (!lane->idle() || size < (int32_t) lane->tokens.size()) {
        return SAUR_BAD_ARGUMENT;
    }
    std::copy(lane->tokens.begin(), lane->tokens.end(), out);
    return (int32_t) lane->tokens.size();
}
