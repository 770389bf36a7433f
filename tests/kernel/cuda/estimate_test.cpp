// kernel/cuda/estimate_test.cpp - what the engine of cuda calculates of a card: expected speeds, and whether a head is
// screened.
#include "engine/estimate.h"

#include <cstdlib>

#include "kernel/cuda/engine_in_process.h"

namespace bn_cuda {
namespace {

// Spec bandwidths and L2 sizes of the makers' data sheets.
DeviceFacts card(double terabytes, uint64_t l2_megabytes, bool early) {
  DeviceFacts facts;
  facts.memory_bytes_per_second = static_cast<uint64_t>(terabytes * 1e12);
  facts.l2_bytes = l2_megabytes << 20;
  facts.early_launch = early;
  return facts;
}
const DeviceFacts kH200 = card(4.8, 50, true), kA100 = card(1.555, 40, false), k4090 = card(1.008, 72, false);

// The 2B model: 521.0 MB of matrices, F16 head 656.7 MB, its copy 328.3 MB of codes and 12 bytes a row.
constexpr StepReads k2B = {521011200, 656670720, 328335360 + 128256 * 12, 128 * 76800};

TEST(CudaEstimate, TheMainModelOnThreeCards) {
  const Options usual;
  // (521.0 + 9.8 + 329.9 MB) / 4.32 TB/s = 199 us, and 157 kernels of 1.1 us; A100: 615 us and 157 of 2.1 us; 4090: 949 and
  // 330 us.
  EXPECT_NEAR(decode_speed(k2B, 30, kH200, usual), 1e6 / 371.9, 10);
  EXPECT_NEAR(decode_speed(k2B, 30, kA100, usual), 1e6 / 944.7, 5);
  EXPECT_NEAR(decode_speed(k2B, 30, k4090, usual), 1e6 / 1278.4, 5);
  Options plain;
  plain.stage = Stage::kLaunches;  // the head whole: 1187.5 MB = 274.9 us, and 337 launches of 3 us
  EXPECT_NEAR(decode_speed(k2B, 30, kH200, plain), 1e6 / 1285.9, 5);
}

TEST(CudaEstimate, AnUnknownCardHasNoSpeedAndScreens) {
  EXPECT_EQ(decode_speed(k2B, 30, DeviceFacts{}, Options{}), 0.0f);
  EXPECT_TRUE(screening_pays(k2B, DeviceFacts{}));
}

TEST(CudaEstimate, ScreeningMustSaveMoreThanItsKernelsCost) {
  StepReads reads = k2B;
  EXPECT_TRUE(screening_pays(reads, kH200));
  // 8 us of 4.32 TB/s are 34.6 MB; of the 4090's 0.907 TB/s 7.3 MB.
  reads.head = 60000000, reads.head_copy = 30000000;
  EXPECT_FALSE(screening_pays(reads, kH200));
  EXPECT_TRUE(screening_pays(reads, k4090));
  reads.head = 80000000, reads.head_copy = 40000000;
  EXPECT_TRUE(screening_pays(reads, kH200));
  reads.head = 12000000, reads.head_copy = 6000000;
  EXPECT_FALSE(screening_pays(reads, k4090));
  // All of it in the L2.
  EXPECT_FALSE(screening_pays({20000000, 40000000, 20000000, 100000}, k4090));
  EXPECT_TRUE(screening_pays({40000000, 40000000, 20000000, 100000}, k4090));
  // A table that no copy makes smaller, or that has none.
  EXPECT_FALSE(screening_pays({521011200, 656670720, 0, 0}, DeviceFacts{}));
  EXPECT_FALSE(screening_pays({521011200, 100, 120, 0}, DeviceFacts{}));
}

struct Bandwidth {
  explicit Bandwidth(const char* bytes_per_second) { setenv("BN_CUDA_EMULATED_BANDWIDTH", bytes_per_second, 1); }
  ~Bandwidth() { unsetenv("BN_CUDA_EMULATED_BANDWIDTH"); }
};

// Two layers of width 128, feed-forward 160: q 80, k and v 40 rows each, o from 80 columns, gate, up, down. T2 in tiles of 16
// rows x 128 columns, 512 bytes: 10 + 8 + 20 + 16 tiles = 54 tiles a layer. Head 60 x 128 f32 30720 bytes, copy 60 rows of 128
// codes and three floats, each array a multiple of 256 bytes: 7680 + 3*256. Keys and values: 2*2*2*20*4 bytes at 128 positions.
TEST(CudaEstimate, FitTellsTheSpeedOfTheCard) {
  for (const char* bandwidth : {"1000000", "0"}) {
    const Bandwidth set(bandwidth);
    Engine e("{\"watchdog_ms\": 60000}");
    ASSERT_TRUE(e.open());
    const bn_model_desc desc = e.toy.description();
    bn_fit fit{};
    fit.struct_size = sizeof fit;
    ASSERT_EQ(e.table->fit(e.device, &desc, &e.toy.plan, &fit, nullptr), BN_OK);
    const double us = (2 * 54 * 512 + 8448 + 640 * 128) / 0.9 + (2 * 5 + 7) * 1.1;
    EXPECT_NEAR(fit.est_decode_tps, bandwidth[0] == '0' ? 0 : 1e6 / us, 1e-4) << bandwidth;
    EXPECT_EQ(fit.est_prefill_tps, 0.0f);
  }
}

}  // namespace
}  // namespace bn_cuda
