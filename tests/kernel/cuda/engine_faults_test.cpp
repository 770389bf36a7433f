// kernel/cuda/engine_faults_test.cpp - the n-th call to the GPU fails, for every n of a short run: a status, the tokens before
// it, and no call after a loss.
#include <chrono>

#include "gpu/errors.h"
#include "kernel/cuda/engine_in_process.h"

namespace bn_cuda {
namespace {

const Ids kPrompt = {3, 11, 21, 33, 47, 5, 8, 2, 59, 0, 17};
constexpr uint32_t kTokens = 6;

std::string with_faults(const std::string& script, int watchdog_ms = 60000) {
  return R"({"path": "dot4", "watchdog_ms": )" + std::to_string(watchdog_ms) + R"(, "faults": ")" + script + "\"}";
}

struct Outcome {
  bn_status status = BN_OK;
  std::string message;
  int64_t native = 0;
  Ids tokens;
  uint64_t calls = 0;
};

// Open, load, append, decode, one more append; stops where something fails. Then every other entry has to know.
Outcome run(const std::string& options) {
  Engine e(options);
  Outcome o;
  const bool whole = e.open() && e.load() && e.append(kPrompt);
  if (whole) o.tokens = e.decode(kTokens, sampled(20));
  if (whole && e.status == BN_OK) e.append({1, 2, 3});
  o.status = e.status;
  o.message = e.error.message;
  o.native = e.error.native_code;
  if (e.device != nullptr) {
    if (const auto* gpu = dynamic_cast<const FaultyGpu*>(e.device->gpu.get())) o.calls = gpu->calls();
  }
  if (o.status != BN_E_DEVICE_LOST) return o;
  EXPECT_TRUE(is_lost());
  if (e.session != nullptr) {
    EXPECT_FALSE(e.append({1}));
    EXPECT_EQ(e.status, BN_E_DEVICE_LOST);
    EXPECT_TRUE(e.decode(3, sampled(20)).empty());
    EXPECT_EQ(e.status, BN_E_DEVICE_LOST);
    EXPECT_EQ(e.table->truncate(e.session, 0, &e.error), BN_E_DEVICE_LOST);
  }
  bn_device* another = nullptr;
  EXPECT_EQ(bitnet_plugin_v1(0)->open(test_host(), "emulated", "{}", &another, nullptr), BN_E_DEVICE_LOST);
  return o;
}

class CudaFaults : public testing::Test {
 protected:
  void SetUp() override {
    forget_lost_for_tests();
    expected_ = reference_tokens(bitnet::conformance::kUsualToy, kPrompt, kTokens, sampled(20));
    const Outcome healthy = run(with_faults("1000000000:700"));
    ASSERT_EQ(healthy.status, BN_OK) << healthy.message;
    ASSERT_EQ(healthy.tokens, expected_);
    n_calls_ = healthy.calls;
    ASSERT_GT(n_calls_, 100u);
  }
  void TearDown() override {
    EXPECT_EQ(FaultyGpu::calls_after_loss(), 0u);
    forget_lost_for_tests();
  }

  // Tokens are the first of the expected ones; a status that fails has a sentence.
  void expect_sound(const Outcome& o, const std::string& where) {
    ASSERT_LE(o.tokens.size(), expected_.size()) << where;
    EXPECT_TRUE(std::equal(o.tokens.begin(), o.tokens.end(), expected_.begin())) << where;
    if (o.status == BN_OK) {
      EXPECT_EQ(o.tokens, expected_) << where;
    }
    if (o.status != BN_OK) {
      EXPECT_NE(o.message, "") << where;
    }
  }
  void expect_all(int code, uint64_t first, uint64_t step, const std::vector<bn_status>& allowed) {
    if (BITNET_SANITIZED) step *= 4;  // five times slower; what leaks or is used too late does so wherever a call fails
    for (uint64_t n = first; n <= n_calls_; n += step) {
      const std::string script = std::to_string(n) + ":" + std::to_string(code);
      const Outcome o = run(with_faults(script));
      expect_sound(o, script);
      EXPECT_NE(std::find(allowed.begin(), allowed.end(), o.status), allowed.end())
          << script << ": " << o.status << " " << o.message;
      if (o.status == BN_E_DEVICE_LOST) {
        EXPECT_EQ(o.native, code) << script;
      }
      ASSERT_EQ(FaultyGpu::calls_after_loss(), 0u) << script << ": a lost device was called";
      forget_lost_for_tests();
    }
  }

  Ids expected_;
  uint64_t n_calls_ = 0;
};

// A loss in one of the last calls, those of the destructors, is nobody's news.
TEST_F(CudaFaults, EveryCallMayLoseTheDevice) { expect_all(700, 1, 3, {BN_E_DEVICE_LOST, BN_OK}); }
TEST_F(CudaFaults, OtherCodesThatLose) {
  uint64_t first = 1;
  for (const int code : {719, 46, 999, 214, 31337}) expect_all(code, first++, 29, {BN_E_DEVICE_LOST, BN_OK});
}
TEST_F(CudaFaults, EveryCallMayHaveNoMemory) {
  expect_all(2, 2, 5, {BN_E_NO_MEMORY, BN_OK});
  EXPECT_FALSE(is_lost());
}
TEST_F(CudaFaults, EveryCallMayBeRefused) {
  expect_all(98, 3, 7, {BN_E_UNSUPPORTED, BN_OK});
  expect_all(9, 1, 23, {BN_E_INTERNAL, BN_OK});
  EXPECT_FALSE(is_lost());
}

// Without a graph steps are launched one by one.
TEST_F(CudaFaults, AGraphThatCannotBeMadeIsDoneWithout) {
  for (const char* script : {"begin_graph:1:900", "end_graph:1:901"}) {
    const Outcome o = run(with_faults(script));
    EXPECT_EQ(o.status, BN_OK) << script << ": " << o.message;
    EXPECT_EQ(o.tokens, expected_) << script;
  }
}

TEST_F(CudaFaults, AHangEndsInDeviceLost) {
  for (const char* script : {"1:hang", "allocate:2:hang", "upload:9:hang", "launch:30:hang", "launch_graph:1:hang",
                             "launch_graph:4:hang", "reached:1:hang"}) {
    const auto begin = std::chrono::steady_clock::now();
    const Outcome o = run(with_faults(script, 150));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_EQ(o.status, BN_E_DEVICE_LOST) << script << ": " << o.message;
    EXPECT_NE(o.message.find("no sign of life"), std::string::npos) << o.message;
    EXPECT_LT(took.count(), 10.0) << script;
    expect_sound(o, script);
    forget_lost_for_tests();
  }
}

// Cancelling while nothing comes back: the answer is the device's loss, in the time of the watchdog.
TEST_F(CudaFaults, AHangDuringACancelledCallEnds) {
  Engine e(with_faults("launch_graph:2:hang", 150));
  ASSERT_TRUE(e.open() && e.load() && e.append(kPrompt)) << e.error.message;
  const bn_call call = {sizeof(bn_call), 0, 1000000, nullptr, nullptr};
  e.decode(kTokens, sampled(20), &call);
  EXPECT_EQ(e.status, BN_E_DEVICE_LOST) << e.error.message;
}

}  // namespace
}  // namespace bn_cuda
