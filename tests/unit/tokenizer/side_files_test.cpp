// unit/tokenizer/side_files_test.cpp - tokenizer_config.json, added_tokens.json and generation_config.json beside a tokenizer.
#include "small_json.h"

namespace bitnet {
namespace {

using test::json;
using Ids = std::vector<int32_t>;

class SideFiles : public test::TokenizerFolder {
 protected:
  void SetUp() override { write("tokenizer.json", test::small_json()); }
};

TEST_F(SideFiles, RolesByTheirTexts) {
  write("tokenizer_config.json",
        json{{"bos_token", "<|begin|>"}, {"eos_token", {{"content", "<|end|>"}}}, {"pad_token", nullptr}});
  const Tokenizer tokenizer = open(true);
  EXPECT_EQ(tokenizer.bos(), 258);
  EXPECT_EQ(tokenizer.eos(), 259);
  EXPECT_EQ(tokenizer.pad(), std::nullopt);
  EXPECT_EQ(tokenizer.end_of_generation_ids(), (Ids{259}));
}

TEST_F(SideFiles, ARoleOfNoTokenIsADoubt) {
  write("tokenizer_config.json", json{{"eos_token", "</s>"}});
  EXPECT_EQ(open().warnings().size(), 1u);
  EXPECT_NE(refusal(true).find("eos_token is \"</s>\", which is no token"), std::string::npos) << refusal(true);
}

TEST_F(SideFiles, GenerationEndsAtAllIds) {
  write("generation_config.json", json{{"eos_token_id", {259, 260}}});
  EXPECT_EQ(open().end_of_generation_ids(), (Ids{259, 260}));
  write("generation_config.json", json{{"eos_token_id", 260}});
  EXPECT_EQ(open().end_of_generation_ids(), (Ids{260}));
  write("generation_config.json", json{{"eos_token_id", {259, 1000}}});
  EXPECT_NE(refusal().find("eos_token_id has 1000"), std::string::npos) << refusal();
  write("generation_config.json", json{{"eos_token_id", {"x"}}});
  EXPECT_NE(refusal().find("whole numbers"), std::string::npos) << refusal();
}

TEST_F(SideFiles, TheTemplateDecidesBeforeTheConfiguration) {
  write("tokenizer_config.json", json{{"add_bos_token", false}, {"add_eos_token", true}, {"eos_token", "<|end|>"}});
  EXPECT_EQ(open().encode("ab"), (Ids{258, 256}));
  json file = test::small_json();
  file["post_processor"] = nullptr;
  write("tokenizer.json", file);
  EXPECT_EQ(open().encode("ab"), (Ids{256, 259}));
}

TEST_F(SideFiles, BrokenOnesAreNamed) {
  write("tokenizer_config.json", std::string("{"));
  EXPECT_NE(refusal().find("tokenizer_config.json"), std::string::npos) << refusal();
  write("tokenizer_config.json", json{{"bos_token", 5}});
  EXPECT_NE(refusal().find("\"bos_token\" is to be a text"), std::string::npos) << refusal();
}

// The vocabulary of the bitnet_b1_58 models: Llama 2's and two tokens behind it.
class AddedTokens : public test::TokenizerFolder {
 protected:
  void SetUp() override {
    write("tokenizer.model", test::read_text(std::string(BITNET_TOKENIZER_FILES) + "/llama-spm/model/tokenizer.model"));
  }
};

TEST_F(AddedTokens, FollowTheVocabulary) {
  write("added_tokens.json", json{{"</line>", 32001}, {"<pad>", 32000}});
  write("tokenizer_config.json", json{{"pad_token", "<pad>"}, {"bos_token", "<s>"}, {"eos_token", "</s>"}});
  const Tokenizer tokenizer = open(true);
  EXPECT_EQ(tokenizer.size(), 32002u);
  EXPECT_EQ(tokenizer.pad(), 32000);
  EXPECT_EQ(tokenizer.encode("Hello</line>", {.parse_special = true}), (Ids{1, 15043, 32001}));
  EXPECT_EQ(tokenizer.encode("Hello"), (Ids{1, 15043}));
}

TEST_F(AddedTokens, ByTheConfiguration) {
  const auto token = [](const char* text, bool special) { return json{{"content", text}, {"special", special}}; };
  write("tokenizer_config.json",
        json{{"added_tokens_decoder",
              {{"2", token("</s>", true)}, {"32000", token("<pad>", true)}, {"32001", token("</line>", false)}}}});
  EXPECT_EQ(open(true).encode("Hello</line>", {.add_special = false}), (Ids{15043, 32001}));
}

TEST_F(AddedTokens, MustFitTheVocabulary) {
  write("added_tokens.json", json{{"<pad>", 32001}});
  EXPECT_NE(refusal().find("has the id 32001, expected 0 to 32000"), std::string::npos) << refusal();
  write("added_tokens.json", json{{"<pad>", 2}});
  EXPECT_NE(refusal().find("which is that of \"</s>\""), std::string::npos) << refusal();
  write("added_tokens.json", json{{"<pad>", -1}});
  EXPECT_NE(refusal().find("has the id -1"), std::string::npos) << refusal();
}

}  // namespace
}  // namespace bitnet
