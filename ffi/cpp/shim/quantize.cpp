// Quantising, as a job: a GGUF file into another of a smaller type.
#include "guard/gguf/check.h"
#include "shim/answer.h"
#include "shim/lane.h"
#include "shim/shim.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

using namespace saur;

namespace {

struct FileType {
    const char * name;
    llama_ftype  type;
};
const FileType FILE_TYPES[] = {
    { "f32", LLAMA_FTYPE_ALL_F32 },          { "f16", LLAMA_FTYPE_MOSTLY_F16 },
    { "bf16", LLAMA_FTYPE_MOSTLY_BF16 },     { "q8_0", LLAMA_FTYPE_MOSTLY_Q8_0 },
    { "q4_0", LLAMA_FTYPE_MOSTLY_Q4_0 },     { "q4_1", LLAMA_FTYPE_MOSTLY_Q4_1 },
    { "q5_0", LLAMA_FTYPE_MOSTLY_Q5_0 },     { "q5_1", LLAMA_FTYPE_MOSTLY_Q5_1 },
    { "q2_k", LLAMA_FTYPE_MOSTLY_Q2_K },     { "q3_k_s", LLAMA_FTYPE_MOSTLY_Q3_K_S },
    { "q3_k_m", LLAMA_FTYPE_MOSTLY_Q3_K_M }, { "q3_k_l", LLAMA_FTYPE_MOSTLY_Q3_K_L },
    { "q4_k_s", LLAMA_FTYPE_MOSTLY_Q4_K_S }, { "q4_k_m", LLAMA_FTYPE_MOSTLY_Q4_K_M },
    { "q5_k_s", LLAMA_FTYPE_MOSTLY_Q5_K_S }, { "q5_k_m", LLAMA_FTYPE_MOSTLY_Q5_K_M },
    { "q6_k", LLAMA_FTYPE_MOSTLY_Q6_K },     { "iq4_nl", LLAMA_FTYPE_MOSTLY_IQ4_NL },
    { "iq4_xs", LLAMA_FTYPE_MOSTLY_IQ4_XS },
};

// llama_model_quantize has no callback; it logs "[ 12/ 101] name …" before each tensor, which gives progress, and an
// exception from here reaches its own catch, which gives cancellation.
void watch_quantize(void * user, const char * text) {
    auto * lane = (saur_lane *) user;
    int    i = 0, n = 0;
    if (sscanf(text, "[%d/%d]", &i, &n) == 2 && n > 0) {
        lane->progress = std::min(1000, 1000 * i / n);
        if (lane->abort || exiting()) {
            throw std::runtime_error("cancelled");
        }
    }
}

int32_t quantize(saur_lane * lane, const std::string & input, const std::string & output, llama_ftype type, int32_t threads) {
    ModelFiles    files;
    const int32_t opened = open_model_files(input, true, files, lane->result.error);
    if (opened == SAUR_NOT_FOUND || opened == SAUR_NOT_GGUF || opened == SAUR_UNSOUND) {
        return opened;
    }
    llama_model_quantize_params p = llama_model_quantize_default_params();
    p.ftype                       = type;
    p.nthread                     = threads;
    p.allow_requantize            = type == LLAMA_FTYPE_ALL_F32;  // loses nothing; other types would be rounded twice
    lane->log.watch_user          = lane;
    lane->log.watch               = watch_quantize;
    errno                         = 0;
    const uint32_t rc             = llama_model_quantize(input.c_str(), output.c_str(), &p);
    const int      why            = errno;
    lane->log.watch               = nullptr;
    if (rc != 0 && why != 0 && lane->log.errors.find("iostream error") != std::string::npos) {
        append(lane->result.error, strerror(why));  // C++ streams say "iostream error" of a full disk, and errno says why
    }
    if (!lane->abort && !files.unchanged()) {
        lane->result.error = input + " was changed while it was quantized: quantize it again";
        return SAUR_UNSOUND;
    }
    return rc == 0 ? SAUR_OK : lane->abort ? SAUR_ABORTED : SAUR_NULL;
}

}  // namespace

int32_t saur_model_quantize(saur_lane * lane, const char * input, const char * output, const char * type,
                            int32_t threads) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    const auto * found =
        std::find_if(std::begin(FILE_TYPES), std::end(FILE_TYPES), [&](const FileType & f) { return !strcmp(f.name, type); });
    if (found == std::end(FILE_TYPES)) {
        return SAUR_BAD_ARGUMENT;
    }
    return answer<int32_t>(SAUR_OUT_OF_MEMORY, [&] {
        return lane->start([lane, in = std::string(input), out = std::string(output), ftype = found->type, threads] {
            return quantize(lane, in, out, ftype, threads);
        });
    });
}
