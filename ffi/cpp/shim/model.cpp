// Models: loading, as a job, and what a loaded model says of itself.
#include "guard/gguf/check.h"
#include "kernels/kernels.h"
#include "shim/answer.h"
#include "shim/device.h"
#include "shim/lane.h"
#include "shim/owner.h"
#include "shim/pooling.h"
#include "shim/shim.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace saur;

namespace {

using Options = std::array<int32_t, MODEL_OPTIONS>;

bool on_load_progress(float fraction, void * user) {
    auto * lane    = (saur_lane *) user;
    lane->progress = (int32_t) (fraction * 1000);
    return !lane->abort && !exiting();
}

int32_t file_pooling(const llama_model * model) {
    const std::string value = metadata(model, metadata(model, "general.architecture") + ".pooling_type");
    return value.empty() ? (int32_t) POOLING_UNSPECIFIED : from_llama(atoi(value.c_str()));
}

// llama.cpp's BERT tokenizer drops spacing marks too, which Hugging Face keeps: src/text/bert_normalizer.ts does it as they do.
// The others are options, where the file is wrong or silent: which special tokens go around a text, and attention.
std::vector<llama_model_kv_override> overrides_of(const Options & options, const ModelFiles & files,
                                                  const Attention & attention) {
    std::vector<llama_model_kv_override> list;
    const auto                           add = [&](const std::string & key, int32_t value) {
        llama_model_kv_override one = { LLAMA_KV_OVERRIDE_TYPE_BOOL, "", { 0 } };
        snprintf(one.key, sizeof(one.key), "%s", key.c_str());
        one.val_bool = value == 1;
        if (value >= 0) {
            list.push_back(one);
        }
    };
    add("tokenizer.ggml.normalizer.strip_accents", 0);
    add("tokenizer.ggml.add_bos_token", options[MODEL_ADD_BOS]);
    add("tokenizer.ggml.add_eos_token", options[MODEL_ADD_EOS]);
    add("tokenizer.ggml.add_sep_token", options[MODEL_ADD_SEP]);
    // Before the graph is chosen: LFM2's convolutions go by it, too (src/models/lfm2.cpp), which a context's option is not for.
    add(Attention::key(files), attention.setting(files));
    list.push_back({ LLAMA_KV_OVERRIDE_TYPE_INT, "", { 0 } });
    return list;
}

// Whether pairs of texts are told apart by token types: of BERT models with a classification head.
bool ranks_segments(const LoadedModel & loaded) {
    const ModelTensor * types = loaded.files.find("token_types.weight");
    return metadata(loaded.model, "tokenizer.ggml.model") == "bert" && types && types->ne[1] > 1 &&
           (file_pooling(loaded.model) == POOLING_RANK || loaded.has_tensor("cls.weight") ||
            loaded.has_tensor("cls.output.weight"));
}

// llama.cpp asserts on these when it tokenises, but for WordPiece, which goes by others (llm_tokenizer_wpm).
void refuse_missing_tokens(const llama_vocab * vocab) {
    const struct {
        const char * name;
        bool         wanted;
        llama_token  token;
    } all[] = { { "bos", llama_vocab_get_add_bos(vocab), llama_vocab_bos(vocab) },
                { "eos", llama_vocab_get_add_eos(vocab), llama_vocab_eos(vocab) } };
    const bool asserts = llama_vocab_type(vocab) != LLAMA_VOCAB_TYPE_WPM;
    for (const auto & one : all) {
        if (asserts && one.wanted && one.token == LLAMA_TOKEN_NULL) {
            const std::string key = std::string("tokenizer.ggml.") + one.name + "_token_id";
            throw Unsound(key + " is missing, and add_" + one.name + "_token is true: each text would begin or end with that token");
        }
    }
}

// The model goes into the lane's slot.
int32_t load(saur_lane * lane, const Options & options) {
    const std::string & path = lane->slot.path;
    ModelFiles          files;
    const int32_t       opened = open_model_files(path, options[MODEL_CHECK_HEADER] != 0, files, lane->result.error);
    if (opened != SAUR_OK) {
        return opened;
    }
    const Attention    attention  = attention_of(files, options[MODEL_CAUSAL]);
    const auto         overrides  = overrides_of(options, files, attention);
    const int32_t      gpu_layers = options[MODEL_GPU_LAYERS];
    llama_model_params p          = llama_model_default_params();
    p.n_gpu_layers                = gpu_layers;
    p.check_tensors               = options[MODEL_CHECK_TENSORS] != 0;
    p.kv_overrides                = overrides.data();
    // Read, not mapped: a mapped file that is truncated while it is used ends the process with SIGBUS, and one
    // that is written over changes the vectors in silence (tests/runtime/changed_file_test.ts).
    p.load_mode                   = LLAMA_LOAD_MODE_NONE;
    p.lazy_mode                   = LLAMA_LAZY_MODE_OFF;
    ggml_backend_dev_t devices[2] = { gpu_layers == 0 ? nullptr : choose_device(options[MODEL_DEVICE]), nullptr };
    p.devices                     = devices;  // exactly one GPU, or none: no silent split over several
    // Repacked weights only ggml's own products can read: q4_0, iq4_nl and some K-quants took twice as long so.
    const bool products           = kernels_of_cpu() && kernels_of_cpu()->products;
    p.use_extra_bufts             = options[MODEL_REPACK] != 0 || devices[0] || !products;
    p.progress_callback           = on_load_progress;
    p.progress_callback_user_data = lane;
    std::future<std::string> hash = hash_meanwhile(files);
    llama_model *            model = llama_model_load_from_file(path.c_str(), p);
    if (!model) {
        return lane->abort ? SAUR_ABORTED : SAUR_NULL;
    }
    const auto loaded = std::make_shared<LoadedModel>(model, files, hash.get(), device_index(devices[0]));
    loaded->attention = attention;
    lane->slot.loaded = loaded;
    if (classifies_last_token(model)) {
        loaded->read_head();
    }
    try {
        refuse_missing_tokens(llama_model_get_vocab(model));
        loaded->own_head = Head::read(files, model);
    } catch (const Unsound & e) {
        lane->result.error = e.what();
        return SAUR_UNSOUND;
    }
    if (ranks_segments(*loaded)) {
        loaded->read_input_embeddings();
    }
    if (!loaded->files.unchanged()) {
        lane->result.error = path + " was changed while it was loaded: load it again";
        return SAUR_UNSOUND;
    }
    static std::once_flag once;
    std::call_once(once, arm_exit_guard);
    return SAUR_OK;
}

}  // namespace

int32_t saur_model_load(saur_lane * lane, const char * path, const int32_t * options, int32_t n) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    if (n != MODEL_OPTIONS || options[MODEL_DEVICE] < -1 || options[MODEL_DEVICE] >= (int32_t) ggml_backend_dev_count()) {
        return SAUR_BAD_ARGUMENT;
    }
    return answer<int32_t>(SAUR_OUT_OF_MEMORY, [&] {
        Options copy;
        std::copy(options, options + MODEL_OPTIONS, copy.begin());
        lane->slot.path = path;
        lane->slot.loaded.reset();
        return lane->start([lane, copy] { return load(lane, copy); });
    });
}

saur_model * saur_model_take(saur_lane * lane) {
    if (!lane->idle() || !lane->slot.loaded) {
        return nullptr;
    }
    return answer<saur_model *>(nullptr, [&] {
        auto * model = new saur_model{ std::move(lane->slot.loaded) };
        own(model);
        return model;
    });
}

void saur_model_free(saur_model * model) {
    answer<int32_t>(SAUR_LOST, [&] {
        disown(model);
        delete model;
        return (int32_t) SAUR_OK;
    });
}

int32_t saur_model_info(saur_model * handle, double * out, int32_t size) {
    return answer<int32_t>(SAUR_LOST, [&] {
        const llama_model * m = handle->model->model;
        const llama_vocab * v = llama_model_get_vocab(m);
        const Head *        head = handle->model->own_head.get();
        const int64_t       more = head ? head->numbers() : 0;
        double              values[MODEL_INFO];
        values[INFO_DIMENSIONS]            = head && !head->ranks() ? (double) head->width() : llama_model_n_embd_out(m);
        values[INFO_CONTEXT_LENGTH]        = llama_model_n_ctx_train(m);
        values[INFO_VOCABULARY_SIZE]       = llama_vocab_n_tokens(v);
        values[INFO_LAYERS]                = llama_model_n_layer(m);
        values[INFO_CLASSES]               = llama_model_n_cls_out(m);
        values[INFO_BYTES]                 = (double) llama_model_size(m) + (double) more * sizeof(float);
        values[INFO_PARAMETERS]            = (double) llama_model_n_params(m) + (double) more;
        values[INFO_POOLING]               = file_pooling(m);
        values[INFO_HAS_ENCODER]           = llama_model_has_encoder(m);
        values[INFO_HAS_DECODER]           = llama_model_has_decoder(m);
        values[INFO_RECURRENT]             = llama_model_is_recurrent(m);
        values[INFO_IS_CAUSAL_DECODER]     = is_causal_decoder(*handle->model);
        values[INFO_CAUSAL]                = handle->model->attention.causal;
        values[INFO_CAUSAL_BY]             = handle->model->attention.by;
        values[INFO_EXPOSES_HIDDEN_STATES] = exposes_hidden_states(m);
        values[INFO_CLASSIFIES_LAST_TOKEN] = handle->model->has_head();
        values[INFO_BOS]                   = llama_vocab_bos(v);
        values[INFO_EOS]                   = llama_vocab_eos(v);
        values[INFO_SEP]                   = llama_vocab_sep(v);
        values[INFO_ADD_BOS]               = llama_vocab_get_add_bos(v);
        values[INFO_ADD_EOS]               = llama_vocab_get_add_eos(v);
        values[INFO_ADD_SEP]               = llama_vocab_get_add_sep(v);
        values[INFO_DEVICE]                = handle->model->device;
        std::copy(values, values + std::max(0, std::min<int32_t>(size, MODEL_INFO)), out);
        return (int32_t) MODEL_INFO;
    });
}

// A scalar of the file's metadata as text, and six names of our own: `:file_type`, `:description`, `:hash`, `:bare_marker`,
// which is there if WordPiece's vocabulary has a "##▁", `:sentence_piece`, which is there if it is SentencePiece's, and `:list:KEY`,
// which is there if the file has a list of that key.
// Returns the length, -1 if it is not there.
int32_t saur_model_meta(saur_model * handle, const char * key, char * out, int32_t size) {
    return answer<int32_t>(-1, [&]() -> int32_t {
        const llama_model * m = handle->model->model;
        if (strcmp(key, ":file_type") == 0) {
            return copy_text(llama_ftype_name(llama_model_ftype(m)), out, size);
        }
        if (strcmp(key, ":description") == 0) {
            char text[256] = "";
            llama_model_desc(m, text, sizeof(text));
            return copy_text(text, out, size);
        }
        if (strcmp(key, ":hash") == 0) {
            return copy_text(handle->model->hash, out, size);
        }
        if (strcmp(key, ":bare_marker") == 0) {
            return saur::WordPieces::has_bare_marker(llama_model_get_vocab(m)) ? saur::copy_text("true", out, size) : -1;
        }
        if (strcmp(key, ":sentence_piece") == 0) {
            return saur::WordPieces::is_sentence_piece(llama_model_get_vocab(m)) ? saur::copy_text("true", out, size) : -1;
        }
        const char LIST[] = ":list:";
        if (strncmp(key, LIST, strlen(LIST)) == 0) {
            const saur::GgufField * field = handle->model->files.keys().find(key + strlen(LIST));
            return field && field->array ? saur::copy_text("true", out, size) : -1;
        }
        if (llama_model_meta_val_str(m, key, nullptr, 0) < 0) {
            return -1;
        }
        return copy_text(metadata(m, key), out, size);
    });
}

int32_t saur_model_label(saur_model * handle, int32_t index, char * out, int32_t size) {
    return answer<int32_t>(-1, [&]() -> int32_t {
        const llama_model * m = handle->model->model;
        if (index < 0 || index >= (int32_t) llama_model_n_cls_out(m)) {
            return -1;
        }
        const char * label = llama_model_cls_label(m, (uint32_t) index);
        return label ? copy_text(label, out, size) : -1;
    });
}

int32_t saur_model_has_tensor(saur_model * handle, const char * name) {
    return answer<int32_t>(SAUR_LOST, [&] { return (int32_t) handle->model->has_tensor(name); });
}
