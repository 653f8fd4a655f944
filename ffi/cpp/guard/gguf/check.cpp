// llama.cpp refuses most wrong files by itself, and its assertions on the thread that loads become errors (guard.h). Here
// is refused, before it happens, what nobody can catch: a division by zero, a call of a missing kernel, an assertion on
// a thread of ggml, a recursion as deep as a token is long, an allocation out of proportion to the file, work that takes
// minutes or never ends.
//
// What this does not catch:
// - an assertion in a kernel that nobody has met yet: an error with one thread a context (tests/ffi/cpp/kernel_guard_test.ts), the
//   end of the process with more.
// - a tensor that is optional when llama.cpp loads and needed when it computes, in architectures other than T5.
// - weights that are NaN where a mixture of experts sorts them (std::sort with NaN is undefined): `checkTensors` does,
//   unless finite weights overflow on the way.
// - a file that is changed between this look and llama.cpp's.
// - sizes of recurrent and MLA layers that fit their tensors and still make caches of gigabytes: those are refused with
//   out-of-memory where the system does, and Linux may not.
// - the rarer numbers of architectures that neither embed nor rerank (audio, state-space, diffusion): read, but with
//   their divisors only.
// - a crafted precompiled charsmap, and regular expressions of a pre-tokenizer that take long on some texts.
#include "guard/gguf/check.h"

#include "ggml.h"
#include "gguf.h"
#include "guard/gguf/header.h"
#include "guard/gguf/limits.h"
#include "llama.h"
#include "guard/gguf/file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>

namespace saur {
namespace {

bool has_heads(const std::string & architecture) {
    return std::none_of(std::begin(WITHOUT_HEADS), std::end(WITHOUT_HEADS), [&](const char * name) { return architecture == name; });
}

std::string shown(double value) {
    char text[32];
    snprintf(text, sizeof(text), "%.15g", value);
    return text;
}

[[noreturn]] void refuse(const std::string & key, double value, const std::string & allowed) {
    throw Unsound(key + " is " + shown(value) + ", and " + allowed);
}

void check_range(const std::string & key, double value, double min, double max) {
    if (!(value >= min && value <= max)) {
        refuse(key, value, "must be from " + shown(min) + " to " + shown(max));
    }
}

bool is_whole(int32_t type) {
    return type != GGUF_TYPE_STRING && type != GGUF_TYPE_FLOAT32 && type != GGUF_TYPE_FLOAT64 && type != GGUF_TYPE_BOOL;
}

bool ends_with(const std::string & text, const char * end) {
    const size_t n = strlen(end);
    return text.size() >= n && text.compare(text.size() - n, n, end) == 0;
}

// The first number under a key, whether it holds one or a list with one entry a layer.
double first(const GgufHeader & header, const std::string & key, double otherwise) {
    const GgufField * field = header.find(key);
    return field && !field->numbers.empty() ? field->numbers[0] : otherwise;
}

void check_numbers(const GgufHeader & header, const std::string & own) {
    for (const Range & range : RANGES) {
        if (const GgufField * field = header.find(own + range.key)) {
            if (!is_whole(field->type)) {
                throw Unsound(own + range.key + " must be a whole number");
            }
            for (double value : field->numbers) {
                check_range(own + range.key, value, range.min, range.max);
            }
        }
    }
    for (const auto & entry : header.fields) {
        const std::string & key   = entry.first;
        const GgufField &   field = entry.second;
        // in a list infinity can be meant: Gemma 3n's activation sparsity
        if (key.compare(0, own.size(), own) != 0 || field.type != GGUF_TYPE_FLOAT32 || field.array) {
            continue;
        }
        const bool epsilon = ends_with(key, "epsilon");
        for (double value : field.numbers) {
            if (!std::isfinite(value) || (epsilon && value < 0)) {
                refuse(key, value, epsilon ? "must be a finite number not below 0" : "must be a finite number");
            }
        }
    }
}

// ggml asserts on these in its kernels, or they are divided by.
void check_attention(const GgufHeader & header, const std::string & own, const std::string & architecture) {
    const std::string heads_key = own + "attention.head_count", kv_key = own + "attention.head_count_kv";
    const GgufField * list      = header.find(heads_key);
    const GgufField * kv_list   = header.find(kv_key);
    if (has_heads(architecture)) {
        if (!list) {
            throw Unsound(heads_key + " is missing");
        }
        for (const GgufField * field : { list, kv_list }) {
            if (field && std::count(field->numbers.begin(), field->numbers.end(), 0.0) > 0) {
                refuse(field == list ? heads_key : kv_key, 0, "must be above 0");
            }
        }
    }
    const double heads = first(header, heads_key, 0), kv = first(header, kv_key, heads);
    if (heads > 0 && kv > 0 && std::fmod(heads, kv) != 0) {
        refuse(heads_key, heads, "must be a multiple of " + kv_key + ", which is " + shown(kv));
    }
    const double width = first(header, own + "embedding_length", 0);
    const double head  = heads > 0 ? std::floor(width / heads) : 0;
    if (heads > 0 && head < 1) {
        refuse(heads_key, heads, "the embedding has " + shown(width) + " dimensions only");
    }
    for (const std::string suffix : { "", "_swa" }) {
        const std::string key = own + "rope.dimension_count" + suffix;
        double            dimensions;
        const double      size = first(header, own + "attention.key_length" + suffix,
                                       first(header, own + "attention.key_length", head));
        if (heads > 0 && header.number(key, dimensions) &&
            (dimensions < 2 || dimensions > size || std::fmod(dimensions, 2) != 0)) {
            refuse(key, dimensions, "must be even and from 2 to " + shown(size) + ", the length of a head's key");
        }
    }
    if (const GgufField * sections = header.find(own + "rope.dimension_sections")) {
        double sum = 0;
        for (double section : sections->numbers) {
            check_range(own + "rope.dimension_sections", section, 0, 1 << 16);
            sum += section;
        }
        if (sum == 0) {
            throw Unsound(own + "rope.dimension_sections has nothing but 0");
        }
    }
}

void check_layers(const GgufHeader & header, const std::string & own) {
    const double layers = first(header, own + "block_count", 1);
    double       value;
    if (header.number(own + "nextn_predict_layers", value) && value >= layers) {
        refuse(own + "nextn_predict_layers", value, "must be below " + own + "block_count, which is " + shown(layers));
    }
    const double experts = first(header, own + "expert_count", 0);
    if (const GgufField * used = header.find(own + "expert_used_count")) {
        for (double n : used->numbers) {
            if (n > experts || (n == 0 && experts > 0 && !used->array)) {
                refuse(own + "expert_used_count", n, own + "expert_count is " + shown(experts));
            }
        }
    }
    const std::string architecture = own.substr(0, own.size() - 1);
    if (architecture != "plamo2" && header.number(own + "ssm.group_count", value)) {
        check_range(own + "ssm.group_count", value, 1, 1 << 16);
    }
}

void check_vocabulary(const GgufHeader & header, const std::string & own) {
    const GgufField * labels = header.find(own + "classifier.output_labels");
    if (labels && labels->count > MAX_LABELS) {
        refuse("the number of " + own + "classifier.output_labels", (double) labels->count,
               "may be at most " + std::to_string(MAX_LABELS));
    }
    const GgufField * tokens = header.find("tokenizer.ggml.tokens");
    if (!tokens) {
        return;
    }
    if (!tokens->array || tokens->type != GGUF_TYPE_STRING) {
        throw Unsound("tokenizer.ggml.tokens must be a list of strings");
    }
    if (tokens->count < 1 || tokens->count > MAX_TOKENS) {
        refuse("the number of tokenizer.ggml.tokens", (double) tokens->count, "must be from 1 to " + std::to_string(MAX_TOKENS));
    }
    if (tokens->longest > MAX_TOKEN_BYTES) {
        refuse("the longest of tokenizer.ggml.tokens", (double) tokens->longest,
               "may have " + std::to_string(MAX_TOKEN_BYTES) + " bytes");
    }
    if (header.text("tokenizer.ggml.model") != "bert") {
        return;
    }
    // WordPiece puts these two around every text and asserts that they are there; the defaults are llama.cpp's.
    const struct {
        const char * key;
        double       otherwise;
    } specials[] = { { "tokenizer.ggml.bos_token_id", 101 }, { "tokenizer.ggml.seperator_token_id", 102 } };
    for (const auto & special : specials) {
        const double id = first(header, special.key, special.otherwise);
        if (id >= (double) tokens->count) {
            refuse(special.key, id, "the vocabulary has " + std::to_string(tokens->count) + " tokens");
        }
    }
}

// ggml-cpu has no kernels for some types, and calls what is not there.
void check_tensor(const GgufTensor & tensor) {
    const ggml_type   type = (ggml_type) tensor.type;
    const std::string name = "the tensor '" + tensor.name + "'";
    if (type != GGML_TYPE_F32 && !ggml_get_type_traits(type)->to_float) {
        throw Unsound(name + " is of type " + ggml_type_name(type) + ", which no weights are of");
    }
    const bool vector = std::any_of(std::begin(F32_ONLY), std::end(F32_ONLY),
                                    [&](const char * part) { return tensor.name.find(part) != std::string::npos; });
    if (type != GGML_TYPE_F32 && (vector || ends_with(tensor.name, ".ssm_a") || ends_with(tensor.name, ".ssm_d"))) {
        throw Unsound(name + " is of type " + ggml_type_name(type) + ", and must be f32");
    }
}

void check_required(const GgufHeader & header, const std::string & architecture) {
    for (const auto & required : REQUIRED) {
        if (architecture == required.architecture &&
            std::none_of(header.tensors.begin(), header.tensors.end(),
                         [&](const GgufTensor & tensor) { return tensor.name == required.tensor; })) {
            throw Unsound(std::string("the tensor '") + required.tensor + "' is missing");
        }
    }
}

void check_part(FILE * file, uint64_t size, bool whole, GgufHeader & header) {
    header = read_gguf_header(file, size);
    for (const GgufTensor & tensor : header.tensors) {
        check_tensor(tensor);
    }
    const std::string architecture = header.text("general.architecture");
    const std::string own          = architecture + ".";
    // Without a key of its architecture llama.cpp refuses the file by itself, with better words.
    const auto first_own = header.fields.lower_bound(own);
    if (!whole || first_own == header.fields.end() || first_own->first.compare(0, own.size(), own) != 0) {
        return;
    }
    check_numbers(header, own);
    if (architecture != "clip") {
        check_attention(header, own, architecture);
        check_layers(header, own);
    }
    check_vocabulary(header, own);
    double parts = 1;
    header.number("split.count", parts);
    if (parts < 2) {
        check_required(header, architecture);
    }
}

}  // namespace

void check_gguf(FILE * file, uint64_t size, const std::string & path) {
    GgufHeader header;
    check_part(file, size, true, header);
    double parts = 0;
    header.number("split.count", parts);
    if (parts < 2 || parts > UINT16_MAX) {
        return;
    }
    std::vector<char> buffer(path.size() + 64);
    if (llama_split_prefix(buffer.data(), buffer.size(), path.c_str(), 0, (int) parts) == 0) {
        return;  // llama.cpp says so itself
    }
    const std::string prefix = buffer.data();
    for (int i = 1; i < (int) parts; i++) {
        llama_split_path(buffer.data(), buffer.size(), prefix.c_str(), i, (int) parts);
        std::unique_ptr<FILE, int (*)(FILE *)> part(open_regular(buffer.data()), fclose);
        if (!part) {
            return;  // likewise
        }
        GgufHeader other;
        check_part(part.get(), file_size(part.get()), false, other);
    }
}

}  // namespace saur
