// config_faults_test.cpp - configurations and sets of tensors that are no ternary model: each is refused with words that help.
#include <cmath>

#include "small_checkpoint.h"

namespace bitnet::checkpoint_test {
namespace {

const std::string kQ = "model.layers.0.self_attn.q_proj.weight";

const Fault kFaults[] = {
    {"not_ternary", [](auto& c) { c.config.erase("quantization_config"); }, {"config.json", "not ternary"}},
    {"other_method", [](auto& c) { c.config["quantization_config"]["quant_method"] = "gptq"; }, {"gptq", "expected bitnet"}},
    {"other_model", [](auto& c) { c.config["model_type"] = "mamba"; }, {"model_type", "mamba"}},
    {"other_linear", [](auto& c) { c.config["quantization_config"]["linear_class"] = "odd"; }, {"linear_class", "odd"}},
    {"extra_norms", [](auto& c) { c.config["quantization_config"]["use_rms_norm"] = true; }, {"use_rms_norm"}},
    {"biases", [](auto& c) { c.config["attention_bias"] = true; }, {"attention_bias"}},
    {"size_missing", [](auto& c) { c.config.erase("hidden_size"); }, {"hidden_size", "missing"}},
    {"size_negative", [](auto& c) { c.config["hidden_size"] = -8; }, {"hidden_size", "-8"}},
    {"size_text", [](auto& c) { c.config["hidden_size"] = "eight\n"; }, {"hidden_size", "eight"}},
    {"size_huge", [](auto& c) { c.config["num_hidden_layers"] = 1ull << 40; }, {"num_hidden_layers"}},
    {"odd_heads", [](auto& c) { c.config["num_attention_heads"] = 3; }, {"hidden_size 8", "3 heads"}},
    {"activation", [](auto& c) { c.config["hidden_act"] = "gelu"; }, {"hidden_act", "gelu"}},
    {"rope",
     [](auto& c) {
       c.config["rope_scaling"] = {{"rope_type", "yarn"}};
     },
     {"yarn"}},
    {"tensor_missing", [](auto& c) { c.tensors.erase(kQ); }, {"q_proj.weight", "missing"}},
    {"norm_missing", [](auto& c) { c.tensors.erase("model.norm.weight"); }, {"model.norm.weight", "missing"}},
    {"tensor_unknown",
     [](auto& c) {
       c.tensors["model.layers.0.mlp.router.weight"] = {"F32", {1}, f32_bytes({1})};
     },
     {"mlp.router.weight", "no place"}},
    {"scale_missing", [](auto& c) { c.tensors.erase(kQ + "_scale"); }, {"q_proj.weight_scale", "missing"}},
    {"scale_zero", [](auto& c) { c.tensors[kQ + "_scale"].data = f32_bytes({0}); }, {"q_proj.weight_scale", "0"}},
    {"scale_nan", [](auto& c) { c.tensors[kQ + "_scale"].data = f32_bytes({NAN}); }, {"q_proj.weight_scale", "nan"}},
    {"scale_of_rows",
     [](auto& c) {
       c.tensors[kQ + "_scale"] = {"F32", {2}, f32_bytes({1, 1})};
     },
     {"[2]", "one number"}},
    {"shape",
     [](auto& c) {
       c.tensors[kQ].shape = {4, 4};
     },
     {"q_proj.weight", "[4, 4]", "[2, 8]"}},
    {"float_with_scale",
     [](auto& c) {
       c.tensors[kQ] = {"F32", {8, 8}, f32_bytes(std::vector<float>(64))};
     },
     {"F32", "U8"}},
    {"master_nan",
     [](auto& c) {
       std::vector<float> w(64, 1.0f);
       w[11] = NAN;
       c.tensors[kQ] = {"F32", {8, 8}, f32_bytes(w)};
       c.tensors.erase(kQ + "_scale");
     },
     {"attn_q.weight", "row 1, column 3", "nan"}},
};

class ConfigFault : public testing::TestWithParam<Fault> {};

TEST_P(ConfigFault, IsRefused) {
  const test::TempFolder folder;
  SmallCheckpoint c;
  GetParam().spoil(c);
  write(folder, c);
  const std::string message = error_of_opening(folder.path().string());
  for (const char* word : GetParam().words) EXPECT_NE(message.find(word), std::string::npos) << word << " in: " << message;
}

INSTANTIATE_TEST_SUITE_P(Kinds, ConfigFault, testing::ValuesIn(kFaults), [](const auto& tested) { return tested.param.name; });

TEST(SmallCheckpoint, IsWellBeforeItIsSpoilt) {
  const test::TempFolder folder;
  write(folder, {});
  const gguf::File file = checkpoint::open_checkpoint(folder.path().string());
  EXPECT_EQ(file.tensors().size(), 11u);
  EXPECT_EQ(file.find_tensor("blk.0.attn_q.weight")->scale, 0.5f) << "bitlinear stores the reciprocal";
  EXPECT_EQ(checkpoint::open_checkpoint(folder / "model.safetensors").tensors().size(), 11u);
}

TEST(SmallCheckpoint, UnusedTensorsMayBeThere) {
  const test::TempFolder folder;
  SmallCheckpoint c;
  c.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {"F32", {1}, f32_bytes({1})};
  c.tensors["lm_head.weight"] = c.tensors["model.embed_tokens.weight"];
  write(folder, c);
  EXPECT_EQ(checkpoint::open_checkpoint(folder.path().string()).warnings().size(), 1u) << "the head is tied";
}

TEST(SmallCheckpoint, IsRefusedWithoutItsConfiguration) {
  const test::TempFolder folder;
  write(folder, {});
  std::filesystem::remove(folder / "config.json");
  EXPECT_NE(error_of_opening(folder.path().string()).find("config.json is missing"), std::string::npos);
}

TEST(SmallCheckpoint, AFolderWithoutWeightsIsRefused) {
  const test::TempFolder folder;
  EXPECT_NE(error_of_opening(folder.path().string()).find("model.safetensors"), std::string::npos);
}

}  // namespace
}  // namespace bitnet::checkpoint_test
