// unit/tokenizer/from_file_test.cpp - which file a tokenizer comes from, and what the model adds to it.
#include "gguf/writer.h"
#include "small_json.h"

namespace bitnet {
namespace {

using test::json;
using Ids = std::vector<int32_t>;

class FromFile : public test::TokenizerFolder {
 protected:
  // A model of that many rows, with or without a tokenizer of its own (256 bytes, "gpt2").
  std::string write_model(uint64_t rows, bool with_tokenizer) {
    const std::string path = folder_ / "model.gguf";
    gguf::Writer writer(path);
    if (with_tokenizer) {
      const test::SmallVocabulary v = test::SmallVocabulary::byte_level();
      writer.add_string("tokenizer.ggml.model", "gpt2");
      writer.add_string("tokenizer.ggml.pre", "gpt-2");
      writer.add_string_array("tokenizer.ggml.tokens", v.data.tokens);
      writer.add_string_array("tokenizer.ggml.merges", std::vector<std::string_view>{});
    }
    writer.add_key<uint32_t>("tokenizer.ggml.eos_token_id", 5);
    writer.skip(writer.add_tensor("token_embd.weight", gguf::Type::kF32, {8, rows}));
    writer.finish();
    return path;
  }
};

TEST_F(FromFile, TheNamedFileWinsThenTheModelThenTheFolder) {
  const gguf::File with(write_model(261, true));
  EXPECT_EQ(Tokenizer::of_model(with, std::nullopt).size(), 256u);
  write("tokenizer.json", test::small_json());
  EXPECT_EQ(Tokenizer::of_model(with, std::nullopt).size(), 256u);
  EXPECT_EQ(Tokenizer::of_model(with, folder_ / "tokenizer.json").size(), 261u);
  const gguf::File without(write_model(261, false));
  EXPECT_EQ(Tokenizer::of_model(without, std::nullopt).size(), 261u);
}

TEST_F(FromFile, TheModelSaysRolesThatTheFileLeavesOpen) {
  write("tokenizer.json", test::small_json());
  const gguf::File model(write_model(261, false));
  EXPECT_EQ(Tokenizer::of_model(model, std::nullopt).eos(), 5);
  write("tokenizer_config.json", json{{"eos_token", "<|end|>"}});
  EXPECT_EQ(Tokenizer::of_model(model, std::nullopt).eos(), 259);
}

TEST_F(FromFile, AVocabularyInAGgufFile) { EXPECT_EQ(Tokenizer::from_file(write_model(256, true)).size(), 256u); }

TEST_F(FromFile, MissingOnesAreNamed) {
  EXPECT_NE(refusal().find("the folder has neither tokenizer.json nor tokenizer.model"), std::string::npos) << refusal();
  write("tokenizer.json", std::string());
  EXPECT_NE(refusal().find("is empty"), std::string::npos) << refusal();
  const test::TempFolder other;
  EXPECT_THROW(Tokenizer::from_file(other / "absent.json"), Error);
  const std::string path = other / "model.gguf";
  gguf::Writer writer(path);
  writer.add_string("general.architecture", "llama");
  writer.finish();
  try {
    Tokenizer::of_model(gguf::File(path), std::nullopt);
    FAIL() << "was accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("--tokenizer FILE"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace bitnet
