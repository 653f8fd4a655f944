// How near our kernels come to what the processor can do: one layer of MiniLM, operator by operator.
//
//   operators [SECONDS]     one JSON object a line; SECONDS that each figure may take (default 0.2)
//
// First the peaks: loops of the multiplying instructions alone, in registers, on one core, in G products a second (a product
// is a multiplication and an addition). Then, for each instruction set, kind of work and type of weights, what the operators of a layer
// take, and which part of the peak of their own instruction that is. Time of the thread, the best of many runs.
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "kernels/kernels.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <string>
#include <vector>
#if defined(__x86_64__)
#    include <immintrin.h>
#endif

namespace {

using saur::Kernels;

double limit = 0.2;  // seconds

double now() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

// Seconds of a run, of the fastest of many series of them: the thread's clock does not see a run of some microseconds.
double best_of(const std::function<void()> & run) {
    run();
    int        times  = 1;
    const auto series = [&] {
        const double start = now();
        for (int i = 0; i < times; i++) run();
        return now() - start;
    };
    while (series() < 1e-3) times *= 2;
    double best = INFINITY;
    for (const double end = now() + limit; now() < end;) best = std::min(best, series() / times);
    return best;
}

// -- peaks ------------------------------------------------------------------------------------------------------------------

enum Instruction { FLOATS, PAIRS, TILES_BF16, TILES_BYTES };
const char * const INSTRUCTION_NAMES[] = { "f32", "16-bit integers", "tiles of bf16", "tiles of bytes" };

struct Peak {
    const char * kernels;
    Instruction  instruction;
    double       products;  // G a second
};

const int STEPS = 100000;  // of a loop, each with CHAINS instructions that do not wait for each other
const int CHAINS = 12;

double peak(int products_an_instruction, void (*loop)()) {
    return (double) STEPS * CHAINS * products_an_instruction / best_of(loop) / 1e9;
}

#if defined(__x86_64__)
// Sums live in registers of their own, where the compiler must compute them; nothing else is done.
#    define EACH(do) do(0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11)
#    define LOOP(name, isa, Vector, zero, step)                                       \
        __attribute__((target(isa))) void name() {                                    \
            Vector a = zero, b = zero;                                                \
            __asm__ volatile("" : "+x"(a), "+x"(b));                                  \
            EACH(DECLARE_##Vector)                                                    \
            for (int i = 0; i < STEPS; i++) {                                         \
                EACH(step)                                                            \
            }                                                                         \
        }
// what is multiplied is unknown each time, too: else the product would be computed once
#    define KEPT(i, value)                 \
        sum##i = value;                    \
        __asm__ volatile("" : "+x"(sum##i), "+x"(a));
#    define DECLARE___m256(i)  __m256 sum##i = _mm256_setzero_ps();
#    define DECLARE___m256i(i) __m256i sum##i = _mm256_setzero_si256();
#    define DECLARE___m512(i)  __m512 sum##i = _mm512_setzero_ps();
#    define DECLARE___m512i(i) __m512i sum##i = _mm512_setzero_si512();
#    define FLOATS_256(i) KEPT(i, _mm256_fmadd_ps(a, b, sum##i))
#    define PAIRS_256(i)  KEPT(i, _mm256_add_epi32(sum##i, _mm256_madd_epi16(a, b)))
#    define FLOATS_512(i) KEPT(i, _mm512_fmadd_ps(a, b, sum##i))
#    define PAIRS_512(i)  KEPT(i, _mm512_dpwssd_epi32(sum##i, a, b))
LOOP(floats_256, "avx2,fma", __m256, _mm256_setzero_ps(), FLOATS_256)
LOOP(pairs_256, "avx2,fma", __m256i, _mm256_setzero_si256(), PAIRS_256)
LOOP(floats_512, "avx512f", __m512, _mm512_setzero_ps(), FLOATS_512)
LOOP(pairs_512, "avx512f,avx512vnni", __m512i, _mm512_setzero_si512(), PAIRS_512)

#    if defined(__linux__)
struct alignas(64) TileConfig {
    unsigned char  palette = 1, start_row = 0, reserved[14] = {};
    unsigned short row_bytes[16] = {};
    unsigned char  rows[16] = {};
};

__attribute__((target("amx-tile"))) void whole_tiles() {
    TileConfig config;
    for (int i = 0; i < 8; i++) {
        config.row_bytes[i] = 64;
        config.rows[i]      = 16;
    }
    __asm__ volatile("" ::: "memory");  // gcc 12 does not know that all of it is read
    _tile_loadconfig(&config);
    _tile_zero(4);
    _tile_zero(6);
}

// As many as CHAINS in a step, on four tiles of sums.
#        define TILE_LOOP(name, isa, instruction)              \
            __attribute__((target(isa))) void name() {         \
                whole_tiles();                                 \
                for (int i = 0; i < STEPS / 4; i++) {          \
                    _Pragma("GCC unroll 3") for (int j = 0; j < CHAINS / 4; j++) { \
                        instruction(0, 4, 6);                  \
                        instruction(1, 4, 6);                  \
                        instruction(2, 4, 6);                  \
                        instruction(3, 4, 6);                  \
                    }                                          \
                }                                              \
                _tile_release();                               \
            }
TILE_LOOP(tiles_bf16, "amx-tile,amx-bf16", _tile_dpbf16ps)
TILE_LOOP(tiles_bytes, "amx-tile,amx-int8", _tile_dpbssd)
#    endif
#endif

// What a set of kernels multiplies with, and how fast that alone is.
std::vector<Peak> peaks_of(const Kernels * kernels) {
    std::vector<Peak> all;
#if defined(__x86_64__)
    const bool wide = strcmp(kernels->name, "AVX2") != 0;
    all.push_back({ kernels->name, FLOATS, wide ? peak(16, floats_512) : peak(8, floats_256) });
    all.push_back({ kernels->name, PAIRS, wide ? peak(32, pairs_512) : peak(16, pairs_256) });
#    if defined(__linux__)
    if (strstr(kernels->name, "AMX") != nullptr) {
        all.push_back({ kernels->name, TILES_BF16, peak(16 * 16 * 32, tiles_bf16) / 4 });
        all.push_back({ kernels->name, TILES_BYTES, peak(16 * 16 * 64, tiles_bytes) / 4 });
    }
#    endif
#endif
    return all;
}

// -- a layer ----------------------------------------------------------------------------------------------------------------

const int64_t WIDTH = 384, INNER = 1536, HEADS = 12;  // of MiniLM

// The lengths of the texts of a pass, in tokens.
struct Work {
    const char *         name;
    std::vector<int64_t> lengths;
    int64_t              rows() const {
        int64_t sum = 0;
        for (const int64_t n : lengths) sum += n;
        return sum;
    }
};

const Work WORKS[] = {
    { "paragraphs", { 96, 64, 48, 48 } },
    { "titles", std::vector<int64_t>(24, 10) },
    { "passage", { 512 } },
    { "query", { 7 } },
};

const uintptr_t LINE = 64;

// Memory of a layer, and the buffer that says of tensors that they are a model's weights.
struct Layer {
    Layer() : c(ggml_init({ 256u << 20, nullptr, false })), buffer(ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), 64)) {
        ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    }
    ~Layer() {
        ggml_backend_buffer_free(buffer);
        ggml_free(c);
    }
    Layer(const Layer &) = delete;

    // On a cache line's boundary, where the buffers of a model and of its graph have nearly all of theirs.
    void * place(size_t bytes) const {
        const auto at = (uintptr_t) ggml_new_buffer(c, bytes + LINE);
        return (void *) ((at + LINE - 1) / LINE * LINE);
    }
    ggml_tensor * empty(ggml_type type, int64_t n0, int64_t n1, int64_t n2) const {
        ggml_set_no_alloc(c, true);
        ggml_tensor * t = ggml_new_tensor_3d(c, type, n0, n1, n2);
        ggml_set_no_alloc(c, false);
        t->data = place(ggml_nbytes(t));
        return t;
    }
    ggml_tensor * tensor(ggml_type type, int64_t n0, int64_t n1, int64_t n2 = 1) const {
        ggml_tensor *      t = empty(type, n0, n1, n2);
        std::vector<float> v((size_t) ggml_nelements(t));
        for (size_t i = 0; i < v.size(); i++) {
            v[i] = (float) ((int) (i * 2654435761u >> 16 & 0xffff) - 32768) / 32768;
        }
        if (type == GGML_TYPE_F32) {
            memcpy(t->data, v.data(), v.size() * sizeof(float));
        } else {
            ggml_quantize_chunk(type, v.data(), t->data, 0, n1 * n2, n0, nullptr);
        }
        return t;
    }
    ggml_tensor * weights(ggml_type type, int64_t inputs, int64_t outputs) const {
        ggml_tensor * t = tensor(type, inputs, outputs);
        t->buffer       = buffer;
        return t;
    }
    ggml_tensor * mask(const Work & work) const {
        const int64_t n    = work.rows();
        ggml_tensor * mask = empty(GGML_TYPE_F16, n, n, 1);
        auto *        out  = (ggml_fp16_t *) mask->data;
        std::fill_n(out, n * n, ggml_fp32_to_fp16(-INFINITY));
        int64_t from = 0;
        for (const int64_t length : work.lengths) {
            for (int64_t i = from; i < from + length; i++) std::fill_n(out + i * n + from, length, ggml_fp32_to_fp16(0));
            from += length;
        }
        return mask;
    }
    ggml_context * const        c;
    ggml_backend_buffer_t const buffer;
};

// What is timed: operators that nothing joins, and how many products they are.
struct Part {
    const char *               name;
    std::vector<ggml_tensor *> ops;
    double                     products;  // 0: it is no multiplying with a peak
};

std::vector<Part> parts_of(const Layer & layer, const Work & work, ggml_type type) {
    const auto    c = layer.c;
    const int64_t n = work.rows(), size = WIDTH / HEADS;
    ggml_tensor * x     = layer.tensor(GGML_TYPE_F32, WIDTH, n);
    ggml_tensor * inner = layer.tensor(GGML_TYPE_F32, INNER, n);
    const auto    by    = [&](ggml_tensor * rows, int64_t outputs) {
        return ggml_mul_mat(c, layer.weights(type, rows->ne[0], outputs), rows);
    };
    const auto part = [&](ggml_type of) { return layer.tensor(of, size, n, HEADS); };
    double     seen = 0;
    for (const int64_t length : work.lengths) seen += (double) (length * length);
    ggml_tensor * attend = ggml_flash_attn_ext(c, part(GGML_TYPE_F32), part(GGML_TYPE_F16), part(GGML_TYPE_F16), layer.mask(work), 0.2f, 0, 0);
    ggml_prec_set_acc(attend, GGML_PREC_F32);
    ggml_tensor * row  = layer.tensor(GGML_TYPE_F32, WIDTH, 1);
    const auto    norm = [&] { return ggml_add(c, ggml_mul(c, ggml_norm(c, x, 1e-12f), row), row); };
    return {
        { "products", { by(x, WIDTH), by(x, WIDTH), by(x, WIDTH), by(x, WIDTH), by(x, INNER), by(inner, WIDTH) },
          (double) (n * WIDTH * (4 * WIDTH + 2 * INNER)) },
        { "attention", { attend }, 2 * seen * WIDTH },
        { "gelu", { ggml_gelu(c, inner) }, 0 },
        { "norm", { norm(), norm() }, 0 },
    };
}

double seconds_of(const Kernels * kernels, const saur::KernelOptions & options, const Layer & layer, const Part & part) {
    ggml_cgraph * graph = ggml_new_graph(layer.c);
    const ggml_tensor * largest = *std::max_element(part.ops.begin(), part.ops.end(),
                                                    [](auto * a, auto * b) { return ggml_nbytes(a) < ggml_nbytes(b); });
    void * const results = layer.place(ggml_nbytes(largest));
    for (ggml_tensor * op : part.ops) {
        op->data = results;  // as in a pass, where results share memory, so that they stay in the cache
        ggml_build_forward_expand(graph, op);
    }
    saur::Scratch scratch;
    return best_of([&] { saur::compute(*kernels, options, graph, scratch); });
}

// What products of a type are computed by, and how many instructions' worth each is.
std::pair<Instruction, int> instruction_of(const Kernels * kernels, const std::string & part, ggml_type type) {
    const bool tiles = strstr(kernels->name, "AMX") != nullptr;
    if (part == "attention") return { tiles && type == GGML_TYPE_BF16 ? TILES_BF16 : FLOATS, 1 };
    if (type == GGML_TYPE_F32) return { FLOATS, 1 };
    if (tiles) return type == GGML_TYPE_BF16 ? std::pair{ TILES_BF16, 1 } : std::pair{ TILES_BYTES, 4 };
    return { PAIRS, 1 };
}

void profile(const Kernels * kernels, const std::vector<Peak> & peaks, const Work & work, ggml_type type) {
    Layer                     layer;
    saur::PanelledWeights     panelled;
    const saur::KernelOptions options = { saur::Gelu::erf, type == GGML_TYPE_BF16, &panelled };
    const std::vector<Part>   parts   = parts_of(layer, work, type);
    std::vector<double>       seconds;
    double                    sum = 0;
    for (const Part & part : parts) {
        seconds.push_back(seconds_of(kernels, options, layer, part));
        sum += seconds.back();
    }
    for (size_t i = 0; i < parts.size(); i++) {
        const auto [instruction, times] = instruction_of(kernels, parts[i].name, type);
        printf("{\"kernels\":\"%s\",\"type\":\"%s\",\"work\":\"%s\",\"rows\":%d,\"part\":\"%s\",\"us\":%.1f,\"share\":%.3f",
               kernels->name, ggml_type_name(type), work.name, (int) work.rows(), parts[i].name, seconds[i] * 1e6, seconds[i] / sum);
        for (const Peak & peak : peaks) {
            if (parts[i].products > 0 && peak.instruction == instruction) {
                const double products = parts[i].products / seconds[i] / 1e9;
                printf(",\"products\":%.1f,\"instruction\":\"%s\",\"of_peak\":%.3f", products, INSTRUCTION_NAMES[instruction],
                       products * times / peak.products);
            }
        }
        printf("}\n");
    }
    fflush(stdout);
}

}  // namespace

int main(int argc, char ** argv) {
    if (argc > 1) limit = atof(argv[1]);
    ggml_cpu_init();
    for (const Kernels * kernels : saur::usable_kernels()) {
        const std::vector<Peak> peaks = peaks_of(kernels);
        for (const Peak & peak : peaks) {
            printf("{\"kernels\":\"%s\",\"instruction\":\"%s\",\"peak\":%.1f}\n", peak.kernels, INSTRUCTION_NAMES[peak.instruction], peak.products);
        }
        for (const Work & work : WORKS) {
            for (const saur::ProductOf * one = kernels->products; one && one->product; one++) {
                if (WIDTH % ggml_blck_size(one->type) == 0) profile(kernels, peaks, work, one->type);
            }
        }
    }
}
