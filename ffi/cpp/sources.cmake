# Every C and C++ file of this folder, by room. CMake compiles what is listed here, and a package that is built from a web
# address is fetched by the same list (build/stage.ts); tests/build/stage_test.ts compares it with the folder.

set(SAUR_GROUND
  status.h)

# one of the three with a system's name is compiled
set(SAUR_OS
  os/linux.cpp
  os/linux_cores.cpp
  os/linux_cores.h
  os/macos.cpp
  os/os.h
  os/posix.h
  os/windows.cpp)

set(SAUR_GUARD
  guard/cpu_check.cpp
  guard/cpu_check.h
  guard/cpu_features.c
  guard/exit.cpp
  guard/exit.h
  guard/guard.cpp
  guard/guard.h
  guard/log.cpp
  guard/log.h
  guard/long_runs.cpp
  guard/long_runs.h
  guard/gguf/check.cpp
  guard/gguf/check.h
  guard/gguf/file.cpp
  guard/gguf/file.h
  guard/gguf/hash.cpp
  guard/gguf/hash.h
  guard/gguf/header.cpp
  guard/gguf/header.h
  guard/gguf/limits.h
  guard/gguf/model_files.cpp
  guard/gguf/model_files.h
  guard/gguf/reader.cpp
  guard/gguf/reader.h
  guard/gguf/unsound.cpp
  guard/gguf/unsound.h
  guard/gguf/vocabulary.cpp
  guard/gguf/vocabulary.h)

set(SAUR_KERNELS
  kernels/backend.cpp
  kernels/graph.cpp
  kernels/kernels.h
  kernels/panelled_weights.cpp
  kernels/panelled_weights.h
  kernels/arch/avx2.cpp
  kernels/arch/avx512.cpp
  kernels/arch/neon.cpp
  kernels/arch/usable.cpp
  kernels/inl/amx-inl.h
  kernels/inl/attention-inl.h
  kernels/inl/attention_amx-inl.h
  kernels/inl/bf16-inl.h
  kernels/inl/f32-inl.h
  kernels/inl/gelu-inl.h
  kernels/inl/kernels-inl.h
  kernels/inl/mask-inl.h
  kernels/inl/panels-inl.h
  kernels/inl/q8-inl.h
  kernels/inl/rows-inl.h
  kernels/inl/vector-inl.h)

set(SAUR_SHIM
  shim/answer.h
  shim/batch.cpp
  shim/context.cpp
  shim/decoder.cpp
  shim/decoder.h
  shim/device.cpp
  shim/device.h
  shim/lane.cpp
  shim/lane.h
  shim/library.cpp
  shim/loaded_model.cpp
  shim/loaded_model.h
  shim/model.cpp
  shim/owner.cpp
  shim/owner.h
  shim/pass.cpp
  shim/pass.h
  shim/pooling.h
  shim/quantize.cpp
  shim/shim.h
  shim/vocab.cpp
  shim/word_pieces.cpp
  shim/word_pieces.h)

set(SAUR_WRAPS
  wraps/linux.cpp
  wraps/wraps.h)
