// kernel/cuda/gemv_test.cpp - a few tokens times ternary matrices on the emulated device, each path of dots, against kit
// matmul().
#include "emulation/block.h"
#include "matmul_check.h"

namespace bn_cuda {
namespace {

constexpr DotPath kPaths[] = {DotPath::kDot4, DotPath::kBits, DotPath::kBytes};

void run_all_paths(const MatmulCheck& check, bool bias, bool add) {
  const std::vector<float> want = check.want(bias, add);
  for (const DotPath path : kPaths) {
    SCOPED_TRACE(std::string(name_of(path)) + ", " + std::to_string(check.w.rows) + "x" + std::to_string(check.w.cols) + ", " +
                 std::to_string(check.tokens) + " tokens, bias " + std::to_string(bias) + ", add " + std::to_string(add));
    std::vector<float> y;
    const MatmulArgs args = check.args(&y, bias, add);
    emulation::launch(gemv_kernel(path), gemv_shape(args, path), &args);
    expect_same_bits(y, want, check.y_stride);
  }
}

TEST(CudaGemv, ShapesAndTails) {
  const uint32_t shapes[][2] = {{16, 128}, {40, 200}, {24, 100}, {48, 2560}, {16, 6912}, {16, 8640}, {3, 1}};
  for (const auto& [rows, cols] : shapes) {
    const PackedMatrix w = mixed_matrix(rows, cols);
    for (const uint32_t tokens : {1u, 2u, 7u, 8u, 9u}) {
      if (tokens > 2 && cols > 2560) continue;
      run_all_paths(MatmulCheck(w, tokens), false, false);
    }
  }
}

TEST(CudaGemv, BiasAndAdd) {
  const PackedMatrix w = mixed_matrix(40, 200);
  const MatmulCheck check(w, 3);
  run_all_paths(check, true, false);
  run_all_paths(check, false, true);
  run_all_paths(check, true, true);
}

TEST(CudaGemv, ExtremeValues) {
  const uint32_t cols = 8640;
  for (const int trit : {-1, 0, 1}) {
    const PackedMatrix w(16, cols, [trit](uint32_t, uint32_t) { return static_cast<int8_t>(trit); });
    for (const int code : {-127, -1, 127}) {
      MatmulCheck check(w, 1);
      check.set_all_codes(code);
      run_all_paths(check, false, false);
    }
  }
}

}  // namespace
}  // namespace bn_cuda
