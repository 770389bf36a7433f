# The sources of cuda, as paths from this folder: the plugin compiles the kernels with nvcc, the tests with the host's compiler.
set(cuda_kernels
  device/add.cu
  device/attention_decode.cu
  device/attention_prompt.cu
  device/draw.cu
  device/embed.cu
  device/fused.cu
  device/gemm.cu
  device/gemv.cu
  device/glu.cu
  device/head_full.cu
  device/norm.cu
  device/rope.cu
  device/screen.cu
  device/screen_bounds.cu
  device/screen_build.cu
  device/top.cu)
set(cuda_host  # the same for a real and for the emulated GPU
  device/t2.cpp
  gpu/errors.cpp
  gpu/faulty_gpu.cpp)
set(cuda_engine
  engine/chain.cpp
  engine/estimate.cpp
  engine/head.cpp
  engine/memory.cpp
  engine/model.cpp
  engine/options.cpp
  engine/session.cpp
  engine/session_decode.cpp
  engine/step.cpp
  engine/stream.cpp
  engine/table.cpp
  engine/upload.cpp
  engine/weights.cpp
  engine/workspace.cpp)
set(cuda_real gpu/cuda_gpu.cu)
