// Looks at the tensors that llama.cpp makes its graphs of. Only on Linux, and only where ggml is compiled into our library.
//
// Many tensors are optional when llama.cpp loads a file, as an architecture's files come in several kinds, and needed when it
// computes; one that is missing is NULL by then, and ggml reads its sizes: the end of the process. Here that is an exception, which
// passes through llama.cpp's C++ as a failed assertion does, and which becomes an error of code model-invalid. Rows for each
// architecture would be 190 lists, each by what its other keys are; they would be of no use for the next architecture. Of the
// smallest models of all of them, and some 17,000 files like these, none ends the process (tests/torture/smallest_models.ts).
//
// CHECKED: name, parameters, arguments. CHECKED_BUT: the argument of that number may be NULL (1 is the first behind the context).
// A function that gets other parameters does not compile here; one that llama.cpp begins to use is named by
// tests/ffi/cpp/graph_wraps_test.ts. The linker's list is taken from this file (build/CMakeLists.txt).
#include "wraps/wraps.h"

#if defined(SAUR_WRAPS)
#    include "ggml.h"

#    include <stdexcept>
#    include <string>

namespace {

[[noreturn]] __attribute__((noinline)) void refuse(const char * function, int argument) {
    throw saur::MissingTensor(std::string("the file lacks a tensor that its architecture needs: it would be argument ") +
                              std::to_string(argument) + " of " + function);
}

inline void look(const char * function, int argument, ggml_tensor * const & tensor) {
    if (__builtin_expect(!tensor, 0)) {
        refuse(function, argument);
    }
}
template <class T> void look(const char *, int, const T &) {}

// Calls ggml with what it was given, if all the tensors of it are there.
template <class F> struct Checked {
    F *          real;
    const char * function;
    int          spared;

    template <class... A> ggml_tensor * operator()(ggml_context * context, A... arguments) const {
        int at = 0;
        ((++at == spared ? void() : look(function, at, arguments)), ...);
        return real(context, arguments...);
    }
};

}  // namespace

using C = ggml_context *;
using T = ggml_tensor *;

// The context's name is `ctx` below.
#    define CHECKED_BUT(name, spared, parameters, arguments)                               \
        extern "C" __attribute__((weak)) decltype(name)                 __real_##name;     \
        extern "C" __attribute__((visibility("hidden"))) decltype(name) __wrap_##name;     \
        ggml_tensor * __wrap_##name parameters {                                           \
            return Checked<decltype(name)>{ __real_##name, #name, spared } arguments;      \
        }
#    define CHECKED(name, parameters, arguments) CHECKED_BUT(name, 0, parameters, arguments)

// clang-format off
CHECKED(ggml_view_tensor, (C ctx, T src), (ctx, src))
CHECKED(ggml_add, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_add_inplace, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_add_id, (C ctx, T a, T b, T ids), (ctx, a, b, ids))
CHECKED(ggml_sub, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_mul, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_div, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_sqr, (C ctx, T a), (ctx, a))
CHECKED(ggml_sqrt, (C ctx, T a), (ctx, a))
CHECKED(ggml_log, (C ctx, T a), (ctx, a))
CHECKED(ggml_softplus, (C ctx, T a), (ctx, a))
CHECKED(ggml_sum, (C ctx, T a), (ctx, a))
CHECKED(ggml_sum_rows, (C ctx, T a), (ctx, a))
CHECKED(ggml_cumsum, (C ctx, T a), (ctx, a))
CHECKED(ggml_mean, (C ctx, T a), (ctx, a))
CHECKED(ggml_argmax, (C ctx, T a), (ctx, a))
CHECKED(ggml_repeat, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_repeat_4d, (C ctx, T a, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3), (ctx, a, ne0, ne1, ne2, ne3))
CHECKED(ggml_concat, (C ctx, T a, T b, int dim), (ctx, a, b, dim))
CHECKED(ggml_abs, (C ctx, T a), (ctx, a))
CHECKED(ggml_sgn, (C ctx, T a), (ctx, a))
CHECKED(ggml_neg, (C ctx, T a), (ctx, a))
CHECKED(ggml_step, (C ctx, T a), (ctx, a))
CHECKED(ggml_tanh, (C ctx, T a), (ctx, a))
CHECKED(ggml_relu, (C ctx, T a), (ctx, a))
CHECKED(ggml_sigmoid, (C ctx, T a), (ctx, a))
CHECKED(ggml_gelu, (C ctx, T a), (ctx, a))
CHECKED(ggml_silu, (C ctx, T a), (ctx, a))
CHECKED(ggml_exp, (C ctx, T a), (ctx, a))
CHECKED(ggml_round, (C ctx, T a), (ctx, a))
CHECKED(ggml_xielu, (C ctx, T a, float alpha_n, float alpha_p, float beta, float eps), (ctx, a, alpha_n, alpha_p, beta, eps))
CHECKED(ggml_glu, (C ctx, T a, ggml_glu_op op, bool swapped), (ctx, a, op, swapped))
CHECKED(ggml_reglu, (C ctx, T a), (ctx, a))
CHECKED(ggml_geglu, (C ctx, T a), (ctx, a))
CHECKED(ggml_swiglu, (C ctx, T a), (ctx, a))
CHECKED(ggml_glu_split, (C ctx, T a, T b, ggml_glu_op op), (ctx, a, b, op))
CHECKED(ggml_reglu_split, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_geglu_split, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_swiglu_split, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_swiglu_oai, (C ctx, T a, T b, float alpha, float limit), (ctx, a, b, alpha, limit))
CHECKED(ggml_swiglu_clamp, (C ctx, T a, T b, float limit), (ctx, a, b, limit))
CHECKED(ggml_norm, (C ctx, T a, float eps), (ctx, a, eps))
CHECKED(ggml_rms_norm, (C ctx, T a, float eps), (ctx, a, eps))
CHECKED(ggml_group_norm, (C ctx, T a, int n_groups, float eps), (ctx, a, n_groups, eps))
CHECKED(ggml_l2_norm, (C ctx, T a, float eps), (ctx, a, eps))
CHECKED(ggml_mul_mat, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_mul_mat_id, (C ctx, T as, T b, T ids), (ctx, as, b, ids))
CHECKED(ggml_scale, (C ctx, T a, float s), (ctx, a, s))
CHECKED(ggml_scale_inplace, (C ctx, T a, float s), (ctx, a, s))
CHECKED(ggml_scale_bias, (C ctx, T a, float s, float b), (ctx, a, s, b))
CHECKED(ggml_set_inplace, (C ctx, T a, T b, size_t nb1, size_t nb2, size_t nb3, size_t offset),
            (ctx, a, b, nb1, nb2, nb3, offset))
CHECKED(ggml_set_1d, (C ctx, T a, T b, size_t offset), (ctx, a, b, offset))
CHECKED(ggml_cpy, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_cast, (C ctx, T a, ggml_type type), (ctx, a, type))
CHECKED(ggml_cont, (C ctx, T a), (ctx, a))
CHECKED(ggml_cont_1d, (C ctx, T a, int64_t ne0), (ctx, a, ne0))
CHECKED(ggml_cont_2d, (C ctx, T a, int64_t ne0, int64_t ne1), (ctx, a, ne0, ne1))
CHECKED(ggml_cont_3d, (C ctx, T a, int64_t ne0, int64_t ne1, int64_t ne2), (ctx, a, ne0, ne1, ne2))
CHECKED(ggml_cont_4d, (C ctx, T a, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3), (ctx, a, ne0, ne1, ne2, ne3))
CHECKED(ggml_reshape_1d, (C ctx, T a, int64_t ne0), (ctx, a, ne0))
CHECKED(ggml_reshape_2d, (C ctx, T a, int64_t ne0, int64_t ne1), (ctx, a, ne0, ne1))
CHECKED(ggml_reshape_3d, (C ctx, T a, int64_t ne0, int64_t ne1, int64_t ne2), (ctx, a, ne0, ne1, ne2))
CHECKED(ggml_reshape_4d, (C ctx, T a, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3), (ctx, a, ne0, ne1, ne2, ne3))
CHECKED(ggml_view_1d, (C ctx, T a, int64_t ne0, size_t offset), (ctx, a, ne0, offset))
CHECKED(ggml_view_2d, (C ctx, T a, int64_t ne0, int64_t ne1, size_t nb1, size_t offset), (ctx, a, ne0, ne1, nb1, offset))
CHECKED(ggml_view_3d, (C ctx, T a, int64_t ne0, int64_t ne1, int64_t ne2, size_t nb1, size_t nb2, size_t offset),
            (ctx, a, ne0, ne1, ne2, nb1, nb2, offset))
CHECKED(ggml_view_4d, (C ctx, T a, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3, size_t nb1, size_t nb2, size_t nb3, size_t offset),
            (ctx, a, ne0, ne1, ne2, ne3, nb1, nb2, nb3, offset))
CHECKED(ggml_permute, (C ctx, T a, int axis0, int axis1, int axis2, int axis3), (ctx, a, axis0, axis1, axis2, axis3))
CHECKED(ggml_transpose, (C ctx, T a), (ctx, a))
CHECKED(ggml_get_rows, (C ctx, T a, T b), (ctx, a, b))
CHECKED(ggml_set_rows, (C ctx, T a, T b, T c), (ctx, a, b, c))
CHECKED(ggml_diag, (C ctx, T a), (ctx, a))
CHECKED(ggml_clamp, (C ctx, T a, float min, float max), (ctx, a, min, max))
CHECKED(ggml_soft_max, (C ctx, T a), (ctx, a))
CHECKED_BUT(ggml_soft_max_ext, 2, (C ctx, T a, T mask, float scale, float max_bias), (ctx, a, mask, scale, max_bias))
CHECKED(ggml_rope, (C ctx, T a, T b, int n_dims, int mode), (ctx, a, b, n_dims, mode))
CHECKED_BUT(ggml_rope_ext, 3, (C ctx, T a, T b, T c, int n_dims, int mode, int n_ctx_orig, float freq_base, float freq_scale, float ext_factor, float attn_factor, float beta_fast, float beta_slow),
            (ctx, a, b, c, n_dims, mode, n_ctx_orig, freq_base, freq_scale, ext_factor, attn_factor, beta_fast, beta_slow))
CHECKED_BUT(ggml_rope_multi, 3, (C ctx, T a, T b, T c, int n_dims, int sections[4], int mode, int n_ctx_orig, float freq_base, float freq_scale, float ext_factor, float attn_factor, float beta_fast, float beta_slow),
            (ctx, a, b, c, n_dims, sections, mode, n_ctx_orig, freq_base, freq_scale, ext_factor, attn_factor, beta_fast, beta_slow))
CHECKED_BUT(ggml_rope_ext_inplace, 3, (C ctx, T a, T b, T c, int n_dims, int mode, int n_ctx_orig, float freq_base, float freq_scale, float ext_factor, float attn_factor, float beta_fast, float beta_slow),
            (ctx, a, b, c, n_dims, mode, n_ctx_orig, freq_base, freq_scale, ext_factor, attn_factor, beta_fast, beta_slow))
CHECKED(ggml_im2col, (C ctx, T a, T b, int s0, int s1, int p0, int p1, int d0, int d1, bool is_2D, ggml_type dst_type),
            (ctx, a, b, s0, s1, p0, p1, d0, d1, is_2D, dst_type))
CHECKED(ggml_conv_1d_ph, (C ctx, T a, T b, int s, int d), (ctx, a, b, s, d))
CHECKED(ggml_conv_1d_dw, (C ctx, T a, T b, int s0, int p0, int d0), (ctx, a, b, s0, p0, d0))
CHECKED(ggml_conv_1d_dw_ph, (C ctx, T a, T b, int s0, int d0), (ctx, a, b, s0, d0))
CHECKED(ggml_pool_2d, (C ctx, T a, ggml_op_pool op, int k0, int k1, int s0, int s1, float p0, float p1),
            (ctx, a, op, k0, k1, s0, s1, p0, p1))
CHECKED(ggml_interpolate, (C ctx, T a, int64_t ne0, int64_t ne1, int64_t ne2, int64_t ne3, uint32_t mode),
            (ctx, a, ne0, ne1, ne2, ne3, mode))
CHECKED(ggml_pad, (C ctx, T a, int p0, int p1, int p2, int p3), (ctx, a, p0, p1, p2, p3))
CHECKED(ggml_pad_ext, (C ctx, T a, int lp0, int rp0, int lp1, int rp1, int lp2, int rp2, int lp3, int rp3),
            (ctx, a, lp0, rp0, lp1, rp1, lp2, rp2, lp3, rp3))
CHECKED(ggml_tri, (C ctx, T a, ggml_tri_type type), (ctx, a, type))
CHECKED(ggml_fill, (C ctx, T a, float c), (ctx, a, c))
CHECKED(ggml_argsort, (C ctx, T a, ggml_sort_order order), (ctx, a, order))
CHECKED(ggml_argsort_top_k, (C ctx, T a, int k), (ctx, a, k))
CHECKED(ggml_top_k, (C ctx, T a, int k), (ctx, a, k))
CHECKED_BUT(ggml_flash_attn_ext, 4, (C ctx, T q, T k, T v, T mask, float scale, float max_bias, float logit_softcap),
            (ctx, q, k, v, mask, scale, max_bias, logit_softcap))
CHECKED(ggml_ssm_conv, (C ctx, T sx, T c), (ctx, sx, c))
CHECKED(ggml_ssm_scan, (C ctx, T s, T x, T dt, T A, T B, T C, T ids, int64_t K), (ctx, s, x, dt, A, B, C, ids, K))
CHECKED(ggml_unary, (C ctx, T a, ggml_unary_op op), (ctx, a, op))
CHECKED(ggml_rwkv_wkv6, (C ctx, T k, T v, T r, T tf, T td, T state), (ctx, k, v, r, tf, td, state))
CHECKED(ggml_gated_linear_attn, (C ctx, T k, T v, T q, T g, T state, float scale), (ctx, k, v, q, g, state, scale))
CHECKED(ggml_rwkv_wkv7, (C ctx, T r, T w, T k, T v, T a, T b, T state), (ctx, r, w, k, v, a, b, state))
CHECKED(ggml_solve_tri, (C ctx, T a, T b, bool left, bool lower, bool uni), (ctx, a, b, left, lower, uni))
CHECKED(ggml_gated_delta_net, (C ctx, T q, T k, T v, T g, T beta, T state, int64_t K), (ctx, q, k, v, g, beta, state, K))
CHECKED_BUT(ggml_lightning_indexer, 4, (C ctx, T q, T k, T weights, T mask), (ctx, q, k, weights, mask))
CHECKED(ggml_dsv4_hc_comb, (C ctx, T mixes, T scale, T base, float eps, int32_t n_iter), (ctx, mixes, scale, base, eps, n_iter))
CHECKED(ggml_dsv4_hc_pre, (C ctx, T x, T weights), (ctx, x, weights))
CHECKED(ggml_dsv4_hc_pre_gated, (C ctx, T x, T gate, float scale), (ctx, x, gate, scale))
CHECKED_BUT(ggml_dsv4_hc_post, 4, (C ctx, T x, T residual, T post, T comb), (ctx, x, residual, post, comb))
// clang-format on

extern "C" __attribute__((weak)) decltype(ggml_build_forward_expand)                 __real_ggml_build_forward_expand;
extern "C" __attribute__((visibility("hidden"))) decltype(ggml_build_forward_expand) __wrap_ggml_build_forward_expand;
void __wrap_ggml_build_forward_expand(ggml_cgraph * graph, ggml_tensor * tensor) {
    look("ggml_build_forward_expand", 1, tensor);
    __real_ggml_build_forward_expand(graph, tensor);
}
#endif
