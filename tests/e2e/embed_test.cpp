// e2e/embed_test.cpp - "embed" as a user types it: where texts come from, what is printed, what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::test {
namespace {

using nlohmann::json;
using Args = std::vector<std::string>;

const std::string kQwen = BITNET_TEST_DATA "/families/qwen3_embedding/model.gguf";
const std::string kGemma = BITNET_TEST_DATA "/families/gemma3_embedding/model.gguf";

ProgramResult embed(Args args, ProgramOptions options = {}) {
  args.insert(args.begin(), {"embed", "-t", "1"});
  return run_program(args, options);
}

// Numbers of each line.
std::vector<std::vector<float>> vectors_of(const ProgramResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result;
  std::vector<std::vector<float>> vectors;
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    std::vector<float>& vector = vectors.emplace_back();
    for (std::string word; numbers >> word;) vector.push_back(std::stof(word));
  }
  return vectors;
}

json json_of(const ProgramResult& result) {
  EXPECT_EQ(result.exit_code, 0) << result;
  return json::parse(result.out, nullptr, false);
}

double length_of(const std::vector<float>& vector) {
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(squares);
}

void expect_refused(const ProgramResult& result, int code, const std::string& words) {
  EXPECT_EQ(result.exit_code, code) << result;
  EXPECT_EQ(result.out, "") << result;
  EXPECT_NE(result.err.find("error: "), std::string::npos) << result;
  EXPECT_NE(result.err.find(words), std::string::npos) << "expected '" << words << "'" << result;
}

TEST(Embed, EveryLineIsAText) {
  const auto three = vectors_of(embed({"-m", kQwen, "-p", "the wind\nand the sea\r\nthe wind\n"}));
  ASSERT_EQ(three.size(), 3u);
  for (const auto& vector : three) {
    EXPECT_EQ(vector.size(), 128u);
    EXPECT_NEAR(length_of(vector), 1, 1e-5);
  }
  EXPECT_EQ(three[0], three[2]);
  EXPECT_NE(three[0], three[1]);
  // One at a time they are the same: what a text gets does not depend on the others.
  EXPECT_EQ(vectors_of(embed({"-m", kQwen, "-p", "and the sea"})).at(0), three[1]);
}

TEST(Embed, TextsFromFileAndPipe) {
  const TempFolder folder;
  write_text(folder / "texts", "one\ntwo\n");
  const auto from_file = vectors_of(embed({"-m", kGemma, "-f", folder / "texts"}));
  ASSERT_EQ(from_file.size(), 2u);
  EXPECT_EQ(from_file[0].size(), 384u);
  EXPECT_EQ(vectors_of(embed({"-m", kGemma}, {.stdin_text = "one\ntwo"})), from_file);
  EXPECT_EQ(vectors_of(embed({"-m", kGemma, "-"}, {.stdin_text = "one\ntwo"})), from_file);
  EXPECT_EQ(vectors_of(embed({"-m", kGemma, "-p", "one;two", "--separator", ";"})), from_file);
  EXPECT_EQ(vectors_of(embed({"-m", kGemma, "-f", folder / "texts", "--separator", ""})).size(), 1u);
}

// The tokens of a text are those around which the reference's were made: the text, and the end token where the file wants it.
TEST(Embed, TheFileSaysWhichTokensStandAroundAText) {
  const json qwen = json_of(embed({"-m", kQwen, "-p", "x", "--json"}));
  const json tokens = json_of(run_program({"tokenize", "-m", kQwen, "--add-special", "-p", "x", "--json"}));
  EXPECT_EQ(tokens["tokens"].back(), 317) << "add_eos_token";
  EXPECT_EQ(qwen["usage"]["prompt_tokens"], tokens["tokens"].size());
}

TEST(Embed, JsonIsTheListThatClientsKnow) {
  const json j = json_of(embed({"-m", kQwen, "-p", "a\nb", "--json", "--pooling", "mean"}));
  EXPECT_EQ(j["object"], "list");
  ASSERT_EQ(j["data"].size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(j["data"][i]["object"], "embedding");
    EXPECT_EQ(j["data"][i]["index"], i);
    EXPECT_EQ(j["data"][i]["embedding"].size(), 128u);
  }
  EXPECT_EQ(j["pooling"], "mean");
  EXPECT_EQ(j["normalized"], true);
  EXPECT_EQ(j["dimensions"], 128);
  EXPECT_EQ(j["mock"], false);
  EXPECT_EQ(j["fallback"], json::array());
  EXPECT_EQ(j["usage"]["total_tokens"], j["usage"]["prompt_tokens"]);
  EXPECT_GT(j["timing"]["kernel_execution"].get<double>(), 0);
  EXPECT_GT(j["memory"]["peak_rss"].get<uint64_t>(), 0u);
  EXPECT_EQ(json_of(embed({"-m", kQwen, "-p", "a\nb", "--format", "json", "--pooling", "mean"}))["data"], j["data"]);
}

TEST(Embed, RawIsNothingButNumbers) {
  const ProgramResult raw = embed({"-m", kQwen, "-p", "a\nb", "--format", "raw"});
  ASSERT_EQ(raw.out.size(), 2u * 128 * 4) << raw.err;
  std::vector<float> second(128);
  std::memcpy(second.data(), raw.out.data() + 128 * 4, 128 * 4);
  EXPECT_EQ(vectors_of(embed({"-m", kQwen, "-p", "a\nb"})).at(1), second);
}

TEST(Embed, PoolingAndLength) {
  const auto one = [](const Args& more) {
    Args args = {"-m", kQwen, "-p", "the wind"};
    args.insert(args.end(), more.begin(), more.end());
    return vectors_of(embed(args));
  };
  const auto rows = one({"--pooling", "none"});
  ASSERT_GE(rows.size(), 2u);
  EXPECT_GT(length_of(rows[0]), 2) << "rows of tokens are not scaled";
  EXPECT_EQ(one({"--pooling", "last", "--no-normalize"}).at(0), rows.back());
  EXPECT_EQ(one({"--pooling", "cls", "--no-normalize"}).at(0), rows.front());
  const std::vector<float> mean = one({"--pooling", "mean", "--no-normalize"}).at(0);
  for (size_t i = 0; i < mean.size(); ++i) {
    double sum = 0;
    for (const auto& row : rows) sum += static_cast<double>(row[i]);
    EXPECT_FLOAT_EQ(mean[i], static_cast<float>(sum / static_cast<double>(rows.size())));
  }
  EXPECT_EQ(one({}), one({"--pooling", "last"})) << "the default of these models, whatever the converter wrote";
  EXPECT_NE(embed({"-m", kQwen, "-p", "a"}).err.find("the file says mean"), std::string::npos) << "and it is said";
  EXPECT_EQ(embed({"-m", kQwen, "-p", "a", "--pooling", "last"}).err.find("the file says"), std::string::npos);
  EXPECT_NE(run_program({"inspect", kQwen}).out.find("pooling last: the last token"), std::string::npos);
  EXPECT_EQ(one({}), one({"--normalize"}));
}

TEST(Embed, SeveralTextsOfTokenRowsAreSetApart) {
  const ProgramResult result = embed({"-m", kQwen, "-p", "a\nb", "--pooling", "none"});
  EXPECT_NE(result.out.find("\n\n"), std::string::npos) << result;
  EXPECT_FALSE(result.out.ends_with("\n\n")) << result;
  EXPECT_EQ(json_of(embed({"-m", kQwen, "-p", "a", "--pooling", "none", "--json"}))["data"][0]["embedding"][0].size(), 128u);
}

TEST(Embed, AModelThatWritesGivesItsMean) {
  const ProgramResult result = embed({"-p", "Once upon a time"});  // the story model
  const auto vectors = vectors_of(result);
  ASSERT_EQ(vectors.size(), 1u);
  EXPECT_EQ(vectors[0].size(), 256u);
  EXPECT_NEAR(length_of(vectors[0]), 1, 1e-5);
  EXPECT_NE(result.err.find("made to write text, not for embeddings: taking the mean"), std::string::npos) << result;
  EXPECT_EQ(vectors_of(embed({"-p", "Once upon a time", "--pooling", "mean"})), vectors);
  EXPECT_EQ(embed({"-p", "Once upon a time", "--pooling", "last"}).err.find("made to write"), std::string::npos);
}

TEST(Embed, FallsBackInTheMiddleOfAList) {
  const Args texts = {"-m", kQwen, "-p", "one\ntwo\nthree", "--json"};
  const json plain = json_of(embed(texts));
  Args faulty = texts;
  faulty.insert(faulty.end(), {"--backend", "mock,cpu_portable", "--mock-mode", "faithful", "--mock-faults", "prefill@2=lost"});
  const ProgramResult result = embed(faulty);
  const json j = json_of(result);
  EXPECT_EQ(j["data"], plain["data"]);
  ASSERT_EQ(j["fallback"].size(), 1u) << result;
  EXPECT_EQ(j["fallback"][0]["from"], "mock");
  EXPECT_EQ(j["fallback"][0]["to"], "cpu_portable");
  EXPECT_EQ(j["mock"], true) << "the first text is the mock's";
  EXPECT_NE(result.err.find("using cpu_portable"), std::string::npos) << result;
}

TEST(Embed, TheMockIsMarked) {
  const ProgramResult text = embed({"-m", kQwen, "-p", "a", "--backend", "mock", "--mock-mode", "faithful"});
  EXPECT_EQ(text.exit_code, 0) << text;
  EXPECT_TRUE(text.out.starts_with("[mock] ")) << text;
  expect_refused(embed({"-m", kQwen, "-p", "a", "--backend", "mock", "--mock-mode", "faithful", "--format", "raw"}), 2,
                 "cannot mark what comes from the mock");
  // Its canned text has no hidden states: the next backend does it, or nobody.
  EXPECT_EQ(json_of(embed({"-m", kQwen, "-p", "a", "--backend", "mock", "--json"}))["mock"], false);
  expect_refused(embed({"-m", kQwen, "-p", "a", "--backend", "mock", "--no-fallback"}), 4, "canned");
}

TEST(Embed, WhatIsRefused) {
  expect_refused(embed({"-m", kQwen, "-p", ""}), 2, "there is no text");
  expect_refused(embed({"-p", "once\n\nupon", "-m", BITNET_TEST_DATA "/absent.gguf"}), 3, "absent.gguf");
  expect_refused(embed({"-m", kQwen, "-p", "ok\na text that is too long", "-c", "4"}), 2, "text 2 has more than 4 tokens");
  expect_refused(embed({"-m", kQwen, "--prompt-ids", "1,320"}), 2, "token 320 is outside the vocabulary of 320");
  expect_refused(embed({"-m", kQwen, "-p", "a", "-c", "40000"}), 2, "the model's context is 32768");
  expect_refused(embed({"-m", kQwen, "-p", "a", "--pooling", "max"}), 2, "--pooling");
  expect_refused(embed({"-m", kQwen, "-p", "a", "--pooling", "none", "--normalize"}), 2, "no effect with --pooling none");
  expect_refused(embed({"-m", kQwen, "-p", "a", "--json", "--format", "raw"}), 2, "give one");
  expect_refused(embed({"-m", kQwen, "-p", "a", "-n", "5"}), 2, "-n is not an option of 'embed'");
}

TEST(Embed, OtherCommandsSayWhatTheModelIsFor) {
  expect_refused(run_program({"-m", kQwen, "-p", "Once", "-n", "4"}), 3,
                 "an embedding model (qwen3): it writes no text; 'bitnet-run embed'");
  expect_refused(run_program({"benchmark", "-m", kGemma, "-p", "8", "-n", "2", "-r", "1"}), 2, "an embedding model");
}

}  // namespace
}  // namespace bitnet::test
