// kernel/cuda/fused_test.cpp - decode's fused kernels on the emulated device against norm, matmul and glu of the kit, one after
// the other.
#include "emulation/block.h"
#include "matmul_check.h"

namespace bn_cuda {
namespace {

constexpr DotPath kPaths[] = {DotPath::kDot4, DotPath::kBits, DotPath::kBytes};

std::vector<float> mixed_floats(uint32_t n, uint32_t seed) {
  std::vector<float> v;
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t bits = (seed * 7919u + i) * 2654435761u;
    v.push_back((static_cast<float>(bits >> 8) / 16777216.0f - 0.5f) * (i % 41 == 7 ? 30.0f : 2.0f));
  }
  return v;
}

struct FusedCase {
  const float* gain;
  float eps;
  bool bias;
  uint32_t n_processors;  // few: several groups of tiles for each block
};

// Store and add; with `act` also glu. x becomes the codes of `check`.
void run(MatmulCheck check, const std::vector<float>& x, const FusedCase& c) {
  const uint32_t rows = check.w.rows, cols = check.w.cols;
  SCOPED_TRACE(std::to_string(rows) + "x" + std::to_string(cols) + ", gain " + std::to_string(c.gain != nullptr) + ", eps " +
               std::to_string(c.eps) + ", bias " + std::to_string(c.bias) + ", processors " + std::to_string(c.n_processors));
  bn_norm norm{};
  norm.x = x.data();
  norm.gain = c.gain;
  norm.n = cols;
  norm.eps = c.eps;
  norm.q = check.q.data();
  norm.q_stride = check.q_stride;
  norm.q_scale = check.x_scale.data();
  norm.q_sum = check.x_sum.data();
  bn::kit::norm(norm, 0, 1);
  for (const DotPath path : kPaths) {
    SCOPED_TRACE(name_of(path));
    const auto launch = [&](Epilogue epilogue, const FusedArgs& args) {
      emulation::launch(fused_kernel(path, epilogue), fused_shape(args, path, epilogue, c.n_processors), &args);
    };
    for (const bool add : {false, true}) {
      std::vector<float> y;
      FusedArgs args{check.args(&y, c.bias, add), x.data(), c.gain, c.eps, 0};
      args.m.q = nullptr, args.m.x_scale = nullptr, args.m.x_sum = nullptr;
      launch(add ? Epilogue::kAdd : Epilogue::kStore, args);
      expect_same_bits(y, check.want(c.bias, add), check.y_stride);
    }
    if (rows % 16 != 0) continue;
    for (const uint32_t act : {BN_ACT_RELU2, BN_ACT_SILU}) {
      std::vector<float> y, want = check.before;
      const std::vector<float> h = check.want(c.bias, false);
      for (uint32_t i = 0; i < rows / 2; ++i)
        want[i] = bn::kit::glu_element(act, h[i / 8 * 16 + i % 8], h[i / 8 * 16 + 8 + i % 8]);
      const FusedArgs args{check.args(&y, c.bias, false), x.data(), c.gain, c.eps, act};
      launch(Epilogue::kGlu, args);
      expect_same_bits(y, want, check.y_stride);
    }
  }
}

TEST(CudaFused, ShapesAndTails) {
  const uint32_t shapes[][2] = {{16, 128}, {40, 200}, {24, 100}, {48, 2560}, {16, 6912}, {16, 8640}, {3, 1}};
  for (const auto& [rows, cols] : shapes) {
    const PackedMatrix w = mixed_matrix(rows, cols);
    const std::vector<float> x = mixed_floats(cols, rows), gain = mixed_floats(cols, 3);
    run(MatmulCheck(w, 1), x, {gain.data(), 1e-5f, false, 132});
    if (cols < 2000) run(MatmulCheck(w, 1), x, {nullptr, -1.0f, true, 132});
  }
}

TEST(CudaFused, EveryGroup) {
  const uint32_t rows = 11 * 16, cols = 1400;  // 11 tiles of rows and of columns
  const PackedMatrix w = mixed_matrix(rows, cols);
  const std::vector<float> x = mixed_floats(cols, 1), gain = mixed_floats(cols, 2);
  std::vector<float> y;
  for (const uint32_t processors : {1u, 2u, 3u, 5u, 9u}) {
    run(MatmulCheck(w, 1), x, {gain.data(), 1e-5f, true, processors});
    const FusedArgs args{MatmulCheck(w, 1).args(&y, false, false), x.data(), nullptr, 0, 0};
    EXPECT_LE(fused_shape(args, DotPath::kBits, Epilogue::kStore, processors).grid_x, processors + processors / 4);
  }
}

TEST(CudaFused, ExtremeValues) {
  const uint32_t cols = 8640;
  for (const int trit : {-1, 1}) {
    const PackedMatrix w(16, cols, [trit](uint32_t, uint32_t) { return static_cast<int8_t>(trit); });
    for (const float value : {-3.0f, 3.0f, 0.0f})
      run(MatmulCheck(w, 1), std::vector<float>(cols, value), {nullptr, 1e-6f, false, 132});
  }
}

}  // namespace
}  // namespace bn_cuda
