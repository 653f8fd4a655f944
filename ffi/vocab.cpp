// Tokenising: many texts in one job, since a thousand of them would hold the JavaScript thread for 40 ms.
#include "lane.h"

#include <algorithm>

using saur::answer;

namespace {

constexpr int32_t PIECE = 64 * 1024;  // bytes; some 10 ms of tokenising

// Appends the tokens of a text. special: 1 adds the tokens that the model wants around it, 2 parses those written in it.
int32_t append(const llama_vocab * vocab, const char * text, int32_t length, int32_t special,
               std::vector<int32_t> & tokens) {
    const size_t start = tokens.size();
    int32_t      room  = length / 2 + 16;
    for (;;) {
        tokens.resize(start + (size_t) room);
        const int32_t n = llama_tokenize(vocab, text, length, tokens.data() + start, room, (special & 1) != 0,
                                         (special & 2) != 0);
        if (n >= 0) {
            tokens.resize(start + (size_t) n);
            return SAUR_OK;
        }
        if (n == INT32_MIN || -n <= room) {
            return SAUR_OUT_OF_MEMORY;
        }
        room = -n;
    }
}

// As append, but in pieces between which the work can be stopped. Only WordPiece ends every word at a space, whatever
// follows; the other tokenizers take a text as a whole.
int32_t append_in_pieces(saur_lane * lane, const llama_vocab * vocab, const char * text, int32_t length, int32_t special) {
    const llama_token opening = llama_vocab_bos(vocab), closing = llama_vocab_sep(vocab);
    if (length <= PIECE || (special & 2) != 0 || llama_vocab_type(vocab) != LLAMA_VOCAB_TYPE_WPM ||
        opening == LLAMA_TOKEN_NULL || closing == LLAMA_TOKEN_NULL) {
        return append(vocab, text, length, special, lane->tokens);
    }
    if (special & 1) {
        lane->tokens.push_back(opening);
    }
    const char * const end = text + length;
    while (text < end) {
        if (lane->abort || saur::exiting()) {
            return SAUR_ABORTED;
        }
        const char *  to     = std::find(std::min(text + PIECE, end), end, ' ');
        const int32_t status = append(vocab, text, (int32_t) (to - text), 0, lane->tokens);
        if (status != SAUR_OK) {
            return status;
        }
        text = to;
    }
    if (special & 1) {
        lane->tokens.push_back(closing);
    }
    return SAUR_OK;
}

}  // namespace

// special[i] is append's of text i
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
                if (lane->abort || saur::exiting()) {
                    return SAUR_ABORTED;
                }
                const size_t  start  = lane->tokens.size();
                const int32_t length = lane->lengths[i];
                const int32_t status = append_in_pieces(lane, vocab, lane->text.data() + at, length, lane->seconds[i]);
                if (status != SAUR_OK) {
                    return status;
                }
                lane->counts.push_back((int32_t) (lane->tokens.size() - start));
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
