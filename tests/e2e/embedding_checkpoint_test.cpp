// e2e/embedding_checkpoint_test.cpp - embedding models written as checkpoints: the files that a script makes of the same model,
// the same vectors on every way, and what is refused.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "gguf/reader.h"
#include "gguf/writer.h"
#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string family(const std::string& name) { return std::string(BITNET_TEST_DATA) + "/families/" + name + "/model.gguf"; }

ProgramResult convert(const std::string& input, const std::string& output, const std::string& type) {
  return run_program({"convert", input, "-o", output, "--type", type, "--verify"});
}

void make_checkpoint(const std::string& model, const std::string& folder, const std::vector<std::string>& options) {
  std::vector<std::string> args = {BITNET_MAKE_CHECKPOINT, model, folder};
  args.insert(args.end(), options.begin(), options.end());
  const ProgramResult made = run_program(args, {.program = "python3"});
  ASSERT_EQ(made.exit_code, 0) << made;
}

// The bytes of all vectors.
std::string embed(const std::string& model, const std::vector<std::string>& more = {}) {
  std::vector<std::string> args = {
      "embed", "-m", model, "-p", "one two\nIt's 3 o'clock, \xC3\xA9t\xC3\xA9 \xF0\x9F\x99\x82", "--format", "raw", "-t", "1"};
  args.insert(args.end(), more.begin(), more.end());
  const ProgramResult result = run_program(args);
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_FALSE(result.out.empty());
  return result.out;
}

json read_json(const std::string& path) { return json::parse(read_text(path)); }

// "F16 [128] ..." with the bytes, for every tensor of a file.
std::map<std::string, std::string> tensors_of(const std::string& path) {
  const std::string bytes = read_text(path);
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  std::map<std::string, std::string> tensors;
  const json header = json::parse(bytes.substr(8, length));
  for (const auto& [name, t] : header.items()) {
    if (name == "__metadata__") continue;
    const uint64_t begin = t["data_offsets"][0], end = t["data_offsets"][1];
    tensors[name] = t["dtype"].get<std::string>() + t["shape"].dump() + bytes.substr(8 + length + begin, end - begin);
  }
  return tensors;
}

// A GGUF file like another, with its keys or tensors changed on the way.
struct Change {
  std::function<bool(gguf::Writer&, const gguf::KeyValue&)> key;  // true: it was written, or is left out
  std::map<std::string, std::vector<float>> more_tensors = {};
};

void rewrite(const std::string& from, const std::string& to, const Change& change) {
  const gguf::File file(from);
  gguf::Writer writer(to);
  for (const gguf::KeyValue& entry : file.keys()) {
    if (!change.key || !change.key(writer, entry)) writer.add_copy(entry);
  }
  for (const gguf::TensorInfo& t : file.tensors()) writer.add_tensor(t.name, *t.type, std::span(t.extents.data(), t.n_dims));
  for (const auto& [name, values] : change.more_tensors) writer.add_tensor(name, gguf::Type::kF32, {values.size()});
  for (const gguf::TensorInfo& t : file.tensors()) writer.write(t.data, t.bytes);
  for (const auto& [name, values] : change.more_tensors) writer.write(values.data(), values.size() * sizeof(float));
  writer.finish();
}

void expect_refused(const std::string& model, const std::vector<std::string>& words) {
  const TempFolder folder;
  const ProgramResult result = convert(model, folder / "hf", "safetensors");
  EXPECT_EQ(result.exit_code, 2) << result;
  for (const std::string& word : words) EXPECT_NE(result.err.find(word), std::string::npos) << word << result;
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

class EmbeddingCheckpoint : public testing::TestWithParam<std::string> {
 protected:
  const std::string model_ = family(GetParam());
  TempFolder folder_;
};

// Tensor by tensor the bytes, types and names that a script in Python gives them, which reads the formats by itself.
TEST_P(EmbeddingCheckpoint, IsTheOneThatAScriptMakes) {
  make_checkpoint(model_, folder_ / "script", {"--bare-names", "--rms-norm", "--pooling", "lasttoken"});
  const ProgramResult made = convert(model_, folder_ / "hf", "safetensors");
  ASSERT_EQ(made.exit_code, 0) << made;
  EXPECT_NE(made.out.find("its tokenizer is beside them"), std::string::npos) << made;
  EXPECT_EQ(tensors_of(folder_ / "hf/model.safetensors") == tensors_of(folder_ / "script/model.safetensors"), true);
  const json ours = read_json(folder_ / "hf/config.json"), wanted_fields = read_json(folder_ / "script/config.json");
  for (const auto& [name, value] : wanted_fields.items()) {
    if (name != "architectures" && name != "sliding_window" && name != "tie_word_embeddings") {
      EXPECT_EQ(ours[name], value) << name;
    }
  }
  EXPECT_EQ(ours["architectures"], json::array({GetParam() == "qwen3_embedding" ? "Qwen3Model" : "Gemma3TextModel"}));
  EXPECT_EQ(read_json(folder_ / "hf/1_Pooling/config.json")["pooling_mode_lasttoken"], true);
  const json modules = read_json(folder_ / "hf/modules.json");
  for (const json& wanted : read_json(folder_ / "script/modules.json")) {
    EXPECT_NE(std::find(modules.begin(), modules.end(), wanted), modules.end()) << wanted;
  }
}

TEST_P(EmbeddingCheckpoint, GivesTheSameVectorsThereAndBack) {
  ASSERT_EQ(convert(model_, folder_ / "hf", "safetensors").exit_code, 0);
  const ProgramResult back = convert(folder_ / "hf", folder_ / "back.gguf", "i2_s");
  ASSERT_EQ(back.exit_code, 0) << back;
  EXPECT_EQ(back.err.find("warning"), std::string::npos) << back;
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--pooling", "none"}}) {
    const std::string before = embed(model_, more);
    EXPECT_EQ(embed(folder_ / "hf", more) == before, true);
    EXPECT_EQ(embed(folder_ / "back.gguf", more) == before, true);
  }
  // Codes and scales are the bytes they were; every key of the model is there with its value.
  const gguf::File a(model_), b(folder_ / "back.gguf");
  for (const gguf::TensorInfo& t : a.tensors()) {
    const gguf::TensorInfo* other = b.find_tensor(t.name);
    ASSERT_NE(other, nullptr) << t.name;
    ASSERT_EQ(other->extents, t.extents) << t.name;
    if (t.type->tail == 0) continue;
    EXPECT_EQ(std::memcmp(other->data, t.data, t.bytes - t.type->tail + 4), 0) << t.name;
  }
  ASSERT_EQ(run_program({"quant-check", model_, folder_ / "back.gguf", "--tolerance", "0"}).exit_code, 0);
  const std::string prefix = std::string(a.find_string("general.architecture").value()) + ".";
  for (const gguf::KeyValue& key : a.keys()) {
    if (!key.key.starts_with(prefix) || key.key.ends_with("pooling_type")) continue;
    const gguf::KeyValue* other = b.find(key.key);
    ASSERT_NE(other, nullptr) << key.key;
    ASSERT_EQ(other->bytes, key.bytes) << key.key;
    EXPECT_EQ(std::memcmp(other->data, key.data, key.bytes), 0) << key.key;
  }
  EXPECT_EQ(b.find_uint(prefix + "pooling_type"), 3u) << "the last token, as these models are made";
}

// What the makers say of pooling is not taken for the word of a converter that found nothing.
TEST_P(EmbeddingCheckpoint, PoolingOfTheMakersIsKept) {
  for (const std::string mode : {"mean_tokens", "cls_token", "lasttoken"}) {
    SCOPED_TRACE(mode);
    const TempFolder folder;
    make_checkpoint(model_, folder / "script", {"--pooling", mode});
    const std::string name = mode == "mean_tokens" ? "mean" : mode == "cls_token" ? "cls" : "last";
    const std::string wanted = embed(model_, {"--pooling", name});
    ASSERT_EQ(convert(folder / "script", folder / "a.gguf", "tq2_0").exit_code, 2) << "rounding of scales is refused";
    ASSERT_EQ(convert(folder / "script", folder / "a.gguf", "iq2_bn").exit_code, 0);
    ASSERT_EQ(convert(folder / "a.gguf", folder / "hf", "safetensors").exit_code, 0);
    EXPECT_EQ(read_json(folder / "hf/1_Pooling/config.json")["pooling_mode_" + mode], true);
    for (const char* made : {"a.gguf", "hf"}) {
      EXPECT_EQ(embed(folder / made, {"--tokenizer", model_}) == wanted, true) << made;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EmbeddingCheckpoint, testing::Values("qwen3_embedding", "gemma3_embedding"),
                         [](const auto& tested) { return tested.param; });

// Without a word on pooling the model writes text, with the embedding as its head.
TEST(EmbeddingCheckpoints, OfAModelThatWritesHasAHead) {
  const TempFolder folder;
  rewrite(family("qwen3_embedding"), folder / "a.gguf",
          {.key = [](gguf::Writer&, const gguf::KeyValue& entry) { return entry.key == "qwen3.pooling_type"; }});
  const ProgramResult made = convert(folder / "a.gguf", folder / "hf", "safetensors");
  ASSERT_EQ(made.exit_code, 0) << made;
  EXPECT_FALSE(fs::exists(folder / "hf/modules.json"));
  const json config = read_json(folder / "hf/config.json");
  EXPECT_EQ(config["architectures"], json::array({"Qwen3ForCausalLM"}));
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_TRUE(tensors_of(folder / "hf/model.safetensors").contains("model.layers.1.mlp.down_proj.rms_norm.weight"));
  std::string hashes[2];
  for (const std::string model : {"a.gguf", "hf"}) {
    const ProgramResult run = run_program({"-m", folder / model, "-p", "one", "-n", "8", "--greedy", "--json"});
    ASSERT_EQ(run.exit_code, 0) << run;
    hashes[model == "hf"] = json::parse(run.out)["logits_hash"].get<std::string>();
  }
  EXPECT_EQ(hashes[0], hashes[1]);
}

// Biases of all matrices come back; those of attn_q and attn_k of llama models in the order of their rows.
TEST(EmbeddingCheckpoints, BiasesAreKeptOrRefused) {
  const TempFolder folder;
  const std::string model = family("llama_falcon3_hd256");
  Change change;
  const gguf::File file(model);
  for (const gguf::TensorInfo& t : file.tensors()) {
    if (!t.name.starts_with("blk.") || t.n_dims != 2) continue;
    std::vector<float>& bias = change.more_tensors[t.name.substr(0, t.name.size() - 6) + "bias"];
    for (uint64_t i = 0; i < t.rows(); ++i) bias.push_back(static_cast<float>(i) * 0.001f);
  }
  rewrite(model, folder / "a.gguf", change);
  ASSERT_EQ(convert(folder / "a.gguf", folder / "hf", "safetensors").exit_code, 0);
  ASSERT_EQ(convert(folder / "hf", folder / "back.gguf", "i2_s").exit_code, 0);
  const json config = read_json(folder / "hf/config.json");
  EXPECT_EQ(config["attention_bias"], true);
  EXPECT_EQ(config["mlp_bias"], true);
  // Rows 0, 1, 2 of the GGUF file are rows 0, 128, 1 of a head of 256 in a checkpoint: row 1 there is row 2 here.
  const std::string q = tensors_of(folder / "hf/model.safetensors").at("model.layers.0.self_attn.q_proj.bias");
  float second = 0;
  std::memcpy(&second, q.data() + q.find(']') + 1 + sizeof(float), sizeof second);
  EXPECT_EQ(second, 0.002f);
  EXPECT_EQ(run_program({"quant-check", folder / "a.gguf", folder / "back.gguf", "--tolerance", "0"}).exit_code, 0);

  change.more_tensors.erase("blk.0.attn_output.bias");
  rewrite(model, folder / "b.gguf", change);
  expect_refused(folder / "b.gguf", {"blk.0.attn_output.bias is missing", "attn_output or of none"});
}

TEST(EmbeddingCheckpoints, WhatWouldNotComeBackIsRefused) {
  const TempFolder folder;
  const auto without = [](const std::string& name, const std::function<void(gguf::Writer&)>& instead) {
    return Change{[=](gguf::Writer& writer, const gguf::KeyValue& entry) {
      if (entry.key != name) return false;
      instead(writer);
      return true;
    }};
  };
  rewrite(family("qwen3_embedding"), folder / "rows.gguf",
          without("qwen3.pooling_type", [](gguf::Writer& w) { w.add_key<uint32_t>("qwen3.pooling_type", 0); }));
  expect_refused(folder / "rows.gguf", {"pooling_type is 0", "a row for every token"});
  // 1000000.01 is no number of f32, in which checkpoints are read.
  rewrite(family("qwen3_embedding"), folder / "base.gguf",
          without("qwen3.rope.freq_base", [](gguf::Writer& w) { w.add_key<double>("qwen3.rope.freq_base", 1000000.01); }));
  expect_refused(folder / "base.gguf", {"rope_theta would be 1000000, not 1000000.01"});

  // A gain of -2^-24: less 1 it needs 25 bits.
  std::string bytes = read_text(family("gemma3_embedding"));
  {
    const gguf::File file(family("gemma3_embedding"));
    bytes.replace(file.find_tensor("blk.0.ffn_norm.weight")->offset, 2, "\x01\x80", 2);
  }
  write_text(folder / "gain.gguf", bytes);
  expect_refused(folder / "gain.gguf", {"blk.0.ffn_norm.weight has the gain -5.9604645e-08", "would be 0"});
}

}  // namespace
}  // namespace bitnet::test
