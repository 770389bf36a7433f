// unit/tokenizer/vectors_test.cpp - ids recorded from other programs: ggml's vocabulary tests and the story model's trainer.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "gguf/reader.h"
#include "tokenizer/tokenizer.h"

namespace bitnet {
namespace {

const std::string kData = std::string(BITNET_TEST_DATA) + "/tokenizers/";
const std::string kShared = BITNET_SHARED_DIR;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t at = text.find(separator); at != text.npos; at = text.find(separator, begin)) {
    parts.push_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

struct VectorCase {
  const char* name;        // of the expected ids, NAME.out
  const char* vocabulary;  // below BITNET_SHARED_DIR, or in the test data when it begins with '='
  const char* pre;
  bool inferred;
};

void PrintTo(const VectorCase& c, std::ostream* out) { *out << c.vocabulary; }

class Vectors : public testing::TestWithParam<VectorCase> {};

TEST_P(Vectors, All47Match) {
  const VectorCase& c = GetParam();
  const std::string path = c.vocabulary[0] == '=' ? kData + (c.vocabulary + 1) : kShared + "/data/tokenizers/" + c.vocabulary;
  if (c.vocabulary[0] != '=' && !std::filesystem::exists(path)) GTEST_SKIP() << "vocabulary not here: " << path;
  const Tokenizer tokenizer = Tokenizer::from_gguf(gguf::File(path));
  EXPECT_EQ(tokenizer.pre(), c.pre);
  EXPECT_EQ(tokenizer.pre_inferred(), c.inferred);

  const auto texts = split(read_file(kData + "texts.inp"), "\n__ggml_vocab_test__\n");
  const auto lines = split(read_file(kData + c.name + ".out"), "\n");
  ASSERT_EQ(texts.size(), 47u);
  ASSERT_EQ(lines.size(), 47u);
  for (size_t i = 0; i < texts.size(); ++i) {
    std::vector<int32_t> expected;
    std::istringstream line(lines[i]);
    for (int32_t id; line >> id;) expected.push_back(id);
    const auto ids = tokenizer.encode(texts[i], {.add_special = false});
    EXPECT_EQ(ids, expected) << "text " << i << ": " << texts[i];
    EXPECT_EQ(tokenizer.decode(ids), texts[i]) << "text " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Vectors,
                         testing::Values(VectorCase{"gpt-2", "=gpt-2.gguf", "gpt-2", false},
                                         VectorCase{"llama-bpe", "ggml-vocab-llama-bpe.gguf", "llama-bpe", false},
                                         VectorCase{"llama-bpe", "vocab-2b4t-as-published.gguf", "llama-bpe", true},
                                         VectorCase{"falcon", "ggml-vocab-falcon.gguf", "falcon", false},
                                         VectorCase{"deepseek-llm", "ggml-vocab-deepseek-llm.gguf", "deepseek-llm", false},
                                         VectorCase{"llama-spm", "ggml-vocab-llama-spm.gguf", "", false}),
                         [](const auto& param_info) {
                           std::string name = param_info.param.vocabulary;
                           std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
                           return name;
                         });

TEST(AsPublished, EndsAtBothIdsAndReportsTheInference) {
  const std::string path = kShared + "/data/tokenizers/vocab-2b4t-as-published.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "vocabulary not here: " << path;
  // The file names no pre-tokenizer and no end of turn; both follow from the vocabulary, which even strict mode accepts.
  const Tokenizer tokenizer = Tokenizer::from_gguf(gguf::File(path), {.strict = true});
  EXPECT_EQ(tokenizer.size(), 128256u);
  EXPECT_EQ(tokenizer.bos(), 128000);
  EXPECT_EQ(tokenizer.eos(), 128001);
  EXPECT_EQ(tokenizer.eot(), 128009);
  EXPECT_EQ(tokenizer.end_of_generation_ids(), (std::vector<int32_t>{128001, 128009}));
  ASSERT_EQ(tokenizer.warnings().size(), 1u);
  EXPECT_NE(tokenizer.warnings()[0].find("inferred"), std::string::npos);
  // Ids of the published chat template.
  EXPECT_EQ(tokenizer.encode("User: Hey, are you conscious? Can you talk to me?"),
            (std::vector<int32_t>{128000, 1502, 25, 28653, 11, 527, 499, 17371, 30, 3053, 499, 3137, 311, 757, 30}));
  EXPECT_EQ(tokenizer.encode("Assistant: ", {.add_special = false}), (std::vector<int32_t>{72803, 25, 220}));
  EXPECT_EQ(tokenizer.encode("hi<|eot_id|>", {.add_special = false, .parse_special = true}),
            (std::vector<int32_t>{6151, 128009}));
}

class Story : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(folder_ + "story.gguf")) GTEST_SKIP() << "story model not here: " << folder_;
  }
  std::string folder_ = kShared + "/reference/story/";
};

TEST_F(Story, HeldOutTextGivesTheTrainersTokens) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(gguf::File(folder_ + "story.gguf"), {.strict = true});
  const std::string bytes = read_file(folder_ + "heldout_tokens.i32.bin");
  std::vector<int32_t> expected(bytes.size() / sizeof(int32_t));
  ASSERT_GT(expected.size(), 1000u);
  std::memcpy(expected.data(), bytes.data(), expected.size() * sizeof(int32_t));
  const std::string text = read_file(folder_ + "heldout_text.txt");
  EXPECT_EQ(tokenizer.encode(text, {.add_special = false}), expected);
  EXPECT_EQ(tokenizer.decode(expected), text);
}

TEST_F(Story, PromptsGiveTheirTokensWithBos) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(gguf::File(folder_ + "story.gguf"), {.strict = true});
  const auto prompts = nlohmann::json::parse(read_file(folder_ + "prompts.json"))["prompts"];
  size_t with_text = 0;
  for (const auto& prompt : prompts) {
    if (!prompt.contains("text") || !prompt["text"].is_string()) continue;
    ++with_text;
    EXPECT_EQ(tokenizer.encode(prompt["text"].get<std::string>()), prompt["tokens"].get<std::vector<int32_t>>())
        << prompt["name"];
    if (prompt.contains("greedy_text")) {
      const auto greedy = prompt["greedy"].get<std::vector<int32_t>>();
      EXPECT_EQ(tokenizer.decode(greedy, {.control_tokens = true}), prompt["greedy_text"].get<std::string>());
    }
  }
  EXPECT_GE(with_text, 3u);
}

}  // namespace
}  // namespace bitnet
