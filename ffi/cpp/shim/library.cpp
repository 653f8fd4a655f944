// The exported functions for the library itself, its logs, queues and lanes. Those for the nouns of llama.h are in
// model.cpp, quantize.cpp, vocab.cpp, context.cpp and batch.cpp. None lets an exception out, and each checks what llama.cpp would
// assert on before a lane gets the job.
#include "shim/shim.h"

#include "guard/cpu_check.h"
#include "kernels/kernels.h"
#include "os/linux_cores.h"
#include "shim/answer.h"
#include "shim/device.h"
#include "shim/lane.h"
#include "shim/owner.h"

#include <algorithm>
#include <cmath>
#include <thread>

// A field that is added to, removed from or moved in one of these structs upstream must be looked at by a person:
// read the diff of llama.h, check the uses below, then write the new size.
static_assert(sizeof(void *) != 8 || sizeof(llama_model_params) == 80, "llama_model_params has changed");
static_assert(sizeof(void *) != 8 || sizeof(llama_context_params) == 160, "llama_context_params has changed");
static_assert(sizeof(void *) != 8 || sizeof(llama_batch) == 56, "llama_batch has changed");
static_assert(sizeof(void *) != 8 || sizeof(llama_model_quantize_params) == 64, "quantize_params has changed");

using namespace saur;

// library

int32_t saur_abi(void) { return SAUR_ABI; }

int32_t saur_versions(char * out, int32_t size) {
    const std::string versions = std::string(SAUR_LLAMA_VERSION) + '\0' + llama_version() + '\0';
    return copy_text(versions + cpu_compiled() + '\0' + cpu_features() + '\0', out, size);
}

int32_t saur_cpu_missing(char * out, int32_t size, int32_t also) { return copy_text(cpu_missing(also), out, size); }

int32_t saur_init(const char * backend_directory) {
    return answer<int32_t>(SAUR_LOST, [&] {
        install_hooks();
        if (!load_backends(backend_directory)) {
            return (int32_t) SAUR_NULL;
        }
        llama_backend_init();
        register_kernels();
        return (int32_t) SAUR_OK;
    });
}

// Some of the defaults as this library sees them; tests/ffi/params_test.ts reads the same structs by value through Deno.
int32_t saur_default_params(double * out, int32_t size) {
    const llama_model_params   m = llama_model_default_params();
    const llama_context_params c = llama_context_default_params();
    const double values[] = { (double) m.n_gpu_layers, (double) m.split_mode,     (double) m.load_mode,
                              (double) m.main_gpu,     (double) m.check_tensors,  (double) m.use_extra_bufts,
                              (double) c.n_ctx,        (double) c.n_batch,        (double) c.n_ubatch,
                              (double) c.n_seq_max,    (double) c.n_threads,      (double) c.pooling_type,
                              (double) c.type_k,       (double) c.flash_attn_type, (double) c.embeddings,
                              (double) c.offload_kqv,  (double) c.op_offload,     (double) c.kv_unified };
    const int32_t n = std::min<int32_t>(size, sizeof(values) / sizeof(values[0]));
    std::copy(values, values + std::max(0, n), out);
    return sizeof(values) / sizeof(values[0]);
}

int32_t saur_kernels(char * out, int32_t size) {
    return answer<int32_t>(0, [&] { return copy_text(kernel_names(), out, size); });
}

// At least 1. One-thread lanes gain next to nothing from a second thread on the same core, so physical cores count.
int32_t saur_cores(const char * root) {
    return answer<int32_t>(1, [&]() -> int32_t {
        const bool      given = root && *root;
        const os::Cores cores = given ? os::linux_cores(root) : os::cores();
        const int       known = given ? 1 : (int) std::max(1u, std::thread::hardware_concurrency());
        const int       count = cores.physical > 0 ? cores.physical : known;
        // Rounded up: half a core more than whole ones is worth a lane that sometimes has to wait.
        return std::max(1, cores.quota > 0 ? std::min(count, (int) std::ceil(cores.quota)) : count);
    });
}

// log

int32_t saur_log_drain(saur_lane * lane, char * out, int32_t size) {
    return answer<int32_t>(0, [&] { return (lane ? lane->log : global_sink()).ring.drain(out, size); });
}

// queue

saur_queue * saur_queue_new(int32_t run) {
    return answer<saur_queue *>(nullptr, [&] {
        begin_run(run);
        auto * queue = new saur_queue;
        own(queue);
        return queue;
    });
}

void saur_queue_notify(saur_queue * queue, void (*notify)(int32_t)) { queue->set_notify(notify); }

int32_t saur_queue_wait(saur_queue * queue) {
    queue->wait();
    return SAUR_OK;
}

int32_t saur_queue_take(saur_queue * queue) { return queue->take(); }

// lane

saur_lane * saur_lane_new(saur_queue * queue, int32_t number, int32_t log_level) {
    return answer<saur_lane *>(nullptr, [&] {
        auto * lane = new saur_lane(queue, number, (LogLevel) log_level);
        own(lane);
        return lane;
    });
}

void saur_lane_free(saur_lane * lane) {
    disown(lane);
    lane->free();
}

void    saur_lane_abort(saur_lane * lane, int32_t on) { lane->abort.set(on != 0); }
int32_t saur_lane_progress(saur_lane * lane) { return lane->progress; }

int32_t saur_lane_result(saur_lane * lane, char * error, int32_t size) {
    if (!lane->idle()) {
        return SAUR_BUSY;
    }
    copy_text(lane->result.error, error, size);
    return lane->result.status;
}
