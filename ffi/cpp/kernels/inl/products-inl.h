// Included by arch/*.cpp (kernels-inl.h) after integers-inl.h: the products that every file with ROWS has, by their type of weights.
#pragma once
namespace {

const saur::ProductOf PRODUCTS[] = {
    { GGML_TYPE_F32, product_f32, put_in_panels_f32, 0 },
    { GGML_TYPE_F16, product<F16, true>, put_in_panels_as_integers<F16>, BLOCK },
    { GGML_TYPE_BF16, product<BF16, true>, put_in_panels_as_integers<BF16>, BLOCK },
    { GGML_TYPE_Q8_0, product<Q8_0> },
    { GGML_TYPE_Q4_0, product<Q4_0> },
    { GGML_TYPE_Q4_1, product<Q4_1> },
    { GGML_TYPE_Q5_0, product<Q5_0> },
    { GGML_TYPE_Q5_1, product<Q5_1> },
    { GGML_TYPE_Q4_K, product<Q4_K> },
    { GGML_TYPE_Q5_K, product<Q5_K> },
    { GGML_TYPE_Q6_K, product<Q6_K> },
    { GGML_TYPE_Q3_K, product<Q3_K> },
    { GGML_TYPE_IQ4_NL, product<IQ4_NL> },
    { GGML_TYPE_IQ4_XS, product<IQ4_XS> },
    { GGML_TYPE_MXFP4, product<MXFP4> },
    {},
};

}  // namespace
