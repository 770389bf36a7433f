// e2e/tokenize_test.cpp - "tokenize" and "detokenize" as typed: the model's own tokenizer, files beside it, the report of
// --check.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;

const std::string kData = std::string(BITNET_TEST_DATA) + "/tokenizers/";

// A tokenizer.json of 256 bytes, "ab" and an end of text, for Llama 3's way of cutting.
json tokenizer_json() {
  json vocab;
  int id = 0;
  for (int byte = 33; byte < 127; ++byte) vocab[std::string(1, static_cast<char>(byte))] = id++;
  vocab["ab"] = id++;
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  return {{"added_tokens", {{{"id", id}, {"content", "<|end|>"}, {"special", true}}}},
          {"pre_tokenizer", byte_level},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"a b"}}}}};
}

TEST(Tokenize, AndBack) {
  const ProgramResult ids = run_program({"tokenize", "-p", "Once upon a time"});
  EXPECT_EQ(ids.exit_code, 0) << ids;
  const ProgramResult text = run_program({"detokenize", "--ids", ids.out.substr(0, ids.out.size() - 1)});
  EXPECT_EQ(text.out, "Once upon a time\n") << text;
}

TEST(Tokenize, WithAFileInPlaceOfTheModels) {
  const TempFolder folder;
  write_text(folder / "tokenizer.json", tokenizer_json().dump());
  for (const std::string& named : {folder / "tokenizer.json", folder.path().string()}) {
    const ProgramResult ids = run_program({"tokenize", "--tokenizer", named, "-p", "abA"});
    EXPECT_EQ(ids.out, "94 32\n") << ids;
    const ProgramResult text = run_program({"detokenize", "--tokenizer", named, "94", "32", "95"});
    EXPECT_EQ(text.out, "abA<|end|>\n") << text;
  }
  // SentencePiece's own file, with the ids that SentencePiece gives.
  const ProgramResult ids = run_program({"tokenize", "--tokenizer", kData + "sentencepiece/llama.model", "-p", "Hello world"});
  EXPECT_EQ(ids.exit_code, 0) << ids;
  EXPECT_NE(read_text(kData + "sentencepiece/llama.out").find("\n" + ids.out), std::string::npos) << ids;
}

TEST(Tokenize, OfAFolderWithoutWeights) {
  const TempFolder folder;
  write_text(folder / "tokenizer.json", tokenizer_json().dump());
  const ProgramResult ids = run_program({"tokenize", "-m", folder.path().string(), "-p", "ab"});
  EXPECT_EQ(ids.out, "94\n") << ids;
}

TEST(Tokenize, RefusesWhatItWouldDoDifferently) {
  const TempFolder folder;
  json file = tokenizer_json();
  file["normalizer"] = {{"type", "Lowercase"}};
  write_text(folder / "tokenizer.json", file.dump());
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"tokenize", "--tokenizer", folder / "tokenizer.json", "-p", "x"},
        {"--tokenizer", folder / "tokenizer.json", "-p", "x", "-n", "1"}}) {
    const ProgramResult result = run_program(args);
    EXPECT_EQ(result.exit_code, 3) << result;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find("the normalizer \"Lowercase\" is not supported"), std::string::npos) << result;
  }
}

TEST(Tokenize, RunTakesTheNamedTokenizer) {
  const TempFolder folder;
  write_text(folder / "tokenizer.json", tokenizer_json().dump());
  const ProgramResult result =
      run_program({"--tokenizer", folder / "tokenizer.json", "-p", "abA", "-n", "1", "--greedy", "--json", "-t", "1"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_EQ(json::parse(result.out)["usage"]["prompt_tokens"], 2)
      << result;  // the model's begin of text is no token of this file
}

TEST(TokenizeCheck, OfTheStoryModel) {
  const ProgramResult result = run_program({"tokenize", "--check", "--json"});
  EXPECT_EQ(result.exit_code, 0) << result;
  const json report = json::parse(result.out);
  EXPECT_EQ(report["vocab_size_match"], true);
  EXPECT_EQ(report["special_tokens_present"], true);
  EXPECT_EQ(report["encoding_consistency"], true);
  EXPECT_EQ(report["model_expectations"]["expected"], 2048);
  EXPECT_EQ(report["model_expectations"]["actual"], 2048);
  EXPECT_GT(report["model_expectations"]["embedding_dim"], 0);
  EXPECT_EQ(report["errors"], json::array());
  const ProgramResult text = run_program({"tokenize", "--check"});
  EXPECT_EQ(text.exit_code, 0) << text;
  EXPECT_NE(text.out.find("2048 tokens, 2048 rows"), std::string::npos) << text;
}

TEST(TokenizeCheck, ATokenizerThatDoesNotFitIsExit3WithTheReport) {
  const ProgramResult result = run_program({"tokenize", "--check", "--json", "--tokenizer", kData + "gpt-2.gguf"});
  EXPECT_EQ(result.exit_code, 3) << result;
  const json report = json::parse(result.out);
  EXPECT_EQ(report["vocab_size_match"], false);
  EXPECT_EQ(report["model_expectations"]["actual"], 50257);
  EXPECT_EQ(report["errors"][0]["kind"], "VocabSizeMismatch");
}

TEST(TokenizeCheck, StrictMakesDoubtsErrors) {
  const std::vector<std::string> args{"tokenize", "--check", "--tokenizer", kData + "sentencepiece/gemma.model"};
  const ProgramResult loose = run_program(args);  // 900 tokens for 2048 rows
  EXPECT_EQ(loose.exit_code, 0) << loose;
  EXPECT_NE(loose.out.find("warning: VocabSizeMismatch"), std::string::npos) << loose;
  const ProgramResult strict = run_program(args, {.env = {{"BITNET_STRICT_TOKENIZERS", "1"}}});
  EXPECT_EQ(strict.exit_code, 3) << strict;
  EXPECT_NE(strict.out.find("error: VocabSizeMismatch: the vocabulary has 900 tokens"), std::string::npos) << strict;
}

}  // namespace
}  // namespace bitnet::test
