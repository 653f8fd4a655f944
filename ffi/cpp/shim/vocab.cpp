// Tokenising: many texts in one job, since a thousand of them would hold the JavaScript thread for 40 ms.
#include "guard/long_runs.h"
#include "shim/answer.h"
#include "shim/lane.h"
#include "shim/shim.h"
#include "wraps/wraps.h"

#include <algorithm>
#include <cstring>

using namespace saur;

namespace {

constexpr size_t PIECE = 64 * 1024;  // bytes; some 10 ms of tokenising

// Goes around a word that is not llama.cpp's to take apart: MARK of src/text/bert_normalizer.ts.
constexpr char MARK = '\x01';

// Where WordPiece's texts are cut: at the ends of marked words, and of long texts at a space, where every word ends.
std::vector<size_t> cuts_of_words(const char * text, size_t length) {
    std::vector<size_t> cuts;
    const char * const  end = text + length;
    for (const char * at = text; at != end;) {
        const char * next  = (size_t) (end - at) > PIECE ? std::find(at + PIECE, end, ' ') : end;
        const char * mark  = std::find(at, next, MARK);
        const char * other = mark == next ? end : std::find(mark + 1, end, MARK);
        if (other != end) {
            if (mark != at) {
                cuts.push_back((size_t) (mark - text));
            }
            next = other + 1;
        }
        if (next != end) {
            cuts.push_back((size_t) (next - text));
        }
        at = next;
    }
    return cuts;
}

// Where a text is cut, so that the work can be stopped in between and the tokenizer bears it. But for WordPiece only
// byte-pair encodings are cut, at runs that they could not bear.
std::vector<size_t> cuts_of(const llama_vocab * vocab, const char * text, size_t length) {
    switch (llama_vocab_type(vocab)) {
        case LLAMA_VOCAB_TYPE_BPE: return cuts_of_long_runs(text, length);
        case LLAMA_VOCAB_TYPE_WPM: return cuts_of_words(text, length);
        default: return {};
    }
}

bool is_marked(const llama_vocab * vocab, const char * text, size_t length) {
    return length > 1 && text[0] == MARK && text[length - 1] == MARK && llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_WPM;
}

// Appends the tokens of a text; returns how many, or a negative status.
int32_t append(std::vector<int32_t> & tokens, const llama_vocab * vocab, const char * text, size_t length, bool add,
               bool parse) {
    const size_t start = tokens.size();
    int32_t      room  = (int32_t) length / 2 + 16;
    for (;;) {
        tokens.resize(start + (size_t) room);
        const int32_t n = llama_tokenize(vocab, text, (int32_t) length, tokens.data() + start, room, add, parse);
        if (n >= 0) {
            tokens.resize(start + (size_t) n);
            return n;
        }
        if (n == INT32_MIN || -n <= room) {
            return SAUR_OUT_OF_MEMORY;
        }
        room = -n;
    }
}

// As `append`, in pieces where a text is cut.
int32_t append_text(saur_lane * lane, LoadedModel & model, const char * text, size_t length, bool add, bool parse) {
    const llama_vocab *    vocab  = llama_model_get_vocab(model.model);
    std::vector<int32_t> & tokens = lane->slot.tokens;
    std::vector<size_t>    cuts   = cuts_of(vocab, text, length);
    if (cuts.empty() && !is_marked(vocab, text, length)) {
        return append(tokens, vocab, text, length, add, parse);
    }
    const size_t start = tokens.size();
    // What goes around any text is what an empty one becomes.
    std::vector<int32_t> around;
    if (add) {
        const int32_t n = append(tokens, vocab, "", 0, true, false);
        if (n < 0) {
            return n;
        }
        around.assign(tokens.begin() + (ptrdiff_t) start, tokens.end());
        const bool opens = llama_vocab_get_add_bos(vocab) || llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_WPM;
        tokens.resize(start + (!around.empty() && opens ? 1 : 0));
    }
    const size_t opening = tokens.size() - start;
    cuts.push_back(length);
    size_t from = 0;
    for (size_t to : cuts) {
        if (lane->abort || exiting()) {
            return SAUR_ABORTED;
        }
        if (is_marked(vocab, text + from, to - from)) {
            model.word_pieces().append(std::string(text + from + 1, to - from - 2), tokens);
        } else {
            const int32_t n = append(tokens, vocab, text + from, to - from, false, parse);
            if (n < 0) {
                return n;
            }
        }
        from = to;
    }
    tokens.insert(tokens.end(), around.begin() + (ptrdiff_t) opening, around.end());
    return (int32_t) (tokens.size() - start);
}

int32_t tokenize_all(saur_lane * lane, LoadedModel & model) {
    Slot & slot = lane->slot;
    slot.tokens.clear();
    slot.counts.clear();
    size_t at = 0;
    for (const Text & text : slot.texts) {
        if (lane->abort || exiting()) {
            return SAUR_ABORTED;
        }
        const bool    add = text.special == SPECIAL_ADD, parse = text.special == SPECIAL_PARSE;
        const int32_t n   = append_text(lane, model, slot.utf8.data() + at, (size_t) text.bytes, add, parse);
        if (n < 0) {
            return n;
        }
        slot.counts.push_back(n);
        at += (size_t) text.bytes;
    }
    return SAUR_OK;
}

// An abort is heard between texts and between the pieces of one; within a piece where wraps/ makes it be heard.
int32_t tokenize(saur_lane * lane, LoadedModel & model) {
    try {
        const AbortPoints points(lane->abort);
        return tokenize_all(lane, model);
    } catch (const Aborted &) {
        return SAUR_ABORTED;
    }
}

}  // namespace

int32_t saur_vocab_tokenize(saur_lane * lane, saur_model * model, const char * utf8, const int32_t * lengths,
                            const int32_t * special, int32_t n_texts) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    if (n_texts < 0) {
        return SAUR_BAD_ARGUMENT;
    }
    return answer<int32_t>(SAUR_OUT_OF_MEMORY, [&] {
        Slot & slot = lane->slot;
        slot.texts.resize((size_t) n_texts);
        size_t bytes = 0;
        for (int32_t i = 0; i < n_texts; i++) {
            const Text text = { lengths[i], special[i] };
            if (text.bytes < 0 || text.special < SPECIAL_NONE || text.special > SPECIAL_PARSE) {
                return (int32_t) SAUR_BAD_ARGUMENT;
            }
            slot.texts[i] = text;
            bytes += (size_t) text.bytes;
        }
        slot.utf8.assign(utf8, bytes);
        return lane->start([lane, held = model->model] { return tokenize(lane, *held); });
    });
}

int32_t saur_vocab_counts(saur_lane * lane, int32_t * out, int32_t size) {
    if (!lane->idle() || size < (int32_t) lane->slot.counts.size()) {
        return SAUR_BAD_ARGUMENT;
    }
    std::copy(lane->slot.counts.begin(), lane->slot.counts.end(), out);
    return (int32_t) lane->slot.tokens.size();
}

int32_t saur_vocab_tokens(saur_lane * lane, int32_t * out, int32_t size) {
    if (!lane->idle() || size < (int32_t) lane->slot.tokens.size()) {
        return SAUR_BAD_ARGUMENT;
    }
    std::copy(lane->slot.tokens.begin(), lane->slot.tokens.end(), out);
    return (int32_t) lane->slot.tokens.size();
}

// Nothing is decoded: the text of one token may be a part of a character, and what stands before a word is a space or not.
int32_t saur_vocab_pieces(saur_model * model, const int32_t * ids, int32_t n_ids, int32_t * lengths, char * utf8,
                          int32_t size) {
    return answer<int32_t>(SAUR_LOST, [&]() -> int32_t {
        const llama_vocab * vocab = llama_model_get_vocab(model->model->model);
        const int32_t       count = llama_vocab_n_tokens(vocab);
        int64_t             bytes = 0;
        for (int32_t i = 0; i < n_ids; i++) {
            if (ids[i] < 0 || ids[i] >= count) {
                return SAUR_BAD_TOKEN;
            }
            const char * text   = llama_vocab_get_text(vocab, ids[i]);
            const size_t length = strlen(text);
            if (length > (size_t) (INT32_MAX - bytes)) {
                return SAUR_OUT_OF_MEMORY;
            }
            if (bytes + (int64_t) length <= size) {
                memcpy(utf8 + bytes, text, length);
            }
            lengths[i] = (int32_t) length;
            bytes += (int64_t) length;
        }
        return (int32_t) bytes;
    });
}
