// kernel/cuda/engine_test.cpp - the engine of cuda over the emulated GPU: every way to decode gives the reference's tokens;
// memory that is short; options; stopping.
#include <cmath>
#include <cstdlib>
#include <limits>

#include "kernel/cuda/engine_in_process.h"

namespace bn_cuda {
namespace {

const Ids kPrompt = {3, 11, 21, 33, 47, 5, 8, 2, 59, 0, 17};
const std::vector<ToyShape> kShapes = {
    bitnet::conformance::kUsualToy,
    {"norms", BN_M_IN_NORMS | BN_M_QK_NORM | BN_M_POST_NORMS | BN_M_BIASES, BN_ACT_SILU},
    {"kv_f16", BN_M_BIASES | BN_M_QK_NORM, BN_ACT_GELU_TANH, BN_ROPE_PAIRS, 4, 2, 20, 16, 9, BN_DT_F16, BN_DT_F16}};

std::string option(const char* key, const std::string& value) { return std::string("\"") + key + "\": \"" + value + "\""; }
std::string usual(const std::string& more = "") {  // patience for sanitizers and loaded machines
  return "{" + option("path", "dot4") + ", \"watchdog_ms\": 60000" + (more.empty() ? "" : ", " + more) + "}";
}

TEST(CudaEngine, EveryStageDrawsTheTokensOfTheReference) {
  const uint32_t n = BITNET_SANITIZED ? 6 : 15;  // a token takes the way of the one before
  size_t shapes = 0;
  for (const ToyShape& shape : kShapes) {
    size_t combination = shapes++;
    for (const bn_sampler& sampler : {greedy(), sampled(20), sampled(0)}) {
      const Ids expected = reference_tokens(shape, kPrompt, n, sampler);
      for (const char* stage : {"s0", "s1", "s2", "s3"}) {
        if (BITNET_SANITIZED && combination++ % 3 != 0) continue;  // every pair of two, not all of three
        Engine e(usual(option("stage", stage)), shape);
        ASSERT_TRUE(e.open() && e.load() && e.append(kPrompt)) << e.error.message;
        EXPECT_EQ(e.decode(n, sampler), expected) << shape.name << " " << stage << " top_k " << sampler.top_k;
        EXPECT_EQ(e.status, BN_OK) << e.error.message;
      }
    }
  }
}

TEST(CudaEngine, EveryFamilyDrawsTheTokensOfTheReference) {
  constexpr uint32_t kTokens = BITNET_SANITIZED ? 4 : 8;
  for (const ToyShape& shape : bitnet::conformance::kToyFamilies) {
    const Ids expected = reference_tokens(shape, kPrompt, kTokens, greedy());
    Engine e(usual(), shape);
    ASSERT_TRUE(e.open() && e.load() && e.append(kPrompt)) << e.error.message;
    EXPECT_EQ(e.decode(kTokens, greedy()), expected) << shape.name;
    EXPECT_EQ(e.status, BN_OK) << e.error.message;
  }
}

TEST(CudaEngine, EveryPathDrawsTheTokensOfTheReference) {
  constexpr uint32_t kTokens = BITNET_SANITIZED ? 5 : 12;
  const Ids expected = reference_tokens(kShapes[0], kPrompt, kTokens, greedy());
  for (const char* path : {"dot4", "bits", "bytes", "auto"}) {
    for (const char* stage : {"s1", "s3"}) {
      Engine e("{" + option("path", path) + ", " + option("stage", stage) +
               R"(, "early_launch": false, "watchdog_ms": 60000})");
      ASSERT_TRUE(e.open() && e.load() && e.append(kPrompt)) << e.error.message;
      EXPECT_EQ(e.decode(kTokens, greedy()), expected) << path << " " << stage;
    }
  }
}

TEST(CudaEngine, SamplersMayChangeBetweenCallsOfOneSession) {
  Engine e(usual());
  ASSERT_TRUE(e.open() && e.load() && e.append(kPrompt)) << e.error.message;
  Ids prompt = kPrompt;
  for (const uint32_t top_k : {1u, 20u, 0u, 20u, 5u, 1u}) {
    const bn_sampler sampler = top_k == 1 ? greedy() : sampled(top_k);
    const Ids expected = reference_tokens(kShapes[0], prompt, 5, sampler);
    ASSERT_EQ(e.decode(5, sampler), expected) << top_k;
    prompt.insert(prompt.end(), expected.begin(), expected.end());
  }
}

TEST(CudaEngine, AStopTokenEndsTheChain) {
  const Ids free = reference_tokens(kShapes[0], kPrompt, 30, sampled(20));
  Ids stop = {-4, free[14]};
  bn_sampler sampler = sampled(20);
  sampler.stop = stop.data();
  for (const uint64_t n : {1u, 2u}) {  // the second list is longer: the recorded graph must not know the first one's place
    sampler.n_stop = n;
    const Ids expected = reference_tokens(kShapes[0], kPrompt, 30, sampler);
    Engine e(usual());
    ASSERT_TRUE(e.open() && e.load() && e.append(kPrompt)) << e.error.message;
    EXPECT_EQ(e.decode(30, sampler), expected);
    EXPECT_EQ(e.stopped, n == 2 ? 1u : 0u);
  }
}

TEST(CudaEngine, CancelInTheMiddleKeepsWhatWasCommitted) {
  const Ids expected = reference_tokens(kShapes[0], kPrompt, 40, greedy());
  Engine e(usual());
  ASSERT_TRUE(e.open() && e.load() && e.append(kPrompt)) << e.error.message;
  // The heartbeat is the cancel word: one call later than its n-th beat the engine sees it.
  Ids tokens;
  for (const uint64_t budget : {1u, 3000000u, 20000000u, 1u}) {
    const bn_call call = {sizeof(bn_call), 0, budget, nullptr, nullptr};
    const Ids more = e.decode(40 - static_cast<uint32_t>(tokens.size()), greedy(), &call);
    ASSERT_TRUE(e.status == BN_E_TIMEOUT || e.status == BN_OK) << e.error.message;
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  const Ids rest = e.decode(40 - static_cast<uint32_t>(tokens.size()), greedy());
  tokens.insert(tokens.end(), rest.begin(), rest.end());
  EXPECT_EQ(tokens, expected);
}

TEST(CudaEngine, LogitsThatAreNotFiniteAreSaid) {
  for (const uint32_t top_k : {1u, 20u, 0u}) {
    Engine e(usual());
    float* const gain = static_cast<float*>(const_cast<void*>(e.toy.tensors[1].data));
    ASSERT_EQ(e.toy.tensors[1].role, static_cast<uint32_t>(BN_T_OUTPUT_NORM));
    gain[5] = std::numeric_limits<float>::quiet_NaN();
    ASSERT_TRUE(e.open() && e.load() && e.append(kPrompt)) << e.error.message;
    EXPECT_TRUE(e.decode(5, top_k == 1 ? greedy() : sampled(top_k)).empty());
    EXPECT_EQ(e.status, BN_E_INTERNAL) << top_k;
    EXPECT_STREQ(e.error.message, "decode: logits are not finite");
  }
}

TEST(CudaEngine, ACodeThreeIsRefusedWithItsRow) {
  Engine e(usual());
  ASSERT_TRUE(e.open());
  for (const bn_tensor& t : e.toy.tensors) {
    if (t.role != BN_T_ATTN_K || t.layer != 1) continue;
    static_cast<uint8_t*>(const_cast<void*>(t.data))[32 * 7 + 3] |= 0x30;  // rows of 32 bytes, bn.t2
  }
  EXPECT_FALSE(e.load());
  EXPECT_EQ(e.status, BN_E_DATA);
  EXPECT_NE(std::string(e.error.message).find("row 7 of attn_q, attn_k or attn_v holds the code 3"), std::string::npos)
      << e.error.message;
}

// Of a device of so many bytes.
struct Memory {
  explicit Memory(uint64_t bytes) { setenv("BN_CUDA_EMULATED_MEMORY", std::to_string(bytes).c_str(), 1); }
  ~Memory() { unsetenv("BN_CUDA_EMULATED_MEMORY"); }
};

TEST(CudaEngine, LessMemoryIsASmallerBatchThenASentenceWithNumbers) {
  const Ids expected = reference_tokens(kShapes[0], kPrompt, 6, greedy());
  bool loaded = false, refused = false;
  const uint64_t step = BITNET_SANITIZED ? 600000 : 150000;
  for (uint64_t bytes = 400000; bytes < 4000000; bytes += step) {
    const Memory memory(bytes);
    Engine e(usual());
    ASSERT_TRUE(e.open());
    e.toy.plan.n_sessions = 1;
    const bn_model_desc desc = e.toy.description();
    bn_fit fit{};
    fit.struct_size = sizeof fit;
    ASSERT_EQ(e.table->fit(e.device, &desc, &e.toy.plan, &fit, nullptr), BN_OK);
    const bool fits = e.load();
    if (!fits) {
      EXPECT_EQ(e.status, BN_E_NO_MEMORY) << bytes;
      EXPECT_FALSE(loaded) << "with less memory it was loaded: " << bytes;
      EXPECT_LT(fit.n_ctx_fits, ToyModel::kContext) << bytes << ": " << e.error.message;
      EXPECT_NE(std::string(e.error.message).find(" MB"), std::string::npos) << e.error.message;
      refused = true;
      continue;
    }
    loaded = true;
    ASSERT_TRUE(e.append(kPrompt)) << e.error.message;
    EXPECT_EQ(e.decode(6, greedy()), expected);
  }
  EXPECT_TRUE(loaded && refused);
}

// Declared approx-1: near the exact numbers, and the same from run to run. What the whole model makes of it is measured by
// test_cuda_emulated.
TEST(CudaEngine, FastNumericsAreNearAndRepeat) {
  constexpr uint32_t kTokens = BITNET_SANITIZED ? 6 : 20;
  for (const ToyShape& shape : kShapes) {
    std::vector<float> exact, fast[2];
    Ids tokens[2];
    Engine e(usual(), shape);
    ASSERT_TRUE(e.open() && e.load() && e.append(kPrompt, &exact)) << e.error.message;
    EXPECT_EQ(e.table->numerics, static_cast<uint32_t>(BN_EXACT_1));
    for (const uint32_t run : {0u, 1u}) {
      Engine f(usual(option("numerics", "fast")), shape);
      ASSERT_TRUE(f.open() && f.load() && f.append(kPrompt, &fast[run])) << f.error.message;
      EXPECT_EQ(f.table->numerics, static_cast<uint32_t>(BN_APPROX_1));
      EXPECT_EQ(f.table->tolerance, kFastTolerance);
      tokens[run] = f.decode(kTokens, sampled(20));
      EXPECT_EQ(f.status, BN_OK) << f.error.message;
      EXPECT_EQ(tokens[run].size(), kTokens);
    }
    EXPECT_EQ(fast[0], fast[1]) << shape.name;
    EXPECT_EQ(tokens[0], tokens[1]) << shape.name;
    EXPECT_NE(fast[0], exact) << shape.name << ": is anything done in another way?";
    double error = 0, size = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      const double difference = static_cast<double>(exact[i]) - static_cast<double>(fast[0][i]);
      error += difference * difference;
      size += static_cast<double>(exact[i]) * static_cast<double>(exact[i]);
    }
    EXPECT_LT(std::sqrt(error / size), static_cast<double>(kFastTolerance)) << shape.name;
  }
}

TEST(CudaEngine, OptionsThatAreNotUnderstoodAreRefused) {
  for (const char* bad :
       {R"({"path": "dot5"})", R"({"stage": "s9"})", R"({"stage": 1})", R"({"watchdog_ms": 0})", R"({"watchdog_ms": "2000"})",
        R"({"numerics": true})", R"({"early_launch": 1})", R"({"faults": "x"})", R"({"numerics": "exact-2"})", "[]", "{"}) {
    Engine e(bad);
    EXPECT_FALSE(e.open()) << bad;
    EXPECT_EQ(e.status, BN_E_INVALID) << bad;
    EXPECT_STRNE(e.error.message, "") << bad;
  }
}

}  // namespace
}  // namespace bn_cuda
