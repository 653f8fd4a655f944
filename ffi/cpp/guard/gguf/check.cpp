// llama.cpp refuses most wrong files by itself, and its assertions on the thread that loads become errors (guard.h). Here
// is refused, before it happens, what nobody can catch: a division by zero, a call of a missing kernel, an assertion on
// a thread of ggml, a recursion as deep as a token is long, an allocation out of proportion to the file, work that takes
// minutes or never ends.
//
// What this does not catch:
// - an assertion in a kernel that nobody has met yet: an error with one thread a context (tests/ffi/cpp/kernel_guard_test.ts), the
//   end of the process with more.
// - a tensor that is optional when llama.cpp loads and needed when it computes: wraps/linux_graph.cpp does. Elsewhere than on
//   Linux, and with somebody else's llama.cpp, nothing does but for T5.
// - weights that are NaN where a mixture of experts sorts them (std::sort with NaN is undefined): `checkTensors` does,
//   unless finite weights overflow on the way.
// - a file that is changed between this look and llama.cpp's.
// - sizes of recurrent and MLA layers that fit their tensors and still make caches of gigabytes: those are refused with
//   out-of-memory where the system does, and Linux may not.
// - the rarer numbers of architectures that neither embed nor rerank (audio, state-space, diffusion): read, but with
//   their divisors only.
// - regular expressions of a pre-tokenizer that take long on some texts.
//
// docs/internals/files.md lists where llama.cpp and this check could read a file differently.
#include "guard/gguf/check.h"

#include "ggml.h"
#include "gguf.h"
#include "guard/gguf/limits.h"
#include "guard/gguf/vocabulary.h"
#include "status.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace saur {
namespace {

bool has_heads(const std::string & architecture) {
    return std::none_of(std::begin(WITHOUT_HEADS), std::end(WITHOUT_HEADS), [&](const char * name) { return architecture == name; });
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

// A number of a layer, where a file gives one for all layers or a list; 0 behind the end of a list, which llama.cpp refuses.
double of_layer(const GgufField & field, size_t il) {
    const size_t at = field.array ? il : 0;
    return at < field.numbers.size() ? field.numbers[at] : 0;
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
    const double heads = header.first(heads_key, 0);
    for (size_t il = 0; list && il < std::max(list->numbers.size(), kv_list ? kv_list->numbers.size() : 0); il++) {
        const double own_heads = of_layer(*list, il), kv = kv_list ? of_layer(*kv_list, il) : own_heads;
        if (own_heads > 0 && kv > 0 && std::fmod(own_heads, kv) != 0) {
            refuse(heads_key, own_heads, "must be a multiple of " + kv_key + ", which is " + shown(kv));
        }
    }
    const double width = header.first(own + "embedding_length", 0);
    const double head  = heads > 0 ? std::floor(width / heads) : 0;
    if (heads > 0 && head < 1) {
        refuse(heads_key, heads, "the embedding has " + shown(width) + " dimensions only");
    }
    for (const std::string suffix : { "", "_swa" }) {
        const std::string key = own + "rope.dimension_count" + suffix;
        double            dimensions;
        const double      size = header.first(own + "attention.key_length" + suffix,
                                       header.first(own + "attention.key_length", head));
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
        const double size = header.first(own + "attention.key_length", head);
        if (heads > 0 && sum > size) {
            refuse("the sum of " + own + "rope.dimension_sections", sum, "may be at most " + shown(size) + ", the length of a head's key");
        }
    } else if (architecture == "paddleocr") {  // llama.cpp asks for them in others of this kind
        throw Unsound(own + "rope.dimension_sections is missing");
    }
}

// These have a feed-forward with a gate, and "relu" is the one name that llama.cpp takes for one without
// (LLM_FFN_OP_TYPES_FROM_STRING): its halves do not fit then.
void check_activation(const GgufHeader & header, const std::string & own) {
    const std::string key = own + "hidden_activation";
    if ((own == "modern-bert." || own == "dflash.") && header.text(key) == "relu") {
        throw Unsound(key + " is relu, and must be one with a gate: gelu, silu or reglu");
    }
}

// Where a file does not say how long an expert's feed-forward is, llama.cpp divides by how many experts are used. It looks at
// their number before, but at the largest of all layers', and only if there are experts; two architectures always divide.
void check_experts(const GgufHeader & header, const std::string & own) {
    const std::string used_key = own + "expert_used_count", length_key = own + "expert_feed_forward_length";
    const double      experts  = header.first(own + "expert_count", 0);
    const GgufField * length   = header.find(length_key);
    const GgufField * used     = header.find(used_key);
    const bool        said     = length && std::count(length->numbers.begin(), length->numbers.end(), 0.0) == 0;
    if (experts == 0 && !said && (own == "qwen35moe." || own == "qwen4exp.")) {
        throw Unsound(own + "expert_count is missing or 0, and so is " + length_key);
    }
    for (size_t il = 0; used && il < used->numbers.size(); il++) {
        const double n = used->numbers[il];
        if (n > experts || (n == 0 && experts > 0 && (!used->array || !said))) {
            refuse(used_key, n, own + "expert_count is " + shown(experts));
        }
    }
}

void check_layers(const GgufHeader & header, const std::string & own) {
    const double layers = header.first(own + "block_count", 1);
    double       value;
    if (header.number(own + "nextn_predict_layers", value) && value >= layers) {
        refuse(own + "nextn_predict_layers", value, "must be below " + own + "block_count, which is " + shown(layers));
    }
    check_experts(header, own);
    // its graph takes the cache for one with windows, which llama.cpp makes only then (src/models/afmoe.cpp)
    if (own == "afmoe." && header.first(own + "attention.sliding_window", 0) == 0) {
        throw Unsound(own + "attention.sliding_window is missing or 0");
    }
    const std::string architecture = own.substr(0, own.size() - 1);
    if (architecture != "plamo2" && header.number(own + "ssm.group_count", value)) {
        check_range(own + "ssm.group_count", value, 1, 1 << 16);
    }
}

void check_labels(const GgufHeader & header, const std::string & own) {
    const GgufField * labels = header.find(own + "classifier.output_labels");
    if (labels && labels->count > MAX_LABELS) {
        refuse("the number of " + own + "classifier.output_labels", (double) labels->count,
               "may be at most " + std::to_string(MAX_LABELS));
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

void check_required(const ModelFiles & files, const std::string & architecture) {
    for (const auto & required : REQUIRED) {
        if (architecture == required.architecture && !files.find(required.tensor)) {
            throw Unsound(std::string("the tensor '") + required.tensor + "' is missing");
        }
    }
}

void check_model(const ModelFiles & files) {
    for (const ModelTensor & tensor : files.tensors()) {
        check_tensor(tensor);
    }
    const GgufHeader & header       = files.keys();
    const std::string  architecture = header.text("general.architecture");
    const std::string  own          = architecture + ".";
    // Without a key of its architecture llama.cpp refuses the file by itself, with better words.
    const auto first_own = header.fields.lower_bound(own);
    if (first_own == header.fields.end() || first_own->first.compare(0, own.size(), own) != 0) {
        return;
    }
    check_numbers(header, own);
    if (architecture != "clip") {
        check_attention(header, own, architecture);
        check_layers(header, own);
    }
    check_activation(header, own);
    check_labels(header, own);
    check_vocabulary(files);
    check_required(files, architecture);
}

}  // namespace

int32_t open_model_files(const std::string & path, bool check, ModelFiles & files, std::string & error) {
    try {
        files = ModelFiles(path);
        if (check) {
            check_model(files);
        }
    } catch (const NoFile &) {
        return SAUR_NOT_FOUND;
    } catch (const NotGguf & e) {
        error = e.what();
        return SAUR_NOT_GGUF;
    } catch (const Unsound & e) {
        error = e.what();
        return SAUR_UNSOUND;
    }
    return SAUR_OK;
}

}  // namespace saur
