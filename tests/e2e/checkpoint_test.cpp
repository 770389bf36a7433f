// e2e/checkpoint_test.cpp - GGUF files and Hugging Face checkpoints into each other: the same weights, tokens and logits.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "gguf/reader.h"
#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kStory = BITNET_BINARY_DIR "/share/bitnet/models/story.gguf";
const std::string kFalcon = BITNET_TEST_DATA "/families/llama_falcon3_hd256/model.gguf";

ProgramResult convert(const std::string& input, const std::string& output, const std::string& type,
                      const std::vector<std::string>& more = {}) {
  std::vector<std::string> args = {"convert", input, "-o", output, "--type", type};
  args.insert(args.end(), more.begin(), more.end());
  return run_program(args);
}

// The JSON report of eight greedy tokens.
json run(const std::string& model, std::vector<std::string> more) {
  std::vector<std::string> args = {"-m", model, "-n", "8", "--greedy", "--json", "--no-prepack-cache"};
  args.insert(args.end(), more.begin(), more.end());
  const ProgramResult result = run_program(args);
  EXPECT_EQ(result.exit_code, 0) << result;
  return json::parse(result.out, nullptr, false);
}

// The vocabulary of a GGUF file as Hugging Face writes one of Llama 3's kind.
void write_tokenizer_json(const std::string& gguf_path, const std::string& path) {
  const gguf::File file(gguf_path);
  const auto tokens = *file.find_string_array("tokenizer.ggml.tokens");
  const auto types = *file.find_int_array("tokenizer.ggml.token_type");
  json vocabulary = json::object(), added = json::array(), merges = json::array();
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] == 1) {
      vocabulary[std::string(tokens[id])] = id;
    } else {
      added.push_back({{"id", id}, {"content", tokens[id]}, {"special", types[id] == 3}});
    }
  }
  const auto listed = *file.find_string_array("tokenizer.ggml.merges");
  for (const std::string_view merge : listed) merges.push_back(merge);
  const char* expression =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const json splits = {{{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}},
                       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}};
  write_text(path, json{{"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}, {"ignore_merges", true}}},
                        {"added_tokens", added},
                        {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", splits}}}}
                       .dump());
}

TEST(Checkpoint, IsWrittenAndRunsTheSame) {
  const TempFolder folder;
  for (const std::string& model : {kStory, kFalcon}) {
    const std::string out = folder / fs::path(model).parent_path().filename().string();
    const ProgramResult made = convert(model, out, "safetensors", {"--verify"});
    ASSERT_EQ(made.exit_code, 0) << made;
    EXPECT_NE(made.out.find("verified"), std::string::npos) << made;
    const json before = run(model, {"--prompt-ids", "5,6,7"});
    const json after = run(out, {"--prompt-ids", "5,6,7", "--tokenizer", model});
    EXPECT_EQ(after["tokens"], before["tokens"]);
    if (model == kStory) {
      EXPECT_EQ(after["logits_hash"], before["logits_hash"]);  // the other head was in blocks
    }
  }
  EXPECT_FALSE(fs::exists(folder / "models.partial"));
}

TEST(Checkpoint, BecomesAGgufFileWithItsTokenizer) {
  const TempFolder folder;
  ASSERT_EQ(convert(kStory, folder / "hf", "safetensors").exit_code, 0);
  write_tokenizer_json(kStory, folder / "hf/tokenizer.json");
  write_text(folder / "hf/tokenizer_config.json",
             R"({"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>", "add_bos_token": true})");
  const ProgramResult made = convert(folder / "hf", folder / "back.gguf", "i2_s", {"--verify"});
  ASSERT_EQ(made.exit_code, 0) << made;
  EXPECT_EQ(made.err.find("warning"), std::string::npos) << made;
  EXPECT_EQ(run_program({"quant-check", kStory, folder / "back.gguf"}).exit_code, 0);
  const ProgramResult valid = run_program({"validate", folder / "back.gguf"});
  EXPECT_EQ(valid.exit_code, 0) << valid;
  const json before = run(kStory, {"-p", "Once upon a time, 123 dogs"});
  for (const char* name : {"hf", "back.gguf"}) {
    SCOPED_TRACE(name);
    const json after = run(folder / name, {"-p", "Once upon a time, 123 dogs"});
    EXPECT_EQ(after["usage"], before["usage"]);
    EXPECT_EQ(after["text"], before["text"]);
    EXPECT_EQ(after["logits_hash"], before["logits_hash"]);
  }
  // Codes and scales are the bytes they were.
  const gguf::File a(kStory), b(folder / "back.gguf");
  for (const gguf::TensorInfo& t : a.tensors()) {
    const gguf::TensorInfo* other = b.find_tensor(t.name);
    ASSERT_NE(other, nullptr) << t.name;
    ASSERT_EQ(other->bytes, t.bytes) << t.name;
    const uint64_t compared = t.type->tail == 0 ? t.bytes : t.bytes - t.type->tail + 4;  // what pads the scale may differ
    EXPECT_EQ(std::memcmp(other->data, t.data, compared), 0) << t.name;
  }
}

TEST(Checkpoint, WithoutATokenizerIsToldSo) {
  const TempFolder folder;
  ASSERT_EQ(convert(kStory, folder / "hf", "safetensors").exit_code, 0);
  const ProgramResult run = run_program({"-m", folder / "hf", "-p", "x"});
  EXPECT_EQ(run.exit_code, 3) << run;
  EXPECT_NE(run.err.find("--tokenizer"), std::string::npos) << run;
  const ProgramResult made = convert(folder / "hf", folder / "a.gguf", "tq2_0", {"--scale-tensors"});
  EXPECT_EQ(made.exit_code, 0) << made;
  EXPECT_NE(made.err.find("has no tokenizer"), std::string::npos) << made;
}

TEST(Checkpoint, WhatItCannotHoldIsRefusedAndLeavesNothing) {
  const TempFolder folder;
  const ProgramResult rows = convert(BITNET_TEST_DATA "/families/llama_row_scales/model.gguf", folder / "a", "safetensors");
  EXPECT_EQ(rows.exit_code, 2) << rows;
  EXPECT_NE(rows.err.find("several scales"), std::string::npos) << rows;
  const ProgramResult freqs = convert(BITNET_TEST_DATA "/families/llama_rope_freqs/model.gguf", folder / "a", "safetensors");
  EXPECT_EQ(freqs.exit_code, 2) << freqs;
  EXPECT_NE(freqs.err.find("rope_freqs"), std::string::npos) << freqs;
  const ProgramResult family = convert(BITNET_TEST_DATA "/families/qwen3_embedding/model.gguf", folder / "a", "safetensors");
  EXPECT_EQ(family.exit_code, 2) << family;
  fs::create_directory(folder / "there");
  const ProgramResult there = convert(kStory, folder / "there", "safetensors", {"--force"});
  EXPECT_EQ(there.exit_code, 2) << there;
  EXPECT_NE(there.err.find("exists"), std::string::npos) << there;
  fs::remove(folder / "there");
  EXPECT_EQ(convert(kStory, folder / "no/such/folder", "safetensors").exit_code, 1);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Checkpoint, IsValidatedAndInspected) {
  const TempFolder folder;
  ASSERT_EQ(convert(kStory, folder / "hf", "safetensors").exit_code, 0);
  EXPECT_EQ(run_program({"validate", folder / "hf", "--strict"}).exit_code, 0);
  const json shown = json::parse(run_program({"inspect", folder / "hf", "--json"}).out);
  EXPECT_EQ(shown["version"], nullptr);
  EXPECT_EQ(shown["tensor_info"].size(), 46u);
  fs::resize_file(folder / "hf/model.safetensors", 1000000);
  const ProgramResult cut = run_program({"validate", folder / "hf"});
  EXPECT_EQ(cut.exit_code, 3);
  EXPECT_NE(cut.out.find("InvalidCheckpoint"), std::string::npos) << cut;
}

}  // namespace
}  // namespace bitnet::test
