// The C surface of llamasaur over llama.h: what ffi/symbols.ts lists, one prototype a line, grouped by llama.h's nouns.
//
// Only int32, opaque pointers and caller-owned buffers cross, because bun:ffi cannot pass structs by value and a Deno
// permission limited to one library forbids reading native memory. Buffers are copied before a function returns; no
// JavaScript memory is ever touched by another thread. Numbers that cross in a list have the order of one of the lists
// of ffi/symbols.ts, and abi.h has an enum of it: `options` of model_load is indexed by MODEL_GPU_LAYERS and so on.
//
// A function whose first argument is a lane and that is marked `job` only starts work: it returns SAUR_OK or a refusal
// at once, the lane's thread does the work, and the lane's number then appears in its queue. One job a lane at a time.
#pragma once
#include "status.h"

// The build lists the exports for the linker (build/CMakeLists.txt); GCC and Clang hide the rest when they compile.
#if defined(__GNUC__)
#    define SAUR_API extern "C" __attribute__((visibility("default")))
#else
#    define SAUR_API extern "C"
#endif

struct saur_queue;
struct saur_lane;
struct saur_model;

// library: may be called before anything else, and cpu_missing before any call into ggml
SAUR_API int32_t      saur_abi(void);
SAUR_API int32_t      saur_versions(char * out, int32_t size);  // "built for\0loaded\0"; features "compiled\0processor's\0"
SAUR_API int32_t      saur_cpu_missing(char * out, int32_t size, int32_t also);
SAUR_API int32_t      saur_init(const char * backend_directory);
SAUR_API int32_t      saur_default_params(double * out, int32_t size);
SAUR_API int32_t      saur_kernels(char * out, int32_t size);  // what they compute, "name\0name\0"; nothing without any
SAUR_API int32_t      saur_cores(const char * root);  // that may be kept busy; of the Linux machine below a directory

// log
SAUR_API int32_t      saur_log_drain(saur_lane * lane, char * out, int32_t size);  // "<level digit><text>\0" records

// queue: where finished lanes announce themselves, one for each JavaScript thread
SAUR_API saur_queue * saur_queue_new(int32_t run);  // another run than the thread's last frees what that one left
SAUR_API void         saur_queue_notify(saur_queue * queue, void (*notify)(int32_t));
SAUR_API int32_t      saur_queue_wait(saur_queue * queue);  // blocks until a lane is finished
SAUR_API int32_t      saur_queue_take(saur_queue * queue);  // number of a finished lane, or -1

// lane: a native thread with one slot for input and output
SAUR_API saur_lane *  saur_lane_new(saur_queue * queue, int32_t number, int32_t log_level);
SAUR_API void         saur_lane_free(saur_lane * lane);
SAUR_API void         saur_lane_abort(saur_lane * lane, int32_t on);
SAUR_API int32_t      saur_lane_progress(saur_lane * lane);  // of the running job, 0..1000
SAUR_API int32_t      saur_lane_result(saur_lane * lane, char * error, int32_t size);

// device
SAUR_API int32_t      saur_device_count(void);
SAUR_API int32_t      saur_device_text(int32_t index, char * out, int32_t size);
SAUR_API int32_t      saur_device_memory(int32_t index, double * out);

// model
SAUR_API int32_t      saur_model_load(saur_lane * lane, const char * path, const int32_t * options, int32_t n);  // job
SAUR_API saur_model * saur_model_take(saur_lane * lane);
SAUR_API void         saur_model_free(saur_model * model);
SAUR_API int32_t      saur_model_info(saur_model * model, double * out, int32_t size);
SAUR_API int32_t      saur_model_meta(saur_model * model, const char * key, char * out, int32_t size);
SAUR_API int32_t      saur_model_label(saur_model * model, int32_t index, char * out, int32_t size);
SAUR_API int32_t      saur_model_has_tensor(saur_model * model, const char * name);
SAUR_API int32_t      saur_model_quantize(saur_lane * lane, const char * input, const char * output, const char * type, int32_t threads);  // job

// vocab
SAUR_API int32_t      saur_vocab_tokenize(saur_lane * lane, saur_model * model, const char * utf8, const int32_t * lengths, const int32_t * special, int32_t n_texts);  // job
SAUR_API int32_t      saur_vocab_counts(saur_lane * lane, int32_t * out, int32_t size);
SAUR_API int32_t      saur_vocab_tokens(saur_lane * lane, int32_t * out, int32_t size);
// the vocabulary's text of each token, back to back in `utf8` as far as `size` goes, their bytes in `lengths`. Returns all bytes
SAUR_API int32_t      saur_vocab_pieces(saur_model * model, const int32_t * ids, int32_t n_ids, int32_t * lengths, char * utf8, int32_t size);

// context: one a lane, replaced by the next context_init. answers are the tokens whose logits it gives in place of embeddings;
// without kernels it is SAUR_BAD_ARGUMENT on a model that contexts with kernels have computed with (kernels/panelled_weights.h)
SAUR_API int32_t      saur_context_init(saur_lane * lane, saur_model * model, const int32_t * options, int32_t n, const int32_t * answers, int32_t n_answers);  // job
SAUR_API int32_t      saur_context_memory(saur_lane * lane, double * out, int32_t size);
SAUR_API int32_t      saur_context_free(saur_lane * lane);  // job

// batch: n_sequences sequences of tokens, back to back, in one pass. segment_b[i] is where segment B of sequence i begins (its
// length if it has none). prefix_lengths[i] is how many of its first tokens other sequences begin with, too: a causal decoder
// computes those once for all where its context allows it (0: none)
SAUR_API int32_t      saur_batch_encode(saur_lane * lane, const int32_t * tokens, int32_t n_tokens, const int32_t * lengths, const int32_t * segment_b, const int32_t * prefix_lengths, int32_t n_sequences);  // job

// pooling
SAUR_API int32_t      saur_pooling_embeddings(saur_lane * lane, float * out, int32_t size);
