// config_faults_test.cpp - configurations and sets of tensors that are no ternary model: each is refused with words that help.
#include <fmt/format.h>

#include <cmath>

#include "model/model.h"
#include "small_checkpoint.h"

namespace bitnet::checkpoint_test {
namespace {

const std::string kQ = "model.layers.0.self_attn.q_proj.weight";

void as_gemma(SmallCheckpoint& c) {
  c.config["model_type"] = "gemma3_text";
  c.config["query_pre_attn_scalar"] = 4;
  c.config["rope_theta"] = 10000;
}

const Fault kFaults[] = {
    {"not_ternary", [](auto& c) { c.config.erase("quantization_config"); }, {"config.json", "not ternary"}},
    {"other_method", [](auto& c) { c.config["quantization_config"]["quant_method"] = "gptq"; }, {"gptq", "expected bitnet"}},
    {"other_model", [](auto& c) { c.config["model_type"] = "mamba"; }, {"model_type", "mamba"}},
    {"other_linear", [](auto& c) { c.config["quantization_config"]["linear_class"] = "odd"; }, {"linear_class", "odd"}},
    {"extra_norms",
     [](auto& c) { c.config["quantization_config"]["use_rms_norm"] = true; },
     {"q_proj.rms_norm.weight", "missing"}},
    {"extra_norms_of_other_epsilon",
     [](auto& c) {
       c.config["quantization_config"]["use_rms_norm"] = true;
       c.config["quantization_config"]["rms_norm_eps"] = 1e-5;
     },
     {"quantization_config.rms_norm_eps", "not supported"}},
    {"biases", [](auto& c) { c.config["attention_bias"] = true; }, {"q_proj.bias", "missing"}},
    {"biases_unannounced",
     [](auto& c) {
       c.tensors["model.layers.0.mlp.up_proj.bias"] = {"F32", {8}, f32_bytes(std::vector<float>(8))};
     },
     {"up_proj.bias", "no place"}},
    {"qwen_of_floats",
     [](auto& c) {
       c.config["model_type"] = "qwen3";
       c.config.erase("quantization_config");
     },
     {"qwen3", "not ternary"}},
    {"gemma_of_two_rotations",
     [](auto& c) {
       as_gemma(c);
       c.config["rope_theta"] = 1e6;
     },
     {"two bases", "10000"}},
    {"gemma_soft_caps",
     [](auto& c) {
       as_gemma(c);
       c.config["final_logit_softcapping"] = 30.0;
     },
     {"final_logit_softcapping"}},
    {"gemma_both_ways",
     [](auto& c) {
       as_gemma(c);
       c.config["use_bidirectional_attention"] = true;
     },
     {"use_bidirectional_attention"}},
    {"gemma_of_another_scale",
     [](auto& c) {
       as_gemma(c);
       c.config["query_pre_attn_scalar"] = 168;
     },
     {"query_pre_attn_scalar", "168"}},
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

// Heads of four rows: GGUF's row 1 of a head is the checkpoint's row 2.
TEST(SmallCheckpoint, BiasesAreReadInTheOrderOfTheirRows) {
  const test::TempFolder folder;
  SmallCheckpoint c;
  c.config["attention_bias"] = c.config["mlp_bias"] = true;
  for (const char* name : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
                           "mlp.up_proj", "mlp.down_proj"}) {
    c.tensors[std::string("model.layers.0.") + name + ".bias"] = {"F32", {8}, f32_bytes({0, 1, 2, 3, 4, 5, 6, 7})};
  }
  write(folder, c);
  const model::Model model(folder.path().string());
  EXPECT_TRUE(model.config.arch.must & BN_M_BIASES);
  const model::Layer& layer = model.weights.layers.at(0);
  const model::Gain pairs = {0, 2, 1, 3, 4, 6, 5, 7}, plain = {0, 1, 2, 3, 4, 5, 6, 7};
  EXPECT_EQ(layer.attn_q.bias, pairs);
  EXPECT_EQ(layer.attn_k.bias, pairs);
  for (const model::Matrix* m : {&layer.attn_v, &layer.attn_output, &layer.ffn_gate, &layer.ffn_up, &layer.ffn_down}) {
    EXPECT_EQ(m->bias, plain) << m->source->name;
  }
}

// A model of the llama family with a norm in front of each matrix, under both names that there are for them.
TEST(SmallCheckpoint, NormsOfInputsAreRead) {
  for (const char* name : {"rms_norm", "norm"}) {
    const test::TempFolder folder;
    SmallCheckpoint c;
    c.config["quantization_config"]["use_rms_norm"] = true;
    float first = 1;
    for (const char* matrix : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
                               "mlp.up_proj", "mlp.down_proj"}) {
      c.tensors[fmt::format("model.layers.0.{}.{}.weight", matrix, name)] = {
          "F32", {8}, f32_bytes({first++, 1, 1, 1, 1, 1, 1, 1})};
    }
    write(folder, c);
    const model::Model model(folder.path().string());
    EXPECT_TRUE(model.config.arch.must & BN_M_IN_NORMS);
    const model::Layer& l = model.weights.layers.at(0);
    first = 1;
    for (const model::Matrix* m : {&l.attn_q, &l.attn_k, &l.attn_v, &l.attn_output, &l.ffn_gate, &l.ffn_up, &l.ffn_down}) {
      EXPECT_EQ(m->norm_in, (model::Gain{first++, 1, 1, 1, 1, 1, 1, 1})) << m->source->name;
    }
  }
}

TEST(SmallCheckpoint, AWindowOfAttentionBoundsTheContext) {
  const test::TempFolder folder;
  SmallCheckpoint c;
  c.config["model_type"] = "qwen3";
  for (const char* norm : {"q_norm", "k_norm"}) {
    c.tensors[fmt::format("model.layers.0.self_attn.{}.weight", norm)] = {"F32", {4}, f32_bytes({1, 1, 1, 1})};
  }
  c.config["sliding_window"] = 8;
  c.config["layer_types"] = {"full_attention"};
  write(folder, c);
  EXPECT_EQ(checkpoint::open_checkpoint(folder.path().string()).find_uint("qwen3.context_length"), 16u);
  c.config["layer_types"] = {"sliding_attention"};
  write(folder, c);
  const gguf::File file = checkpoint::open_checkpoint(folder.path().string());
  EXPECT_EQ(file.find_uint("qwen3.context_length"), 8u);
  ASSERT_EQ(file.warnings().size(), 1u);
  EXPECT_NE(file.warnings()[0].find("8 tokens, not 16"), std::string::npos) << file.warnings()[0];
}

// The files beside an embedding model.
TEST(SmallCheckpoint, PoolingThatIsNotKnownIsRefused) {
  const test::TempFolder folder;
  write(folder, {});
  const auto modules = [](const std::string& type, const std::string& path) {
    return R"([{"type": "sentence_transformers.models.)" + type + R"(", "path": ")" + path + R"("}])";
  };
  std::filesystem::create_directory(folder / "1_Pooling");
  const auto refused = [&](const std::string& list, const std::string& flags, const char* words) {
    test::write_text(folder / "modules.json", list);
    test::write_text(folder / "1_Pooling/config.json", flags);
    EXPECT_NE(error_of_opening(folder.path().string()).find(words), std::string::npos)
        << error_of_opening(folder.path().string());
  };
  const std::string last = R"({"pooling_mode_lasttoken": true})";
  refused(modules("Dense", "2_Dense"), last, "the module Dense is not supported");
  refused(modules("Pooling", "../elsewhere"), last, "a folder beside it");
  refused(modules("Pooling", "1_Pooling"), R"({"pooling_mode_max_tokens": true})", "pooling_mode_max_tokens is not supported");
  refused(modules("Pooling", "1_Pooling"), R"({"pooling_mode_lasttoken": true, "pooling_mode_mean_tokens": true})", "several");
  refused(modules("Pooling", "1_Pooling"), "{}", "no pooling_mode_ is true");
  refused("{}", last, "a list of modules");
  refused("[1]", last, "a module without a type");
  test::write_text(folder / "modules.json", modules("Pooling", "1_Pooling"));
  test::write_text(folder / "1_Pooling/config.json", last);
  EXPECT_EQ(checkpoint::open_checkpoint(folder.path().string()).find_uint("llama.pooling_type"), 3u);
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
