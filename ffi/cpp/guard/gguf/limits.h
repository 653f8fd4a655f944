// The limits that guard/gguf/check.cpp holds a file to; to be read again with every move of the llama.cpp pin.
#pragma once
#include <cstdint>

namespace saur {

struct Range {
    const char * key;  // behind the architecture's name
    double       min, max;
};

// llama.cpp makes arrays and caches of these, divides by them, or holds them in an int.
const Range RANGES[] = {
    { "block_count", 1, 512 },  // LLAMA_MAX_LAYERS
    { "context_length", 1, INT32_MAX },
    { "embedding_length", 1, 1 << 20 },
    { "embedding_length_out", 1, 1 << 16 },
    { "feed_forward_length", 0, 1 << 24 },
    { "vocab_size", 0, 1 << 22 },
    { "attention.head_count", 0, 1 << 16 },
    { "attention.head_count_kv", 0, 1 << 16 },
    { "attention.key_length", 1, 1 << 16 },
    { "attention.value_length", 1, 1 << 16 },
    { "attention.key_length_swa", 1, 1 << 16 },
    { "attention.value_length_swa", 1, 1 << 16 },
    { "attention.relative_buckets_count", 4, 256 },  // llama_relative_position_bucket knows distances to 128
    { "attention.group_norm_groups", 1, 1 << 16 },
    { "attention.output_group_count", 1, 1 << 16 },
    { "attention.sliding_window", 0, INT32_MAX },
    { "rope.dimension_count", 0, 1 << 16 },
    { "rope.dimension_count_swa", 0, 1 << 16 },
    { "expert_count", 0, 1024 },  // LLAMA_MAX_EXPERTS
    { "expert_used_count", 0, 1024 },
    { "experts_per_group", 1, 1024 },
    { "full_attention_interval", 1, INT32_MAX },
    { "conv_group_size", 1, INT32_MAX },
    { "wkv.head_size", 1, 1 << 16 },
    { "kda.head_dim", 1, 1 << 16 },
    { "ssm.inner_size", 0, 1 << 20 },
    { "ssm.state_size", 0, 1 << 16 },
    { "ssm.conv_kernel", 0, 1 << 10 },
    { "shortconv.l_cache", 1, 1 << 10 },
};

// Those of llm_arch_is_recurrent and llm_arch_is_hybrid, and some that have layers without attention or no layers at all.
const char * const WITHOUT_HEADS[] = {
    "mamba",      "mamba2",        "rwkv6",        "rwkv6qwen2", "rwkv7",       "arwkv7",      "jamba",     "falcon-h1",
    "plamo2",     "granitehybrid", "lfm2",         "lfm2moe",    "nemotron_h",  "nemotron_h_moe", "qwen3next", "kimi-linear",
    "bailingmoe3", "kimi-k3",      "qwen35",       "qwen35moe",  "qwen4exp",    "deepseek4",   "minimax-01", "deci",
    "clip",       "wavtokenizer-dec", "pockettts",
};

// Longest token: tries are freed by recursion (naive_trie of llama-vocab.cpp), and a thread's stack may be 512 KB.
constexpr uint64_t MAX_TOKEN_BYTES = 2048;
constexpr uint64_t MAX_TOKENS      = 1 << 22;

// Of WordPiece: every place of a word is compared with all tokens up to the longest (llm_tokenizer_wpm_session::tokenize). The
// longest of real ones has 21 bytes.
constexpr uint64_t MAX_WORD_PIECE_BYTES = 256;

// Sum of the squares of the tokens' bytes: llama_decode_text repeats a token for each of its letters that stands for no byte.
// Of real vocabularies at most 4.6e7 (Command R).
constexpr double   MAX_SQUARES = 1 << 29;

// Sum of the cubes of the tokens' code points: steps that llm_tokenizer_plamo2::build takes.
constexpr double   MAX_CUBES = 4e9;

// Bytes that a character may be replaced with before it is tokenised (precompiled_charsmap): 33 in nmt_nfkc, of U+FDFA.
constexpr size_t   MAX_REPLACEMENT = 64;

constexpr uint64_t MAX_LABELS      = 1 << 16;

// Parts of the names of tensors that are added or multiplied, which ggml-cpu does in f32 only. llama.cpp's converter and
// llama-quantize keep them so; a row that is a matrix (the head of one label) may be of any type.
const char * const F32_ONLY[] = { ".bias",      "norm",       "token_types", "rope_freqs", "rope_factors",
                                  ".scale",     "attn_sinks", "ssm_conv1d",  "shortconv.conv" };

// Tensors that llama.cpp takes for optional when it loads and then reads through NULL.
const struct {
    const char * architecture;
    const char * tensor;
} REQUIRED[] = {
    { "t5encoder", "enc.blk.0.attn_rel_b.weight" },
    { "t5", "enc.blk.0.attn_rel_b.weight" },
    { "t5", "dec.blk.0.attn_rel_b.weight" },
};

}  // namespace saur
