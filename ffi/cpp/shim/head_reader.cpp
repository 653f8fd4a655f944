// Reads a head from a model's files, and refuses one that is wrong: nothing of it goes through llama.cpp's own checks.
#include "shim/head.h"
#include "gguf.h"
#include "shim/loaded_model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <set>

namespace saur {
namespace {

using Kind = Head::Kind;
using Step = Head::Step;

const char PREFIX[] = "llamasaur.head.";
const char STEPS[]  = "llamasaur.head.steps";
const char COUNT[]  = "llamasaur.head.count";  // of the other keys

constexpr uint64_t MAX_STEPS = 64, MAX_STEP_BYTES = 256;
constexpr long     MAX_WIDTH = 1 << 20;  // as of an embedding (guard/gguf/limits.h)

const struct {
    const char * name;
    Kind         kind;
} KINDS[] = {
    { "linear", Kind::linear }, { "layer_norm", Kind::layer_norm }, { "tanh", Kind::tanh },
    { "relu", Kind::relu },     { "gelu", Kind::gelu },             { "gelu_tanh", Kind::gelu_tanh },
    { "silu", Kind::silu },     { "l2", Kind::l2 },                 { "mean", Kind::mean },
    { "cls", Kind::cls },       { "last", Kind::last },             { "max", Kind::max },
};

// What transformers calls an activation (ACT2FN), and what we do.
const struct {
    const char *theirs, *ours;
} ACTIVATIONS[] = {
    { "gelu", "gelu" },
    { "gelu_python", "gelu" },
    { "gelu_new", "gelu_tanh" },
    { "gelu_fast", "gelu_tanh" },
    { "gelu_pytorch_tanh", "gelu_tanh" },
    { "gelu_accurate", "gelu_tanh" },
    { "relu", "relu" },
    { "silu", "silu" },
    { "swish", "silu" },
    { "tanh", "tanh" },
};

// Values of 6 bits by the letters of RFC 4648; 64: no letter of it.
uint8_t six_bits(char c) {
    return (uint8_t) (c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : 64);
}

// The numbers that a text of base64 stands for: f32, little-endian. Throws Unsound.
std::vector<float> decoded(const std::string & text, const std::string & key) {
    size_t letters = text.size();
    while (letters > 0 && text.size() - letters < 2 && text[letters - 1] == '=') {
        letters--;
    }
    const size_t bytes = letters * 6 / 8;
    if (text.size() % 4 != 0 || bytes % sizeof(float) != 0 || bytes == 0) {
        throw Unsound(key + " has " + std::to_string(text.size()) + " letters, and must be f32 numbers in base64");
    }
    uint8_t table[256];
    for (int c = 0; c < 256; c++) {
        table[c] = six_bits((char) c);
    }
    std::vector<float> numbers(bytes / sizeof(float));
    auto *             out  = (uint8_t *) numbers.data();
    uint32_t           bits = 0;
    uint8_t            bad  = 0;
    size_t             done = 0;
    for (size_t i = 0; i < letters; i++) {
        const uint8_t six = table[(uint8_t) text[i]];
        bad |= six;
        bits = bits << 6 | (six & 63);
        if (i % 4 != 0 && done < bytes) {
            out[done++] = (uint8_t) (bits >> (6 - 2 * (i % 4)));
        }
    }
    if (bad & 64) {
        throw Unsound(key + " has a letter that is none of base64");
    }
    return numbers;
}

// What a head is read with.
class HeadReader {
  public:
    HeadReader(const ModelFiles & files, int64_t width) : files(files), width(width) {}

    // One step, as "linear NAME OUTPUTS", "layer_norm NAME EPSILON" or the name of another kind.
    Step step(const std::string & text) {
        const std::vector<std::string> words = split(text);
        const auto kind = std::find_if(std::begin(KINDS), std::end(KINDS), [&](const auto & one) { return words[0] == one.name; });
        const bool named = kind != std::end(KINDS) && (kind->kind == Kind::linear || kind->kind == Kind::layer_norm);
        if (kind == std::end(KINDS) || words.size() != (named ? 3 : 1)) {
            throw Unsound(std::string(STEPS) + " has the step " + quoted(text) + ", which is not known");
        }
        return kind->kind == Kind::linear       ? linear(text, words[1], words[2])
               : kind->kind == Kind::layer_norm ? layer_norm(text, words[1], words[2])
                                                : Step{ kind->kind };
    }

    int64_t width;  // of a row after the steps so far
    int64_t in_metadata = 0;
    size_t  letters     = 0;

    // A head that is read in part only is another head.
    void refuse_unread() const {
        const auto & fields = files.keys().fields;
        uint64_t     n      = 0;
        for (auto one = fields.lower_bound(PREFIX); one != fields.end() && one->first.compare(0, strlen(PREFIX), PREFIX) == 0; one++) {
            if (one->first == COUNT) {
                continue;
            }
            n++;
            if (one->first != STEPS && !read.count(one->first)) {
                throw Unsound("the key " + quoted(one->first) + " is of no step of " + STEPS);
            }
        }
        const GgufField * count = files.keys().find(COUNT);
        if (count && (count->array || count->type != GGUF_TYPE_UINT32 || files.keys().first(COUNT, -1) != (double) n)) {
            throw Unsound(std::string(COUNT) + " must be the number of the other keys that begin with " + PREFIX + ", which is " +
                          std::to_string(n));
        }
    }

  private:
    static std::vector<std::string> split(const std::string & text) {
        std::vector<std::string> words(1);
        for (const char c : text) {
            if (c == ' ') {
                words.emplace_back();
            } else {
                words.back() += c;
            }
        }
        return words;
    }

    Step linear(const std::string & text, const std::string & name, const std::string & outputs) {
        char *     end = nullptr;
        const long n   = strtol(outputs.c_str(), &end, 10);
        if (*end || outputs.empty() || n < 1 || n > MAX_WIDTH) {
            throw Unsound(std::string(STEPS) + " has the step " + quoted(text) + ", whose outputs must be from 1 to " +
                          std::to_string(MAX_WIDTH));
        }
        std::vector<float> weights = numbers(name + ".weight", { width, n }, true), bias = numbers(name + ".bias", { n, 1 }, false);
        Step               step{ Kind::linear };
        step.matrix = std::make_shared<Matrix>(std::move(weights), width, std::move(bias));
        width       = n;
        return step;
    }

    Step layer_norm(const std::string & text, const std::string & name, const std::string & epsilon) {
        char * end   = nullptr;
        Step   step{ Kind::layer_norm };
        step.epsilon = strtof(epsilon.c_str(), &end);
        if (*end || epsilon.empty() || !std::isfinite(step.epsilon) || step.epsilon < 0) {
            throw Unsound(std::string(STEPS) + " has the step " + quoted(text) + ", whose epsilon must be a finite number from 0 on");
        }
        step.scale = numbers(name + ".weight", { width, 1 }, true);
        step.shift = numbers(name + ".bias", { width, 1 }, false);
        return step;
    }

    struct Shape {
        int64_t columns, rows;  // of a vector: its length, and 1
    };

    // The numbers of a name, of the metadata or else of a tensor; none where they may be missing and are.
    std::vector<float> numbers(const std::string & name, Shape shape, bool needed) {
        const std::string   key    = PREFIX + name;
        const GgufField *   field  = files.keys().find(key);
        const ModelTensor * tensor = field ? nullptr : files.find(name);
        const std::string   what   = field ? "the key " + quoted(key) : "the tensor " + quoted(name);
        if (!field && !tensor) {
            if (needed) {
                throw Unsound("the key " + quoted(key) + ", which " + STEPS + " asks for, is missing");
            }
            return {};
        }
        if (tensor && (tensor->ne[0] != shape.columns || tensor->ne[1] != shape.rows || tensor->ne[2] * tensor->ne[3] != 1)) {
            throw Unsound(what + " has the shape [" + std::to_string(tensor->ne[0]) + ", " + std::to_string(tensor->ne[1]) +
                          "], and the head needs " + shown(shape));
        }
        std::vector<float> found = field ? of_metadata(*field, key, what) : floats_of(files, *tensor);
        if ((int64_t) found.size() != shape.columns * shape.rows) {
            throw Unsound(what + " has " + std::to_string(found.size()) + " numbers, and the head needs " + shown(shape));
        }
        if (!std::all_of(found.begin(), found.end(), [](float x) { return std::isfinite(x); })) {
            throw Unsound(what + " has a number that is not finite");
        }
        return found;
    }

    static std::string shown(Shape shape) {
        return "[" + std::to_string(shape.columns) + ", " + std::to_string(shape.rows) + "]";
    }

    std::vector<float> of_metadata(const GgufField & field, const std::string & key, const std::string & shown) {
        if (field.array || field.type != GGUF_TYPE_STRING) {
            throw Unsound(shown + " must be a text of base64");
        }
        const std::string  text  = files.text(field);
        std::vector<float> found = decoded(text, shown);
        letters += text.size();
        in_metadata += (int64_t) found.size();
        read.insert(key);
        return found;
    }

    const ModelFiles &    files;
    std::set<std::string> read;  // keys
};

// The steps that a file lists.
std::vector<std::string> listed(const ModelFiles & files, const GgufField & list) {
    if (!list.array || list.type != GGUF_TYPE_STRING || list.count < 1 || list.count > MAX_STEPS || list.longest > MAX_STEP_BYTES) {
        throw Unsound(std::string(STEPS) + " must be a list of 1 to " + std::to_string(MAX_STEPS) + " texts of at most " +
                      std::to_string(MAX_STEP_BYTES) + " bytes");
    }
    std::vector<std::string> steps;
    files.each_text(list, [&](uint64_t, const std::string & text) { steps.push_back(text); });
    return steps;
}

std::string linear_of(const ModelFiles & files, const std::string & name) {
    const ModelTensor * weight = files.find(name + ".weight");
    return "linear " + name + " " + std::to_string(weight ? weight->ne[1] : 0);
}

// DistilBERT's classifier (DistilBertForSequenceClassification of transformers): llama.cpp computes the tanh of BERT's pooler
// where this has ReLU. Of the models with WordPiece it alone has no token types.
std::vector<std::string> distilbert_steps(const ModelFiles & files) {
    return { "cls", linear_of(files, "cls"), "relu", linear_of(files, "cls.output") };
}

// ModernBERT's (ModernBertForSequenceClassification), where the file says what llama.cpp does not read: it takes the mean and
// GELU for all. The keys are those of newer versions of llama.cpp.
std::vector<std::string> modern_bert_steps(const ModelFiles & files) {
    const char * const POOLING_KEY = "modern-bert.classifier.pooling_type", * const ACTIVATION_KEY = "modern-bert.classifier.activation";
    const GgufHeader & keys        = files.keys();
    const GgufField *  said        = keys.find(POOLING_KEY);
    const std::string  activation  = keys.find(ACTIVATION_KEY) ? keys.text(ACTIVATION_KEY) : "gelu";
    if (said && (said->array || (said->type != GGUF_TYPE_UINT32 && said->type != GGUF_TYPE_INT32))) {
        throw Unsound(std::string(POOLING_KEY) + " must be a 32-bit integer: 1 (mean) or 2 (cls)");
    }
    const double pooling = keys.first(POOLING_KEY, LLAMA_POOLING_TYPE_MEAN);
    if (pooling != LLAMA_POOLING_TYPE_MEAN && pooling != LLAMA_POOLING_TYPE_CLS) {
        refuse(POOLING_KEY, pooling, "must be 1 (mean) or 2 (cls)");
    }
    const auto named = std::find_if(std::begin(ACTIVATIONS), std::end(ACTIVATIONS),
                                    [&](const auto & one) { return activation == one.theirs; });
    if (named == std::end(ACTIVATIONS)) {
        throw Unsound(std::string(ACTIVATION_KEY) + " is " + quoted(activation) + ", which is not known");
    }
    const double epsilon = keys.first("modern-bert.attention.layer_norm_epsilon", 1e-5);
    return { pooling == LLAMA_POOLING_TYPE_CLS ? "cls" : "mean", linear_of(files, "cls"), named->ours,
             "layer_norm cls.norm " + saur::shown(epsilon), linear_of(files, "cls.output") };
}

// The steps that a model's class is known to have and llama.cpp does not compute; none where it does.
std::vector<std::string> known_steps(const ModelFiles & files) {
    const GgufHeader & keys         = files.keys();
    const std::string  architecture = keys.text("general.architecture");
    if (!files.find("cls.weight") || !files.find("cls.output.weight")) {
        return {};
    }
    if (architecture == "bert" && keys.text("tokenizer.ggml.model") == "bert" && !files.find("token_types.weight")) {
        return distilbert_steps(files);
    }
    const auto says = [&](const char * key) { return keys.find(architecture + ".classifier." + key); };
    return architecture == "modern-bert" && (says("pooling_type") || says("activation")) ? modern_bert_steps(files)
                                                                                         : std::vector<std::string>{};
}

Pooling pooling_of(Kind kind) {
    return kind == Kind::mean   ? POOLING_MEAN
           : kind == Kind::cls  ? POOLING_CLS
           : kind == Kind::last ? POOLING_LAST
                                : POOLING_UNSPECIFIED;
}

}  // namespace

std::unique_ptr<const Head> Head::read(const ModelFiles & files, const llama_model * model) {
    const GgufField *              list  = files.keys().find(STEPS);
    const std::vector<std::string> texts = list ? listed(files, *list) : known_steps(files);
    auto                           head  = std::make_unique<Head>();
    HeadReader                     reader(files, llama_model_n_embd_out(model));
    for (const std::string & text : texts) {
        Step          step    = reader.step(text);
        const Pooling pooling = pooling_of(step.kind);
        const bool    reduces = pooling != POOLING_UNSPECIFIED || step.kind == Kind::max;
        if (reduces && (head->first != POOLING_UNSPECIFIED || head->reduces())) {
            throw Unsound(std::string(STEPS) + " has the step " + quoted(text) + ", and there is one row left for a text already");
        }
        if (head->steps.empty() && pooling != POOLING_UNSPECIFIED) {
            head->first = pooling;
        } else {
            head->steps.push_back(std::move(step));
        }
    }
    reader.refuse_unread();
    if (texts.empty()) {
        return nullptr;
    }
    head->outputs     = reader.width;
    head->in_metadata = reader.in_metadata;
    head->letters     = reader.letters;
    const std::string pooling = files.keys().text("general.architecture") + ".pooling_type";
    head->classifies          = !list || files.keys().first(pooling, -1) == LLAMA_POOLING_TYPE_RANK;
    const int64_t labels      = llama_model_n_cls_out(model);
    if (head->classifies && (head->outputs != labels || (head->first == POOLING_UNSPECIFIED && !head->reduces()))) {
        throw Unsound(std::string(STEPS) + " ends in " + std::to_string(head->outputs) + " numbers a " +
                      (head->reduces() || head->first != POOLING_UNSPECIFIED ? "text" : "token") + ", and the model has " +
                      std::to_string(labels) + " labels for a text");
    }
    return head;
}

}  // namespace saur
