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

FusedPart part_of(const MatmulArgs& m, const float* gain, float eps) {
  return {m.w, m.w_scale, m.bias, gain, m.y, m.rows, eps};
}
FusedArgs one_matrix(const MatmulArgs& m, const std::vector<float>& x, const float* gain, float eps) {
  FusedArgs a{};
  a.part[0] = part_of(m, gain, eps);
  a.n_parts = 1;
  a.x = x.data();
  a.cols = m.cols;
  return a;
}

// RMSNorm(x)*gain by the kit.
std::vector<float> normed(const std::vector<float>& x, const std::vector<float>& gain, float eps) {
  std::vector<float> y(x.size());
  bn_norm norm{};
  norm.x = x.data(), norm.gain = gain.data(), norm.y = y.data();
  norm.n = static_cast<uint32_t>(x.size());
  norm.eps = eps;
  bn::kit::norm(norm, 0, 1);
  return y;
}
// The codes of a check become those of x.
void quantise(MatmulCheck& check, const std::vector<float>& x, const float* gain, float eps) {
  bn_norm norm{};
  norm.x = x.data(), norm.gain = gain;
  norm.n = check.w.cols;
  norm.eps = eps;
  norm.q = check.q.data(), norm.q_scale = check.x_scale.data(), norm.q_sum = check.x_sum.data();
  norm.q_stride = check.q_stride;
  bn::kit::norm(norm, 0, 1);
}

// Store and add; with `act` also glu. x becomes the codes of `check`.
void run(MatmulCheck check, const std::vector<float>& x, const FusedCase& c) {
  const uint32_t rows = check.w.rows, cols = check.w.cols;
  SCOPED_TRACE(std::to_string(rows) + "x" + std::to_string(cols) + ", gain " + std::to_string(c.gain != nullptr) + ", eps " +
               std::to_string(c.eps) + ", bias " + std::to_string(c.bias) + ", processors " + std::to_string(c.n_processors));
  quantise(check, x, c.gain, c.eps);
  for (const DotPath path : kPaths) {
    SCOPED_TRACE(name_of(path));
    const auto launch = [&](Epilogue epilogue, const FusedArgs& args) {
      emulation::launch(fused_kernel(path, epilogue), fused_shape(args, path, epilogue, c.n_processors), &args);
    };
    for (const bool add : {false, true}) {
      std::vector<float> y;
      const FusedArgs args = one_matrix(check.args(&y, c.bias, add), x, c.gain, c.eps);
      launch(add ? Epilogue::kAdd : Epilogue::kStore, args);
      expect_same_bits(y, check.want(c.bias, add), check.y_stride);
    }
    if (rows % 16 != 0) continue;
    for (const uint32_t act : {BN_ACT_RELU2, BN_ACT_SILU}) {
      std::vector<float> y, want = check.before;
      const std::vector<float> h = check.want(c.bias, false);
      for (uint32_t i = 0; i < rows / 2; ++i)
        want[i] = bn::kit::glu_element(act, h[i / 8 * 16 + i % 8], h[i / 8 * 16 + 8 + i % 8]);
      FusedArgs args = one_matrix(check.args(&y, c.bias, false), x, c.gain, c.eps);
      args.act = act;
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
    const FusedArgs args = one_matrix(MatmulCheck(w, 1).args(&y, false, false), x, nullptr, 0);
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

// What comes before the norm of the matrix.
struct Before {
  bool branch, block_norm;
};

// Three matrices of other heights, each with a norm of its own, after what `before` says; then the second and third as gate and
// up that lie apart.
void run_own_norms(const uint32_t (&rows)[3], uint32_t cols, Before before, uint32_t n_processors) {
  SCOPED_TRACE(std::to_string(cols) + ", branch " + std::to_string(before.branch) + ", block norm " +
               std::to_string(before.block_norm) + ", processors " + std::to_string(n_processors));
  const float eps = 1e-5f;
  const std::vector<float> x = mixed_floats(cols, 1), branch = mixed_floats(cols, 5), branch_gain = mixed_floats(cols, 6),
                           block_gain = mixed_floats(cols, 7);
  const std::vector<float> gains[] = {mixed_floats(cols, 8), mixed_floats(cols, 9), mixed_floats(cols, 10)};
  std::vector<float> summed = x, next(cols + 1, -7.0f);
  const std::vector<float> added = normed(branch, branch_gain, eps);
  for (uint32_t i = 0; before.branch && i < cols; ++i) summed[i] = x[i] + added[i];
  const std::vector<float> u = before.block_norm ? normed(summed, block_gain, eps) : summed;

  const PackedMatrix w[] = {mixed_matrix(rows[0], cols), mixed_matrix(rows[1], cols), mixed_matrix(rows[2], cols)};
  std::vector<MatmulCheck> checks = {{w[0], 1}, {w[1], 1}, {w[2], 1}};
  for (uint32_t i = 0; i < 3; ++i) quantise(checks[i], u, i == 2 ? nullptr : gains[i].data(), i == 2 ? -1.0f : eps);
  const auto arguments = [&](std::vector<float>(&y)[3], uint32_t first) {
    FusedArgs a{};
    for (uint32_t i = first; i < 3; ++i) {
      a.part[a.n_parts++] =
          part_of(checks[i].args(&y[i], i != 1, false), i == 2 ? nullptr : gains[i].data(), i == 2 ? -1.0f : eps);
    }
    a.x = x.data();
    a.cols = cols;
    a.norm_eps = eps;
    if (before.branch) a.branch = branch.data(), a.branch_gain = branch_gain.data(), a.x_next = next.data();
    if (before.block_norm) a.block_gain = block_gain.data();
    return a;
  };
  const auto expect_next = [&] {
    for (uint32_t i = 0; i < cols; ++i) ASSERT_EQ(next[i], before.branch ? summed[i] : -7.0f) << i;
    EXPECT_EQ(next[cols], -7.0f);
    next.assign(next.size(), -7.0f);
  };
  for (const DotPath path : kPaths) {
    SCOPED_TRACE(name_of(path));
    std::vector<float> y[3];
    FusedArgs args = arguments(y, 0);
    emulation::launch(fused_kernel(path, Epilogue::kStore), fused_shape(args, path, Epilogue::kStore, n_processors), &args);
    for (uint32_t i = 0; i < 3; ++i) expect_same_bits(y[i], checks[i].want(i != 1, false), checks[i].y_stride);
    expect_next();

    args = arguments(y, 1);
    args.act = BN_ACT_SILU;
    const std::vector<float> gate = checks[1].want(false, false), up = checks[2].want(true, false);
    std::vector<float> want = checks[1].before;
    for (uint32_t i = 0; i < rows[1]; ++i) want[i] = bn::kit::glu_element(BN_ACT_SILU, gate[i], up[i]);
    emulation::launch(fused_kernel(path, Epilogue::kGlu), fused_shape(args, path, Epilogue::kGlu, n_processors), &args);
    expect_same_bits(y[1], want, checks[1].y_stride);
    expect_next();
  }
}

TEST(CudaFused, NormsOfTheirOwn) {
  for (const Before before : {Before{false, false}, {true, false}, {false, true}, {true, true}}) {
    run_own_norms({40, 24, 24}, 201, before, 132);
  }
  for (const uint32_t processors : {1u, 2u, 5u}) run_own_norms({150, 88, 88}, 1400, {true, true}, processors);
}

// What a block keeps, by hand: 6912 codes, 54 planes of 256 bytes, (27*16 + 32) floats to measure, 16 sums, 16 bytes, 2*16*16
// partial sums. With a norm before, x as 6912 floats; gate and up apart: codes, planes and sums twice.
TEST(CudaFused, SharedMemoryOfABlock) {
  FusedArgs a{};
  a.n_parts = 1;
  a.cols = 6912;
  a.part[0].rows = a.part[1].rows = 2560;
  const uint32_t usual = 6912 + 54 * 256 + 1856 + 64 + 16 + 2048;
  EXPECT_EQ(fused_shape(a, DotPath::kBits, Epilogue::kAdd).shared_bytes, usual);
  EXPECT_EQ(fused_shape(a, DotPath::kDot4, Epilogue::kAdd).shared_bytes, usual - 54 * 256);
  const float gain = 1;
  a.block_gain = &gain;
  EXPECT_EQ(fused_shape(a, DotPath::kBits, Epilogue::kAdd).shared_bytes, usual + 4 * 6912);
  a.n_parts = 2;
  EXPECT_EQ(fused_shape(a, DotPath::kBits, Epilogue::kStore).shared_bytes, usual + 4 * 6912);
  EXPECT_EQ(fused_shape(a, DotPath::kBits, Epilogue::kStore).grid_y, 2u);
  EXPECT_EQ(fused_shape(a, DotPath::kBits, Epilogue::kGlu).shared_bytes, usual + 4 * 6912 + 6912 + 54 * 256 + 64);
  EXPECT_EQ(fused_shape(a, DotPath::kBits, Epilogue::kGlu).grid_y, 1u);
}

}  // namespace
}  // namespace bn_cuda
