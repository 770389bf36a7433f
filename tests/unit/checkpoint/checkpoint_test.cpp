// checkpoint_test.cpp - reference models written as checkpoints by a script are the models they were: trits, scales, numbers,
// keys.
#include "checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "gguf/checkpoint_rows.h"
#include "gguf/float_formats.h"
#include "gguf/ternary_formats.h"
#include "model/model.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet {
namespace {

using test::TempFolder;

std::string family(const std::string& name) { return std::string(BITNET_TEST_DATA) + "/families/" + name + "/model.gguf"; }

struct Kind {
  const char* name;
  const char* model;
  std::vector<std::string> options;
  float scale_tolerance = 0;  // relative: a reciprocal written to f32 and taken again
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class Checkpoint : public testing::TestWithParam<Kind> {
 protected:
  // Skips without Python.
  void SetUp() override {
    std::vector<std::string> args = {BITNET_MAKE_CHECKPOINT, family(GetParam().model), folder_ / "model"};
    args.insert(args.end(), GetParam().options.begin(), GetParam().options.end());
    try {
      const test::ProgramResult made = test::run_program(args, {.program = "python3"});
      ASSERT_EQ(made.exit_code, 0) << made;
    } catch (const std::runtime_error&) {
      GTEST_SKIP() << "python3 is missing";
    }
  }
  TempFolder folder_;
};

std::vector<float> numbers(const gguf::TensorInfo& tensor) {
  std::vector<float> values(tensor.rows() * tensor.columns());
  gguf::dequantize_rows(tensor, 0, tensor.rows(), values.data());
  return values;
}

TEST_P(Checkpoint, HoldsWhatTheGgufFileHolds) {
  const gguf::File expected(family(GetParam().model));
  const gguf::File found = checkpoint::open_checkpoint(folder_ / "model");
  ASSERT_EQ(found.tensors().size(), expected.tensors().size());
  for (const gguf::TensorInfo& want : expected.tensors()) {
    SCOPED_TRACE(want.name);
    const gguf::TensorInfo* have = found.find_tensor(want.name);
    ASSERT_NE(have, nullptr);
    ASSERT_EQ(have->extents, want.extents);
    if (!gguf::ternary_scale_kind(*want.type)) {
      EXPECT_EQ(numbers(*have), numbers(want));
      continue;
    }
    std::vector<int8_t> want_trits(want.columns()), have_trits(want.columns());
    for (uint64_t row = 0; row < want.rows(); ++row) {
      gguf::decode_rows(want, row, row + 1, want_trits.data());
      gguf::decode_rows(*have, row, row + 1, have_trits.data());
      ASSERT_EQ(have_trits, want_trits) << "row " << row;
    }
    std::vector<float> want_scales(want.rows()), have_scales(want.rows());
    gguf::row_scales(want, 0, want.rows(), want_scales.data());
    gguf::row_scales(*have, 0, want.rows(), have_scales.data());
    for (uint64_t row = 0; row < want.rows(); ++row) {
      if (want_scales[row] == 0) continue;  // a row of zeros
      ASSERT_NEAR(have_scales[row], want_scales[row], want_scales[row] * GetParam().scale_tolerance) << "row " << row;
    }
  }
}

TEST_P(Checkpoint, HasTheSameHyperParameters) {
  const model::Model expected(family(GetParam().model)), found(folder_ / "model");
  const bn_arch &a = expected.config.arch, &b = found.config.arch;
  EXPECT_EQ(b.n_vocab, a.n_vocab);
  EXPECT_EQ(b.n_ctx_max, a.n_ctx_max);
  EXPECT_EQ(b.n_embd, a.n_embd);
  EXPECT_EQ(b.n_ff, a.n_ff);
  EXPECT_EQ(b.n_layers, a.n_layers);
  EXPECT_EQ(b.n_heads, a.n_heads);
  EXPECT_EQ(b.n_kv_heads, a.n_kv_heads);
  EXPECT_EQ(b.head_dim, a.head_dim);
  EXPECT_EQ(b.rope_dim, a.rope_dim);
  EXPECT_EQ(b.rope_kind, a.rope_kind);
  EXPECT_EQ(b.rope_base, a.rope_base);
  EXPECT_EQ(b.norm_eps, a.norm_eps);
  EXPECT_EQ(b.act, a.act);
  EXPECT_EQ(b.must, a.must);
  EXPECT_EQ(b.pooling, a.pooling);
  EXPECT_EQ(b.embd_scale, a.embd_scale);
  EXPECT_EQ(b.attn_scale, a.attn_scale);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, Checkpoint,
    testing::Values(Kind{"multiplier", "bitnet_b158_relu2", {}},
                    Kind{"inverse", "bitnet_b158_relu2", {"--matrices", "inverse"}, 2e-7f},
                    Kind{"ternary_f32", "bitnet_b158_relu2", {"--matrices", "F32"}},
                    Kind{"old_names", "bitnet_silu_hd96", {"--matrices", "F32", "--old-names"}},
                    Kind{"llama_shards", "llama_falcon3_hd256", {"--shards", "3"}},
                    Kind{"qwen3", "qwen3_embedding", {"--rms-norm", "--pooling", "lasttoken"}},
                    Kind{"qwen3_master", "qwen3_embedding", {"--matrices", "F32", "--bare-names", "--pooling", "unsaid"}},
                    Kind{"gemma3", "gemma3_embedding", {"--bare-names", "--pooling", "unsaid"}},
                    Kind{"gemma3_master", "gemma3_embedding", {"--matrices", "F32", "--pooling", "lasttoken"}}),
    [](const auto& tested) { return tested.param.name; });

// Four of the ways in which Sentence Transformers says how a text becomes one vector.
TEST(CheckpointPooling, IsThatOfTheModelsMakers) {
  const TempFolder folder;
  const std::pair<const char*, uint32_t> kinds[] = {
      {"mean_tokens", BN_POOL_MEAN}, {"cls_token", BN_POOL_FIRST}, {"lasttoken", BN_POOL_LAST}, {"unsaid", BN_POOL_LAST}};
  for (const auto& [kind, pooling] : kinds) {
    const test::ProgramResult made = test::run_program(
        {BITNET_MAKE_CHECKPOINT, family("qwen3_embedding"), folder / kind, "--pooling", kind}, {.program = "python3"});
    ASSERT_EQ(made.exit_code, 0) << made;
    const model::Model model(folder / kind);
    EXPECT_EQ(model.config.arch.pooling, pooling) << kind;
    EXPECT_TRUE(model.config.arch.must & BN_M_NO_HEAD) << kind;
    EXPECT_EQ(model.config.pooling_note, "") << kind;
  }
  const test::ProgramResult made =
      test::run_program({BITNET_MAKE_CHECKPOINT, family("qwen3_embedding"), folder / "writes"}, {.program = "python3"});
  ASSERT_EQ(made.exit_code, 0) << made;
  EXPECT_FALSE(model::Model(folder / "writes").config.arch.must & BN_M_NO_HEAD);
}

// Expected values by hand: mean |w| = (0.5 + 0.25 + 0 + 1.25) / 4 = 0.5; w/s = 1, -0.5 (to even: 0), 0, 2.5 (cut to 1).
TEST(MasterWeights, AreRoundedByTheirMeanMagnitude) {
  const std::vector<uint16_t> bf16 = {0x3F00, 0xBE80, 0x0000, 0x3FA0};
  gguf::TensorInfo tensor;
  tensor.name = "w";
  tensor.extents = {4, 1, 1, 1};
  tensor.type = gguf::checkpoint_type(gguf::Type::kMasterBF16);
  tensor.data = reinterpret_cast<const uint8_t*>(bf16.data());
  tensor.bytes = 8;
  tensor.scale = gguf::master_scale(tensor);
  EXPECT_EQ(tensor.scale, 0.5f);
  int8_t trits[4];
  gguf::decode_rows(tensor, 0, 1, trits);
  EXPECT_EQ(std::vector<int8_t>(trits, trits + 4), (std::vector<int8_t>{1, 0, 0, 1}));
}

// Six rows are two quarters of bytes: the first holds rows 0, 2 and 4, the second rows 1, 3 and 5, the first of them in the
// lowest bits. Codes are 2 1 0 2 1 0: bytes 2 + 0*4 + 1*16 and 1 + 2*4 + 0*16.
TEST(PackedWeights, OfRowsThatAreNoMultipleOfFour) {
  const std::vector<uint8_t> bytes = {0x12, 0x09};
  gguf::TensorInfo tensor;
  tensor.name = "w";
  tensor.extents = {1, 6, 1, 1};
  tensor.type = gguf::checkpoint_type(gguf::Type::kPackedRows);
  tensor.data = bytes.data();
  tensor.bytes = 2;
  tensor.scale = 1;
  int8_t trits[6];
  gguf::decode_rows(tensor, 0, 6, trits);
  EXPECT_EQ(std::vector<int8_t>(trits, trits + 6), (std::vector<int8_t>{1, 0, -1, 1, 0, -1}));
}

TEST(MasterWeights, OfZerosHaveTheSmallestScale) {
  const std::vector<float> zeros(4, 0.0f);
  gguf::TensorInfo tensor;
  tensor.extents = {4, 1, 1, 1};
  tensor.type = gguf::checkpoint_type(gguf::Type::kMasterF32);
  tensor.data = reinterpret_cast<const uint8_t*>(zeros.data());
  EXPECT_EQ(gguf::master_scale(tensor), 1e-5f);
}

}  // namespace
}  // namespace bitnet
