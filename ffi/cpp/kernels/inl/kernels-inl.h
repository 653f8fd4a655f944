// Included by arch/*.cpp last, after vector-inl.h and what that file says of its registers: the one list of the kernels, in the
// order in which they need one another.
//
// WIDTH, load_halves, sum_of, largest_of    every file defines them
// ROWS, transpose, dot_pairs, widened,      for products; a file without ROWS leaves them to ggml
//   sum_of_each, pack_block, shuffled
// HAS_BF16, HAS_AMX                         products of bf16 weights by the processor's own instructions
#pragma once
#include "kernels/inl/mask-inl.h"

#include "kernels/inl/sight-inl.h"

#include "kernels/inl/attention-inl.h"

#include "kernels/inl/softmax-inl.h"

#include "kernels/inl/rows-inl.h"

#include "kernels/inl/gelu-inl.h"

#if defined(ROWS)
#    include "kernels/inl/panels-inl.h"
#endif

#if defined(HAS_BF16)
#    include "kernels/inl/bf16-inl.h"
#endif

#if defined(HAS_AMX)
#    include "kernels/inl/amx-inl.h"

#    include "kernels/inl/attention_amx-inl.h"
#endif

#if defined(ROWS)
#    include "kernels/inl/f32-inl.h"

#    include "kernels/inl/blocks-inl.h"

#    include "kernels/inl/integers-inl.h"

#    include "kernels/inl/products-inl.h"

#    if defined(HAS_AMX)
#        include "kernels/inl/integers_amx-inl.h"
#    endif
#endif
