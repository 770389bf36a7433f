// unit/tokenizer/to_files_test.cpp - vocabularies of GGUF files written as Hugging Face keeps them, and read again.
#include "tokenizer/to_files.h"

#include <algorithm>
#include <sstream>

#include "gguf/writer.h"
#include "small_json.h"
#include "tokenizer/to_gguf.h"

namespace bitnet {
namespace {

using test::json;
using test::SmallVocabulary;

const std::string kData = std::string(BITNET_TEST_DATA) + "/tokenizers/";
const std::string kFiles = std::string(BITNET_TOKENIZER_FILES) + "/";

class ToFiles : public test::TokenizerFolder {
 protected:
  void put(const TokenizerFiles& made) {
    for (const auto& [name, content] : made.files) test::write_text(folder_ / name, content);
  }
  const std::string& content(const TokenizerFiles& made, size_t i) { return made.files.at(i).content; }
  // Changes a vocabulary, and writes what can be written of it as a GGUF file's.
  TokenizerFiles of(const SmallVocabulary& v, const std::function<void(gguf::Writer&)>& more = {}) {
    const std::string path = folder_ / "vocabulary.gguf";
    gguf::Writer writer(path);
    writer.add_string("tokenizer.ggml.model", v.data.model);
    if (v.data.pre) writer.add_string("tokenizer.ggml.pre", *v.data.pre);
    writer.add_string_array("tokenizer.ggml.tokens", v.data.tokens);
    writer.add_array<int32_t>("tokenizer.ggml.token_type", std::vector<int32_t>(v.data.types.begin(), v.data.types.end()));
    if (!v.data.scores.empty()) writer.add_array<float>("tokenizer.ggml.scores", v.data.scores);
    if (v.data.model == "gpt2") writer.add_string_array("tokenizer.ggml.merges", v.data.merges);
    if (v.data.bos) writer.add_key<uint32_t>("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(*v.data.bos));
    if (v.data.eos) writer.add_key<uint32_t>("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(*v.data.eos));
    if (more) more(writer);
    writer.finish();
    file_.emplace(path);
    return tokenizer_files(*file_);
  }
  std::optional<const gguf::File> file_;
};

// Recorded ids, so that the comparison does not rest on the program alone.
void expect_recorded(const Tokenizer& tokenizer, const std::string& name) {
  std::string texts = test::read_text(kData + "texts.inp");
  std::istringstream lines(test::read_text(kData + name + ".out"));
  const std::string separator = "\n__ggml_vocab_test__\n";
  texts += separator;
  size_t count = 0;
  for (size_t at = 0, end = 0; (end = texts.find(separator, at)) != texts.npos; at = end + separator.size(), ++count) {
    std::string line;
    std::getline(lines, line);  // the last text is empty and has no line
    std::vector<int32_t> expected;
    std::istringstream ids(line);
    for (int32_t id; ids >> id;) expected.push_back(id);
    EXPECT_EQ(tokenizer.encode(texts.substr(at, end - at), {.add_special = false}), expected) << "text " << count;
  }
  EXPECT_EQ(count, 47u);
}

TEST_F(ToFiles, RecordedVocabulariesComeBack) {
  for (const std::string name : {"gpt-2", "llama-bpe", "falcon", "llama-spm"}) {
    SCOPED_TRACE(name);
    const gguf::File file(kFiles + name + "/vocabulary.gguf");
    const TokenizerFiles made = tokenizer_files(file);
    ASSERT_EQ(made.reason, "");
    EXPECT_EQ(made.files.at(0).name, name == "llama-spm" ? "tokenizer.model" : "tokenizer.json");
    put(made);
    const Tokenizer back = Tokenizer::from_file(folder_ / made.files.at(0).name);
    EXPECT_EQ(difference(Tokenizer::from_gguf(file), back), "");
    expect_recorded(back, name);
    for (const auto& [file_name, content] : made.files) std::filesystem::remove(folder_ / file_name);
  }
}

TEST_F(ToFiles, WhatHasNoFormIsToldWithTheReason) {
  const TokenizerFiles made = tokenizer_files(gguf::File(kFiles + "deepseek-llm/vocabulary.gguf"));
  EXPECT_TRUE(made.files.empty());
  EXPECT_NE(made.reason.find("deepseek-llm"), std::string::npos) << made.reason;
  SmallVocabulary twice = SmallVocabulary::byte_level();
  twice.add("a");
  EXPECT_NE(of(twice).reason.find("two tokens have the text \"a\""), std::string::npos);
  SmallVocabulary bytes = SmallVocabulary::byte_level();
  bytes.add("\xFF\xFE", 3);
  EXPECT_NE(of(bytes).reason.find("no UTF-8"), std::string::npos);
}

TEST_F(ToFiles, RolesAndFlagsComeBack) {
  SmallVocabulary v = SmallVocabulary::byte_level();
  v.add("<|begin|>", 3);
  v.add("<|end|>", 3);
  v.add("<|eot_id|>", 3);
  v.add("[X]", 4);
  v.data.bos = 256;
  v.data.eos = 257;
  for (const bool bos : {false, true}) {
    for (const bool eos : {false, true}) {
      const TokenizerFiles made = of(v, [&](gguf::Writer& writer) {
        writer.add_key<bool>("tokenizer.ggml.add_bos_token", bos);
        writer.add_key<bool>("tokenizer.ggml.add_eos_token", eos);
        writer.add_key<uint32_t>("tokenizer.ggml.eot_token_id", 258);
        writer.add_string("tokenizer.chat_template", "a template");
      });
      put(made);
      const Tokenizer before = Tokenizer::from_gguf(*file_), back = Tokenizer::from_file(folder_ / "tokenizer.json");
      EXPECT_EQ(difference(before, back), "");
      std::vector<int32_t> expected = {'a' - 0, 259};
      if (bos) expected.insert(expected.begin(), 256);
      if (eos) expected.push_back(257);
      EXPECT_EQ(back.encode("a[X]"), expected);
      EXPECT_EQ(json::parse(content(made, 1))["chat_template"], "a template");
      EXPECT_EQ(json::parse(content(made, 2))["eos_token_id"], json::array({257, 258}));
      // And on into keys again: of the ends that is the end of turn which is no eos.
      const gguf::KeyValues keys = tokenizer_keys(folder_ / "tokenizer.json", nullptr);
      const auto& entries = keys.entries();
      for (const auto& [key, id] : {std::pair("bos_token_id", 256), {"eos_token_id", 257}, {"eot_token_id", 258}}) {
        const std::string name = std::string("tokenizer.ggml.") + key;
        const auto at = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.key == name; });
        ASSERT_NE(at, entries.end()) << key;
        EXPECT_EQ(at->data[0] | at->data[1] << 8, id) << key;
      }
    }
  }
}

TEST_F(ToFiles, SentencePieceKeepsItsSpacesInFront) {
  for (const bool prefix : {false, true}) {
    SmallVocabulary v = SmallVocabulary::sentencepiece();
    for (const char* piece : {"a", "\u2581", "b", "\u2581a", "ab"})
      v.add_piece(piece, -static_cast<float>(v.data.tokens.size()));
    v.data.scores.resize(v.data.tokens.size());
    put(of(v, [&](gguf::Writer& writer) { writer.add_key<bool>("tokenizer.ggml.add_space_prefix", prefix); }));
    const Tokenizer back = Tokenizer::from_file(folder_ / "tokenizer.model");
    EXPECT_EQ(difference(Tokenizer::from_gguf(*file_), back), "");
    EXPECT_EQ(back.encode("a", {.add_special = false}).at(0), prefix ? 262 : 259);
  }
}

// difference() looks at everything.
TEST_F(ToFiles, DifferencesAreFound) {
  SmallVocabulary v = SmallVocabulary::byte_level();
  v.add_merge("a", "b");
  v.add("<|x|>", 3);
  v.data.eos = 257;
  const Tokenizer whole = Tokenizer::from_data(v.data);
  const auto differs = [&](const std::function<void(SmallVocabulary&)>& change) {
    SmallVocabulary other = SmallVocabulary::byte_level();
    other.add_merge("a", "b");
    other.add("<|x|>", 3);
    other.data.eos = 257;
    change(other);
    return difference(whole, Tokenizer::from_data(other.data));
  };
  EXPECT_EQ(differs([](auto&) {}), "");
  EXPECT_NE(differs([](auto& o) { o.add("c", 3); }).find("258 tokens become 259"), std::string::npos);
  EXPECT_NE(differs([](auto& o) { o.data.tokens[257] = "<|y|>"; }).find("token 257"), std::string::npos);
  EXPECT_NE(differs([](auto& o) { o.data.types[65] = 3; }).find("token 65"), std::string::npos);
  EXPECT_NE(differs([](auto& o) { o.data.eos.reset(); }).find("eos"), std::string::npos);
  EXPECT_NE(differs([](auto& o) { o.data.add_eos = true; }).find("around"), std::string::npos);
  EXPECT_NE(differs([](auto& o) { o.data.more_ends.push_back(0); }).find("end an answer"), std::string::npos);
  EXPECT_NE(differs([](auto& o) { o.data.merges.clear(); }).find("cut"), std::string::npos);
}

}  // namespace
}  // namespace bitnet
