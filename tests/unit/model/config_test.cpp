// unit/model/config_test.cpp - what keys and names of tensors mean for the graph; files are keys and holes, without weights.
#include "model/config.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "gguf/writer.h"
#include "support/temp_folder.h"

namespace bitnet::model {
namespace {

// A file of one family; each test changes what it is about.
struct Keys {
  std::string architecture = "bitnet";
  uint32_t layers = 2, width = 128, heads = 4, vocabulary = 320;
  std::vector<std::string> tensors = {};  // besides token_embd
  std::function<void(gguf::Writer&)> more = [](gguf::Writer&) {};
  bool plain_counts = true;  // head_count and feed_forward_length; else `more` writes them
};

Config config_of(const Keys& k) {
  const test::TempFolder folder;
  gguf::Writer w(folder / "model");
  const auto key = [&](const char* name) { return k.architecture + "." + name; };
  w.add_string("general.architecture", k.architecture);
  w.add_key<uint32_t>(key("block_count"), k.layers);
  w.add_key<uint32_t>(key("embedding_length"), k.width);
  w.add_key<uint32_t>(key("context_length"), 1024);
  w.add_key<float>(key("attention.layer_norm_rms_epsilon"), 1e-5f);
  if (k.plain_counts) w.add_key<uint32_t>(key("feed_forward_length"), 256);
  if (k.plain_counts) w.add_key<uint32_t>(key("attention.head_count"), k.heads);
  k.more(w);
  uint64_t holes = w.add_tensor("token_embd.weight", gguf::Type::kF16, {k.width, k.vocabulary});
  std::vector<uint64_t> sizes = {holes};
  for (const std::string& name : k.tensors) sizes.push_back(w.add_tensor(name, gguf::Type::kF32, {k.width}));
  for (const uint64_t bytes : sizes) w.skip(bytes);
  w.finish();
  return read_config(gguf::File(folder / "model"));
}

std::string refusal_of(const Keys& k) {
  try {
    config_of(k);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kInvalidModel);
    return e.what();
  }
  return "not refused";
}

void expect_in(const std::string& text, const std::string& words) {
  EXPECT_NE(text.find(words), std::string::npos) << "expected '" << words << "' in: " << text;
}

constexpr uint64_t kSubNorms = BN_M_ATTN_SUB_NORM | BN_M_FFN_SUB_NORM;

TEST(Config, FamiliesAreValues) {
  const bn_arch bitnet = config_of({}).arch;
  EXPECT_EQ(bitnet.act, uint32_t{BN_ACT_SILU});
  EXPECT_EQ(bitnet.rope_kind, uint32_t{BN_ROPE_HALVES});
  EXPECT_EQ(bitnet.must, kSubNorms | BN_M_TIED_HEAD);
  EXPECT_EQ(bitnet.n_kv_heads, 4u) << "as many as heads when the file says nothing";
  EXPECT_EQ(bitnet.head_dim, 32u);
  EXPECT_EQ(bitnet.rope_base, 10000.0);
  const bn_arch llama = config_of({.architecture = "llama", .tensors = {}}).arch;
  EXPECT_EQ(llama.act, uint32_t{BN_ACT_SILU});
  EXPECT_EQ(llama.rope_kind, uint32_t{BN_ROPE_PAIRS});
  EXPECT_EQ(llama.must, uint64_t{BN_M_TIED_HEAD});
  EXPECT_EQ(config_of({.architecture = "bitnet-25"}).arch.act, uint32_t{BN_ACT_RELU2});
}

TEST(Config, GateOfBitnet) {
  const auto gate = [](const char* name) {
    return config_of({.more = [&](gguf::Writer& w) { w.add_string("bitnet.hidden_activation", name); }}).arch.act;
  };
  EXPECT_EQ(gate("relu2"), uint32_t{BN_ACT_RELU2});
  EXPECT_EQ(gate("silu"), uint32_t{BN_ACT_SILU});
  expect_in(refusal_of({.more = [](gguf::Writer& w) { w.add_string("bitnet.hidden_activation", "mish"); }}),
            "bitnet.hidden_activation is 'mish', expected relu2 or silu");
  // 2B-4T under the name that newer converters write, without the key.
  const Config big = config_of({.layers = 30, .vocabulary = 128256});
  EXPECT_EQ(big.arch.act, uint32_t{BN_ACT_RELU2});
  ASSERT_EQ(big.warnings.size(), 1u);
  expect_in(big.warnings[0], "using relu2");
  EXPECT_EQ(config_of({.layers = 29, .vocabulary = 128256}).arch.act, uint32_t{BN_ACT_SILU});
  EXPECT_EQ(config_of({.layers = 30, .vocabulary = 128255}).arch.act, uint32_t{BN_ACT_SILU});
}

TEST(Config, OtherBitnetNamesAreTakenByTheirTensors) {
  const Config config = config_of({.architecture = "bitnet-next"});
  EXPECT_EQ(config.arch.must, kSubNorms | BN_M_TIED_HEAD);
  EXPECT_EQ(config.arch.act, uint32_t{BN_ACT_RELU2});
  ASSERT_EQ(config.warnings.size(), 2u);
  expect_in(config.warnings[0], "architecture 'bitnet-next' is not known");
  expect_in(config.warnings[1], "using relu2");
  const Config told = config_of(
      {.architecture = "bitnet-next", .more = [](gguf::Writer& w) { w.add_string("bitnet-next.hidden_activation", "silu"); }});
  EXPECT_EQ(told.arch.act, uint32_t{BN_ACT_SILU});
  expect_in(refusal_of({.architecture = "mamba"}), "general.architecture is 'mamba'; this version runs bitnet-b1.58");
}

TEST(Config, CountsInAnyWidthAndByLayer) {
  const auto head_count = [](const std::function<void(gguf::Writer&)>& more) {
    return config_of({.more = more, .plain_counts = false}).arch.n_heads;
  };
  EXPECT_EQ(head_count([](gguf::Writer& w) {
              w.add_key<uint8_t>("bitnet.attention.head_count", 4);
              w.add_key<int64_t>("bitnet.feed_forward_length", 256);
            }),
            4u);
  EXPECT_EQ(head_count([](gguf::Writer& w) {
              w.add_array<int32_t>("bitnet.attention.head_count", std::vector<int32_t>{4, 4});
              w.add_array<uint64_t>("bitnet.feed_forward_length", std::vector<uint64_t>{256, 256});
            }),
            4u);
  const std::string refused =
      refusal_of({.more =
                      [](gguf::Writer& w) {
                        w.add_key<uint16_t>("bitnet.attention.head_count", 4);
                        w.add_array<uint32_t>("bitnet.feed_forward_length", std::vector<uint32_t>{256, 512});
                      },
                  .plain_counts = false});
  expect_in(refused, "bitnet.feed_forward_length differs between layers (256 and 512)");
}

TEST(Config, EmbeddingModels) {
  const auto pooled = [](uint32_t kind) {
    return [kind](gguf::Writer& w) { w.add_key<uint32_t>("qwen3.pooling_type", kind); };
  };
  const Config mean = config_of({.architecture = "qwen3", .tensors = {"blk.0.attn_q_norm_in.weight"}, .more = pooled(1)});
  EXPECT_EQ(mean.arch.must, uint64_t{BN_M_QK_NORM | BN_M_IN_NORMS | BN_M_NO_HEAD | BN_M_L2_POOLED});
  EXPECT_EQ(mean.arch.pooling, uint32_t{BN_POOL_LAST}) << "MEAN is what converters write that find nothing";
  expect_in(mean.pooling_note, "the file says mean");
  const Config stated = config_of({.architecture = "qwen3", .more = [](gguf::Writer& w) {
                                     w.add_key<uint32_t>("qwen3.pooling_type", 1);
                                     w.add_key<bool>("qwen3.pooling_type_is_stated", true);
                                   }});
  EXPECT_EQ(stated.arch.pooling, uint32_t{BN_POOL_MEAN}) << "written from a checkpoint whose makers say so";
  EXPECT_EQ(stated.pooling_note, "");
  EXPECT_EQ(config_of({.architecture = "qwen3", .more = pooled(3)}).pooling_note, "");
  EXPECT_EQ(config_of({.architecture = "qwen3", .more = pooled(2)}).pooling_note, "");
  EXPECT_TRUE(mean.warnings.empty()) << "that is so in every published file";
  EXPECT_EQ(mean.arch.embd_scale, 1.0f);
  EXPECT_EQ(config_of({.architecture = "qwen3", .more = pooled(3)}).arch.pooling, uint32_t{BN_POOL_LAST});
  EXPECT_EQ(config_of({.architecture = "qwen3", .more = pooled(2)}).arch.pooling, uint32_t{BN_POOL_FIRST});
  const bn_arch none = config_of({.architecture = "qwen3", .more = pooled(0)}).arch;
  EXPECT_EQ(none.pooling, uint32_t{BN_POOL_NONE});
  EXPECT_EQ(none.must & BN_M_L2_POOLED, 0u);
  expect_in(refusal_of({.architecture = "qwen3", .more = pooled(4)}), "models that rank texts");
  expect_in(refusal_of({.architecture = "qwen3", .more = pooled(5)}), "qwen3.pooling_type is 5, expected 0 to 4");
  const bn_arch writes = config_of({.architecture = "qwen3"}).arch;
  EXPECT_EQ(writes.must, uint64_t{BN_M_QK_NORM | BN_M_TIED_HEAD}) << "without a word on pooling it is made to write";
  const bn_arch gemma = config_of({.architecture = "gemma3",
                                   .width = 640,
                                   .more = [](gguf::Writer& w) { w.add_key<uint32_t>("gemma3.pooling_type", 3); }})
                            .arch;
  EXPECT_EQ(gemma.act, uint32_t{BN_ACT_GELU_TANH});
  EXPECT_EQ(gemma.must, uint64_t{BN_M_QK_NORM | BN_M_POST_NORMS | BN_M_NO_HEAD | BN_M_L2_POOLED});
  EXPECT_FLOAT_EQ(gemma.embd_scale, 25.298221f);  // sqrt(640)
}

TEST(Config, VariantsThatComputeSomethingElseAreRefused) {
  const auto with_key = [](const char* name, uint32_t value) {
    return Keys{.more = [=](gguf::Writer& w) { w.add_key<uint32_t>(name, value); }};
  };
  expect_in(refusal_of(with_key("bitnet.yoco_u_iters", 2)), "bitnet.yoco_u_iters is 2: running layers several times (YOCO)");
  expect_in(refusal_of(with_key("bitnet.moe_ffn_dim", 512)), "a mixture of experts");
  expect_in(refusal_of(with_key("bitnet.expert_count", 8)), "a mixture of experts");
  expect_in(refusal_of(with_key("bitnet.attention.sliding_window", 512)), "attention in a window");
  EXPECT_EQ(refusal_of(with_key("bitnet.expert_count", 0)), "not refused");
  expect_in(refusal_of({.more = [](gguf::Writer& w) { w.add_key<bool>("bitnet.attention.causal", false); }}),
            "attention to later tokens");
  expect_in(refusal_of({.more = [](gguf::Writer& w) { w.add_key<float>("bitnet.final_logit_softcapping", 30); }}),
            "soft-capped");
  for (const char* name :
       {"emb_proj_in.weight", "blk.1.wqkv_gate.weight", "blk.0.ffn_gate_inp.weight", "blk.0.ffn_up_exps.weight"}) {
    expect_in(refusal_of({.tensors = {name}}), std::string("tensor ") + name + ": ");
  }
}

TEST(Config, BiasesAreSeen) {
  EXPECT_EQ(config_of({.tensors = {"blk.1.ffn_down.bias"}}).arch.must & BN_M_BIASES, uint64_t{BN_M_BIASES});
}

TEST(Config, PoolingIsChosen) {
  Config config = config_of({.architecture = "llama"});
  choose_pooling(config, BN_POOL_MEAN, true);
  EXPECT_EQ(config.arch.pooling, uint32_t{BN_POOL_MEAN});
  EXPECT_NE(config.arch.must & BN_M_L2_POOLED, 0u);
  choose_pooling(config, BN_POOL_NONE, true);
  EXPECT_EQ(config.arch.must & BN_M_L2_POOLED, 0u) << "vectors of tokens are not scaled";
}

}  // namespace
}  // namespace bitnet::model
