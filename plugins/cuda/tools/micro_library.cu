// tools/micro_library.cu - a yardstick for prompts: int8 products of cuBLASLt at the shapes of the 2B model.
//
// The library is opened where it is found and never linked: it has half a gigabyte. Of its interface only what is needed is
// declared here, with the numbers of NVIDIA's documentation of cuBLASLt 12 and 13.
#include <dlfcn.h>

#include "micro.h"

namespace micro {
namespace {

constexpr int kReal8 = 3, kReal32Integer = 10;      // cudaDataType: CUDA_R_8I, CUDA_R_32I
constexpr int kComputeInt32 = 72;                   // CUBLAS_COMPUTE_32I
constexpr int kTransposeA = 3, kMostWorkspace = 1;  // CUBLASLT_MATMUL_DESC_TRANSA, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
constexpr int32_t kTransposed = 1;                  // CUBLAS_OP_T

struct Heuristic {  // cublasLtMatmulHeuristicResult_t
  uint64_t algorithm[8];
  size_t workspace;
  int status;
  float waves;
  int reserved[4];
};

struct Library {
  using Make = int (*)(void**);
  using Drop = int (*)(void*);
  using Set = int (*)(void*, int, const void*, size_t);
  using MakeDescription = int (*)(void**, int compute, int scale);
  using MakeLayout = int (*)(void**, int type, uint64_t rows, uint64_t cols, int64_t ld);
  using Choose = int (*)(void*, void*, void*, void*, void*, void*, void*, int, Heuristic*, int*);
  using Multiply = int (*)(void*, void*, const void* alpha, const void* a, void* al, const void* b, void* bl, const void* beta,
                           const void* c, void* cl, void* d, void* dl, const void* algorithm, void* workspace, size_t bytes,
                           cudaStream_t);
  Make create, make_preference;
  MakeDescription make_description;
  MakeLayout make_layout;
  Set set_description, set_preference;
  Drop drop_description, drop_layout, drop_preference;
  Choose choose;
  Multiply multiply;
};

// False: the library, or a function of it, is not there.
bool open_library(Library* l) {
  void* handle = nullptr;
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}) {
    if (handle == nullptr) handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  if (handle == nullptr) return false;
  bool all = true;
  const auto find = [&](auto* function, const char* name) {
    *reinterpret_cast<void**>(function) = dlsym(handle, name);
    all = all && *reinterpret_cast<void**>(function) != nullptr;
  };
  find(&l->create, "cublasLtCreate");
  find(&l->make_preference, "cublasLtMatmulPreferenceCreate");
  find(&l->make_description, "cublasLtMatmulDescCreate");
  find(&l->make_layout, "cublasLtMatrixLayoutCreate");
  find(&l->set_description, "cublasLtMatmulDescSetAttribute");
  find(&l->set_preference, "cublasLtMatmulPreferenceSetAttribute");
  find(&l->drop_description, "cublasLtMatmulDescDestroy");
  find(&l->drop_layout, "cublasLtMatrixLayoutDestroy");
  find(&l->drop_preference, "cublasLtMatmulPreferenceDestroy");
  find(&l->choose, "cublasLtMatmulAlgoGetHeuristic");
  find(&l->multiply, "cublasLtMatmul");
  return all;
}

// D[rows x tokens] = W^T x, both int8 with `cols` contiguous, D int32. Multiplications and additions count as two.
void measure_product(const Library& l, void* handle, const Buffers& b, uint64_t rows, uint64_t cols, uint64_t tokens) {
  const std::string name =
      "cuBLASLt int8, " + std::to_string(rows) + " x " + std::to_string(cols) + ", " + std::to_string(tokens) + " tokens";
  void *description = nullptr, *w = nullptr, *x = nullptr, *y = nullptr, *preference = nullptr;
  uint8_t* const memory = reinterpret_cast<uint8_t*>(b.memory);
  const uint64_t w_bytes = rows * cols, x_at = uint64_t{256} << 20, y_at = uint64_t{384} << 20;
  const size_t workspace_at = uint64_t{768} << 20, workspace = uint64_t{64} << 20;
  const int32_t one = 1, zero = 0;
  Heuristic best{};
  int found = 0;
  const bool made =
      l.make_description(&description, kComputeInt32, kReal32Integer) == 0 &&
      l.set_description(description, kTransposeA, &kTransposed, sizeof kTransposed) == 0 &&
      l.make_layout(&w, kReal8, cols, rows, static_cast<int64_t>(cols)) == 0 &&
      l.make_layout(&x, kReal8, cols, tokens, static_cast<int64_t>(cols)) == 0 &&
      l.make_layout(&y, kReal32Integer, rows, tokens, static_cast<int64_t>(rows)) == 0 && l.make_preference(&preference) == 0 &&
      l.set_preference(preference, kMostWorkspace, &workspace, sizeof workspace) == 0 &&
      l.choose(handle, description, w, x, y, y, preference, 1, &best, &found) == 0 && found == 1 && w_bytes <= x_at;
  int status = 0;
  const auto run = [&] {
    status |= l.multiply(handle, description, &one, memory, w, memory + x_at, x, &zero, memory + y_at, y, memory + y_at, y,
                         best.algorithm, memory + workspace_at, workspace, card.stream);
  };
  const double us = made ? time_us(run) : 0;
  if (made && status == 0) {
    print(name, 2.0 * static_cast<double>(rows * cols * tokens) / us * 1e-6, "T operations/s");
  } else {
    not_measured(name, "cuBLASLt takes no such product");
  }
  if (preference != nullptr) l.drop_preference(preference);
  for (void* layout : {w, x, y}) {
    if (layout != nullptr) l.drop_layout(layout);
  }
  if (description != nullptr) l.drop_description(description);
}

}  // namespace

void measure_library(const Buffers& b) {
  Library l{};
  void* handle = nullptr;
  if (!open_library(&l)) return not_measured("cuBLASLt int8", "there is no libcublasLt");
  if (l.create(&handle) != 0) return not_measured("cuBLASLt int8", "cuBLASLt does not start");
  for (const uint64_t tokens : {512u, 2048u}) {
    measure_product(l, handle, b, 3840, 2560, tokens);
    measure_product(l, handle, b, 2560, 2560, tokens);
    measure_product(l, handle, b, 13824, 2560, tokens);
    measure_product(l, handle, b, 2560, 6912, tokens);
  }
}

}  // namespace micro
