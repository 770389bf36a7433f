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
const std::string kSentencePiece = BITNET_TEST_DATA "/families/bitnet_silu_hd96/model.gguf";
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

TEST(Checkpoint, IsWrittenAndRunsTheSame) {
  const TempFolder folder;
  for (const std::string& model : {kStory, kFalcon}) {
    const std::string out = folder / fs::path(model).parent_path().filename().string();
    const ProgramResult made = convert(model, out, "safetensors", {"--verify"});
    ASSERT_EQ(made.exit_code, 0) << made;
    EXPECT_NE(made.out.find("verified"), std::string::npos) << made;
    const json before = run(model, {"--prompt-ids", "5,6,7"});
    const json after = run(out, {"--prompt-ids", "5,6,7"});
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

// Texts to ids and back, and what stands around texts, as the GGUF file has it; the model of the family "bitnet" has a
// vocabulary of SentencePiece's kind.
TEST(Checkpoint, ItsTokenizerIsTheSame) {
  const TempFolder folder;
  const std::string text = "It's 2 o'clock; \xC3\xA9t\xC3\xA9, \xF0\x9F\x99\x82!\n\n  <|eot_id|> </s>";
  for (const std::string& model : {kStory, kFalcon, kSentencePiece}) {
    SCOPED_TRACE(model);
    const std::string out = folder / fs::path(model).parent_path().filename().string();
    const ProgramResult made = convert(model, out, "safetensors");
    ASSERT_EQ(made.exit_code, 0) << made;
    EXPECT_NE(made.out.find("its tokenizer is beside them"), std::string::npos) << made;
    EXPECT_EQ(fs::exists(fs::path(out) / "tokenizer.model"), model == kSentencePiece);
    for (const std::vector<std::string>& how : {std::vector<std::string>{"--add-special"}, {"--parse-special"}, {}}) {
      std::vector<std::string> args = {"tokenize", "-m", model, "-p", text, "--json"};
      args.insert(args.end(), how.begin(), how.end());
      const ProgramResult before = run_program(args);
      ASSERT_EQ(before.exit_code, 0) << before;
      args[2] = out;
      const ProgramResult after = run_program(args);
      ASSERT_EQ(after.exit_code, 0) << after;
      EXPECT_EQ(json::parse(after.out)["tokens"], json::parse(before.out)["tokens"]);
    }
    EXPECT_EQ(run_program({"tokenize", "-m", out, "--check"}).exit_code,
              run_program({"tokenize", "-m", model, "--check"}).exit_code);
  }
}

TEST(Checkpoint, AChatTemplateBesideItIsUsed) {
  const TempFolder folder;
  ASSERT_EQ(convert(kStory, folder / "hf", "safetensors").exit_code, 0);
  json config = json::parse(read_text(folder / "hf/tokenizer_config.json"));
  const std::vector<std::string> ask = {"chat", "-m", folder / "hf", "-p", "Hello", "-st", "-n", "4", "--greedy"};
  EXPECT_NE(run_program(ask).err.find("template"), std::string::npos) << "the story model has none";
  config["chat_template"] = "{% for m in messages %}{{ m.content }} and then{% endfor %}";
  write_text(folder / "hf/tokenizer_config.json", config.dump());
  const ProgramResult said = run_program(ask);
  EXPECT_EQ(said.exit_code, 0) << said;
  write_text(folder / "hf/chat_template.jinja", "{{ raise_exception('the jinja file') }}");
  EXPECT_NE(run_program(ask).err.find("the jinja file"), std::string::npos) << "the newer place wins";
  // It goes along into a GGUF file.
  fs::remove(folder / "hf/chat_template.jinja");
  ASSERT_EQ(convert(folder / "hf", folder / "a.gguf", "i2_s").exit_code, 0);
  EXPECT_EQ(gguf::File(folder / "a.gguf").find_string("tokenizer.chat_template"), config["chat_template"].get<std::string>());
}

TEST(Checkpoint, WithoutATokenizerIsToldSo) {
  const TempFolder folder;
  ASSERT_EQ(convert(kStory, folder / "hf", "safetensors").exit_code, 0);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
    EXPECT_TRUE(fs::remove(fs::path(folder / "hf") / name)) << name;
  }
  const ProgramResult run = run_program({"-m", folder / "hf", "-p", "x"});
  EXPECT_EQ(run.exit_code, 3) << run;
  EXPECT_NE(run.err.find("--tokenizer"), std::string::npos) << run;
  const ProgramResult made = convert(folder / "hf", folder / "a.gguf", "tq2_0", {"--scale-tensors"});
  EXPECT_EQ(made.exit_code, 0) << made;
  EXPECT_NE(made.err.find("has no tokenizer"), std::string::npos) << made;
  const ProgramResult again = convert(folder / "hf", folder / "hf2", "safetensors");
  EXPECT_EQ(again.exit_code, 0) << again;
  EXPECT_NE(again.out.find("--tokenizer"), std::string::npos) << again;
}

// The vectors of an embedding model do not depend on the files its weights come in.
TEST(Checkpoint, OfAnEmbeddingModelGivesTheVectorsOfTheGgufFile) {
  const TempFolder folder;
  for (const std::string name : {"qwen3_embedding", "gemma3_embedding"}) {
    const std::string model = std::string(BITNET_TEST_DATA) + "/families/" + name + "/model.gguf";
    const std::vector<std::string> kinds[] = {{"--pooling", "lasttoken"},
                                              {"--bare-names", "--matrices", "F32", "--pooling", "unsaid"}};
    for (const std::vector<std::string>& kind : kinds) {
      std::vector<std::string> args = {BITNET_MAKE_CHECKPOINT, model, folder / name};
      args.insert(args.end(), kind.begin(), kind.end());
      const ProgramResult made = run_program(args, {.program = "python3"});
      ASSERT_EQ(made.exit_code, 0) << made;
      const auto vectors = [&](const std::string& from) {
        const ProgramResult result =
            run_program({"embed", "-m", from, "--tokenizer", model, "-p", "one two\nthree", "--format", "raw", "-t", "1"});
        EXPECT_EQ(result.exit_code, 0) << result;
        return result.out;
      };
      const std::string before = vectors(model);
      EXPECT_FALSE(before.empty());
      EXPECT_EQ(vectors(folder / name), before) << name << " " << kind[0];
      fs::remove_all(folder / name);
    }
  }
}

TEST(Checkpoint, WhatItCannotHoldIsRefusedAndLeavesNothing) {
  const TempFolder folder;
  const ProgramResult rows = convert(BITNET_TEST_DATA "/families/llama_row_scales/model.gguf", folder / "a", "safetensors");
  EXPECT_EQ(rows.exit_code, 2) << rows;
  EXPECT_NE(rows.err.find("several scales"), std::string::npos) << rows;
  const ProgramResult freqs = convert(BITNET_TEST_DATA "/families/llama_rope_freqs/model.gguf", folder / "a", "safetensors");
  EXPECT_EQ(freqs.exit_code, 2) << freqs;
  EXPECT_NE(freqs.err.find("rope_freqs"), std::string::npos) << freqs;
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
