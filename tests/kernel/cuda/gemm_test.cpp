// kernel/cuda/gemm_test.cpp - many tokens times ternary matrices on the emulated device, every width of tiles, against kit
// matmul().
#include "emulation/block.h"
#include "matmul_check.h"

namespace bn_cuda {
namespace {

// Few or many processors: another width of tiles is the fastest.
void run(const MatmulCheck& check, bool bias, bool add, uint32_t n_processors) {
  SCOPED_TRACE(std::to_string(check.w.rows) + "x" + std::to_string(check.w.cols) + ", " + std::to_string(check.tokens) +
               " tokens, bias " + std::to_string(bias) + ", add " + std::to_string(add));
  std::vector<float> y;
  const MatmulArgs args = check.args(&y, bias, add);
  emulation::launch(gemm_kernel(args, n_processors), gemm_shape(args, n_processors), &args);
  expect_same_bits(y, check.want(bias, add), check.y_stride);
}

TEST(CudaGemm, EveryWidth) {
  const PackedMatrix w = mixed_matrix(40, 200);
  const MatmulCheck check(w, 130);
  std::vector<float> y;
  const MatmulArgs args = check.args(&y, false, false);
  std::vector<std::string> names;
  for (const uint32_t processors : {1u, 2u, 3u}) {
    names.emplace_back(gemm_kernel(args, processors).name);
    run(check, false, false, processors);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"gemm 96", "gemm 96", "gemm 64"}));
  const MatmulCheck more(w, 120);
  EXPECT_STREQ(gemm_kernel(more.args(&y, false, false), 1).name, "gemm 128");
  run(more, false, false, 1);
}

TEST(CudaGemm, ShapesAndTails) {
  const uint32_t shapes[][3] = {{16, 128, 33},  {40, 200, 9},   {24, 100, 130}, {130, 384, 70}, {272, 640, 9},
                                {16, 2560, 33}, {16, 6912, 16}, {16, 8640, 9},  {3, 1, 1}};
  for (const auto& [rows, cols, tokens] : shapes) run(MatmulCheck(mixed_matrix(rows, cols), tokens), false, false, 132);
}

TEST(CudaGemm, BiasAndAdd) {
  const PackedMatrix w = mixed_matrix(40, 200);
  const MatmulCheck check(w, 11);
  run(check, true, false, 132);
  run(check, false, true, 132);
  run(check, true, true, 132);
}

TEST(CudaGemm, ExtremeValues) {
  const uint32_t cols = 8640;
  for (const int trit : {-1, 1}) {
    const PackedMatrix w(16, cols, [trit](uint32_t, uint32_t) { return static_cast<int8_t>(trit); });
    for (const int code : {-127, 127}) {
      MatmulCheck check(w, 9);
      check.set_all_codes(code);
      run(check, false, false, 132);
    }
  }
}

}  // namespace
}  // namespace bn_cuda
