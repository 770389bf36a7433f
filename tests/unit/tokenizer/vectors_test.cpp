// unit/tokenizer/vectors_test.cpp - ids recorded from other programs: ggml's vocabulary tests and the story model's trainer.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "gguf/reader.h"
#include "tokenizer/tokenizer.h"

namespace bitnet {
namespace {

const std::string kData = std::string(BITNET_TEST_DATA) + "/tokenizers/";
const std::string kFiles = std::string(BITNET_TOKENIZER_FILES) + "/";

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
  const char* name;  // of the expected ids, NAME.out
  const char* file;  // in kFiles, or below kData when it begins with '='
  const char* pre;
  bool inferred;
};

void PrintTo(const VectorCase& c, std::ostream* out) { *out << c.file; }

class Vectors : public testing::TestWithParam<VectorCase> {};

TEST_P(Vectors, All47Match) {
  const VectorCase& c = GetParam();
  const Tokenizer tokenizer = Tokenizer::from_file(c.file[0] == '=' ? kData + (c.file + 1) : kFiles + c.file);
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
                         testing::Values(VectorCase{"gpt-2", "gpt-2/vocabulary.gguf", "gpt-2", false},
                                         VectorCase{"gpt-2", "gpt-2/tokenizer.json", "gpt-2", false},
                                         VectorCase{"llama-bpe", "llama-bpe/vocabulary.gguf", "llama-bpe", false},
                                         VectorCase{"llama-bpe", "llama-bpe/tokenizer.json", "llama-bpe", false},
                                         VectorCase{"llama-bpe", "published/vocabulary.gguf", "llama-bpe", true},
                                         VectorCase{"falcon", "falcon/vocabulary.gguf", "falcon", false},
                                         VectorCase{"falcon", "falcon/tokenizer.json", "falcon", false},
                                         VectorCase{"deepseek-llm", "deepseek-llm/vocabulary.gguf", "deepseek-llm", false},
                                         VectorCase{"llama-spm", "llama-spm/vocabulary.gguf", "", false},
                                         VectorCase{"llama-spm", "llama-spm/tokenizer.json", "", false},
                                         VectorCase{"llama-spm", "llama-spm/metaspace/tokenizer.json", "", false},
                                         VectorCase{"llama-spm", "llama-spm/model/tokenizer.model", "", false},
                                         VectorCase{"sentencepiece/llama", "=sentencepiece/llama.model", "", false},
                                         VectorCase{"sentencepiece/gemma", "=sentencepiece/gemma.model", "", false}),
                         [](const auto& param_info) {
                           std::string name = param_info.param.file;
                           std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
                           return name;
                         });

TEST(AsPublished, EndsAtBothIdsAndReportsTheInference) {
  // The file names no pre-tokenizer and no end of turn; both follow from the vocabulary, which even strict mode accepts.
  const Tokenizer tokenizer = Tokenizer::from_gguf(gguf::File(kFiles + "published/vocabulary.gguf"), {.strict = true});
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

// A vocabulary that is known by its tokens, in a file that does not name its pre-tokenizer.
TEST(KnownVocabularies, AreFoundByTheirTokens) {
  for (const std::string name : {"gpt-2", "falcon", "deepseek-llm", "llama-bpe"}) {
    const gguf::File file(kFiles + name + "/vocabulary.gguf");
    const auto tokens = *file.find_string_array("tokenizer.ggml.tokens");
    const auto merges = *file.find_string_array("tokenizer.ggml.merges");
    TokenizerData data;
    data.model = "gpt2";
    data.tokens = tokens;
    data.types = *file.find_int_array("tokenizer.ggml.token_type");
    data.merges = merges;
    data.add_bos = false;
    const Tokenizer tokenizer = Tokenizer::from_data(data, {.strict = true});
    EXPECT_EQ(tokenizer.pre(), name);
    EXPECT_TRUE(tokenizer.pre_inferred());
    ASSERT_EQ(tokenizer.warnings().size(), 1u) << name;
    EXPECT_NE(tokenizer.warnings()[0].find("inferred from the vocabulary"), std::string::npos);
  }
}

// Any bytes come back, whatever the vocabulary; those of Falcon and DeepSeek lack bytes that UTF-8 never needs.
TEST(EveryVocabulary, AnyBytesComeBack) {
  std::string bytes;
  for (int i = 0; i < 20000; ++i) bytes.push_back(static_cast<char>((i * 2654435761u) >> 13 & 0xFF));
  for (const std::string file : {"gpt-2/tokenizer.json", "llama-bpe/vocabulary.gguf", "llama-bpe/tokenizer.json",
                                 "llama-spm/vocabulary.gguf", "llama-spm/tokenizer.json", "llama-spm/metaspace/tokenizer.json",
                                 "llama-spm/no_prefix/tokenizer.json", "llama-spm/model/tokenizer.model"}) {
    const Tokenizer tokenizer = Tokenizer::from_file(kFiles + file);
    for (const std::string& text :
         {bytes, std::string("  two\xE2\x96\x81 \0 words", 16), std::string(" "), std::string("\xE2\x96\x81")}) {
      EXPECT_TRUE(tokenizer.decode(tokenizer.encode(text, {.add_special = false})) == text) << file;
    }
  }
}

class Story : public testing::Test {
 protected:
  std::string folder_ = std::string(BITNET_TEST_DATA) + "/story/";
};

TEST_F(Story, HeldOutTextGivesTheTrainersTokens) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(gguf::File(BITNET_STORY_MODEL), {.strict = true});
  const std::string bytes = read_file(folder_ + "heldout_tokens.i32.bin");
  std::vector<int32_t> expected(bytes.size() / sizeof(int32_t));
  ASSERT_GT(expected.size(), 1000u);
  std::memcpy(expected.data(), bytes.data(), expected.size() * sizeof(int32_t));
  const std::string text = read_file(folder_ + "heldout_text.txt");
  EXPECT_EQ(tokenizer.encode(text, {.add_special = false}), expected);
  EXPECT_EQ(tokenizer.decode(expected), text);
}

TEST_F(Story, PromptsGiveTheirTokensWithBos) {
  const Tokenizer tokenizer = Tokenizer::from_gguf(gguf::File(BITNET_STORY_MODEL), {.strict = true});
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
