// bench.cpp - "bench ./bn_acme.so": how fast a plugin multiplies a vector by a 2560 x 2560 ternary matrix on one core.
//
// Best of many runs, as a busy machine can only be too slow. The checksum must not change when the speed does.
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "bitnet/kernels.h"
#include "bitnet/kit/ternary.hpp"

namespace {

constexpr uint32_t kRows = 2560, kCols = 2560;  // of the attention matrices of BitNet b1.58 2B-4T

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "bench: %s\n", what);
  std::exit(1);
}

// A random matrix in bn.t2, and what describes it.
struct Matrix {
  std::vector<uint8_t> codes = std::vector<uint8_t>(kRows * (kCols / 4));
  float scale = 1.0f;
  bn_format format = {sizeof(bn_format), 2, 1, 1, 1, 4, 0, "bn.t2", BN_FINGERPRINT_T2};
  bn_tensor tensor = {};
  Matrix() {
    std::vector<int8_t> trits(kCols);
    for (uint32_t r = 0; r < kRows; ++r) {
      for (uint32_t c = 0; c < kCols; ++c) trits[c] = bn::kit::canonical_trit(r, c);
      bn::kit::write_row_t2(trits.data(), kCols, &codes[r * (kCols / 4)]);
    }
    tensor.struct_size = sizeof tensor;
    tensor.role = BN_T_ATTN_Q, tensor.dtype = BN_DT_TERNARY, tensor.rows = kRows, tensor.cols = kCols;
    tensor.n_scales = 1, tensor.scales = &scale, tensor.data = codes.data(), tensor.bytes = codes.size();
    tensor.format = &format;
  }
  Matrix(const Matrix&) = delete;
  Matrix& operator=(const Matrix&) = delete;
};

const bn_kernels_v1* open_plugin(const char* file, bn_device** device) {
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail(dlerror());
  const auto entry = reinterpret_cast<bn_entry_fn>(dlsym(library, "bitnet_plugin_v1"));
  const bn_plugin* plugin = entry == nullptr ? nullptr : entry(BN_ABI_MINOR);
  bn_device_info info = {};
  info.struct_size = sizeof info;
  bn_error error = {};
  error.struct_size = sizeof error;
  if (plugin == nullptr) fail("not a plugin");
  if (plugin->enumerate(nullptr, 0, &info, &error) != BN_OK) fail(error.message);
  if (plugin->open(nullptr, info.id, nullptr, device, &error) != BN_OK) fail(error.message);
  const auto* kernels = static_cast<const bn_kernels_v1*>(plugin->get_interface(*device, BN_KERNELS_ID));
  return kernels == nullptr ? (fail("it has no kernels"), nullptr) : kernels;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) fail("usage: bench PLUGIN.so");
  bn_device* device = nullptr;
  const bn_kernels_v1* kernels = open_plugin(argv[1], &device);
  Matrix matrix;
  uint64_t bytes = 0;
  bn_format layout = {};
  layout.struct_size = sizeof layout;
  if (kernels->pack_size(device, &matrix.tensor, &bytes, &layout, nullptr) != BN_OK) fail("pack_size failed");
  void* packed = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  void* scratch = std::aligned_alloc(64, kernels->scratch_bytes / 64 * 64 + 64);
  if (kernels->pack(device, &matrix.tensor, 0, kRows, packed, nullptr) != BN_OK) fail("pack failed");

  std::vector<int8_t> x(kCols + 256, 0);
  int32_t x_sum = 0;
  for (uint32_t c = 0; c < kCols; ++c) x_sum += x[c] = static_cast<int8_t>(c * 37 % 255 - 127);
  const float x_scale = 1.0f;
  std::vector<float> y(kRows);
  const bn_matmul args = {sizeof args, 1, &matrix.tensor, packed, x.data(), &x_scale, &x_sum, y.data(), kCols + 256, kRows};
  double best = 1e9;
  for (int run = 0; run < 50; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    if (kernels->matmul(device, &args, 0, kRows, scratch) != BN_OK) fail("matmul failed");
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    best = seconds < best ? seconds : best;
  }
  double checksum = 0;
  for (uint32_t r = 0; r < kRows; ++r) checksum += y[r] * (r % 97);
  std::printf("%u x %u: %.3f ms, %.1f GMAC/s, %.2f GB/s of packed weights, checksum %.0f\n", kRows, kCols, best * 1e3,
              1e-9 * kRows * kCols / best, 1e-9 * static_cast<double>(bytes) / best, checksum);
  std::free(packed);
  std::free(scratch);
}
