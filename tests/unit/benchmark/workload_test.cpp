// unit/benchmark/workload_test.cpp - what a step costs, by hand and by the code.
#include "benchmark/workload.h"

#include <gtest/gtest.h>

#include "benchmark/ceilings.h"
#include "benchmark/measure.h"
#include "support/temp_folder.h"
#include "synthetic_model.h"

namespace bitnet::benchmark {
namespace {

TEST(Workload, CountsWhatAStepNeeds) {
  const test::TempFolder folder;
  bench::SyntheticModel synthetic;
  synthetic.shape = *bench::find_shape("tiny");
  bench::write_model(synthetic, folder / "tiny.gguf");
  const model::Model model(folder / "tiny.gguf");
  const Workload w = count_workload(model, BN_DT_F32);
  // Per layer: q, output 256x256, k, v 128x256, gate, up, down 512x256.
  const uint64_t macs = 2 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 512 * 256);
  EXPECT_EQ(w.matrix_macs, macs);
  EXPECT_EQ(w.matrix_bytes, macs / 4);
  EXPECT_EQ(w.head_macs, 320u * 256);
  EXPECT_EQ(w.head_bytes, 320u * 256 * 2);
  EXPECT_EQ(w.kv_position_bytes, 2u * 2 * 2 * 64 * 4);
  EXPECT_EQ(count_workload(model, BN_DT_F16).kv_position_bytes, w.kv_position_bytes / 2);

  EXPECT_EQ(w.head_row_bytes, 256u * 2);

  const Work one = step_work(w, 9, 1, static_cast<double>(w.head_bytes));  // the tenth token sees ten positions
  EXPECT_EQ(one.bytes, static_cast<double>(w.matrix_bytes + w.head_bytes + 10 * w.kv_position_bytes));
  EXPECT_EQ(one.macs, static_cast<double>(macs));
  const Work prompt = step_work(w, 0, 20, 0);
  EXPECT_EQ(prompt.bytes, static_cast<double>(w.matrix_bytes + 20 * w.kv_position_bytes)) << "weights once, no head";
  EXPECT_EQ(prompt.macs, 20.0 * static_cast<double>(macs));
}

TEST(Workload, TheScreenedHeadReadsItsCopyAndTheRowsItComputes) {
  Workload w;
  w.head_bytes = 100'000, w.head_row_bytes = 512;
  model::HeadUse use;
  EXPECT_EQ(head_bytes_read(w, use), 100'000) << "never screened";
  use.screen_bytes = 1000, use.screened = 3, use.candidates = 12, use.fell_back = 1;
  EXPECT_EQ(head_bytes_read(w, use), 1000 + (12 * 512 + 100'000.0) / 4);
}

TEST(TestName, IsThatOfLlamaBench) {
  EXPECT_EQ((benchmark::Test{512, 0, 0}.name()), "pp512");
  EXPECT_EQ((benchmark::Test{0, 128, 0}.name()), "tg128");
  EXPECT_EQ((benchmark::Test{512, 128, 0}.name()), "pp512+tg128");
  EXPECT_EQ((benchmark::Test{0, 32, 4000}.name()), "tg32 @ d4000");
}

TEST(TestTokens, ALongerListBeginsWithTheShorter) {
  const std::vector<int32_t> few = test_tokens(10, 2048), many = test_tokens(100, 2048);
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
  for (const int32_t token : many) EXPECT_TRUE(token >= 0 && token < 2048) << token;
}

TEST(Instruction, IsTheStrongestThatTheBackendUses) {
  EXPECT_EQ(instruction_of({}, "CPU, portable C++"), "");
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "no AVX2 here";
  EXPECT_EQ(instruction_of({"avx2", "fma"}, "CPU"), "maddubs");
  EXPECT_EQ(instruction_of({}, "CPU, AVX2"), "maddubs");
#endif
}

TEST(Ceilings, RaiseTakesTheBetterRateByRate) {
  Ceilings a{1, 10, "x", {{"maddubs", 100}}, {9, 10}};
  a.raise({1, 8, "y", {{"maddubs", 120}, {"vnni256", 50}}, {8}});
  EXPECT_EQ(a.read_gbps, 10);
  EXPECT_EQ(a.read_probe, "x");
  EXPECT_EQ(a.gmacs_of("maddubs"), 120);
  EXPECT_EQ(a.gmacs_of("vnni256"), 50);
  EXPECT_EQ(a.gmacs_of("vnni512"), 0);
  EXPECT_EQ(a.gmacs_of(""), 0);
  EXPECT_EQ(a.read_passes, (std::vector<double>{9, 10, 8}));
}

// Whatever this machine is, memory can be read.
TEST(Ceilings, AreMeasured) {
  const Ceilings c = CeilingProbe(2).try_once();
  EXPECT_EQ(c.threads, 2u);
  EXPECT_GT(c.read_gbps, 0);
  EXPECT_FALSE(c.read_probe.empty());
  ASSERT_FALSE(c.read_passes.empty());
  for (const double pass : c.read_passes) {
    EXPECT_GT(pass, 0);
    EXPECT_LE(pass, c.read_gbps);
  }
  for (const DotRate& dot : c.dots) EXPECT_GT(dot.gmacs, 0) << dot.name;
}

}  // namespace
}  // namespace bitnet::benchmark
