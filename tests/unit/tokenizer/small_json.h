// unit/tokenizer/small_json.h - a tokenizer.json of 256 bytes and some merges, for tests to change; and files in a folder of
// their own.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "small_vocabulary.h"
#include "support/files.h"
#include "support/temp_folder.h"
#include "tokenizer/tokenizer.h"

namespace bitnet::test {

using nlohmann::json;

inline const std::string kLlama3Expression =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

inline json byte_level_part(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

inline json split_part(const std::string& expression) {
  return {{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
}

inline json sequence_of(const char* list, const json& parts) { return {{"type", "Sequence"}, {list, parts}}; }

inline json template_of(const json& single) {
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", json::array()}};
}

inline const json kText = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
inline json special_piece(const char* name) { return {{"SpecialToken", {{"id", name}, {"type_id", 0}}}}; }

// Merges as newer files write them. Braces alone would make an object of them.
inline json pairs_of(std::initializer_list<std::pair<const char*, const char*>> pairs) {
  json out = json::array();
  for (const auto& [left, right] : pairs) out.push_back(json::array({left, right}));
  return out;
}

// Ids 0 to 255 are bytes, 256 "ab", 257 "abc", 258 <|begin|> and 259 <|end|> special, 260 "[X]" not special.
inline json small_json() {
  json vocab;
  for (int byte = 0; byte < 256; ++byte) vocab[spell(one_byte(byte))] = byte;
  vocab["ab"] = 256;
  vocab["abc"] = 257;
  const auto added = [](int id, const char* text, bool special) {
    return json{{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
                {"rstrip", false}, {"normalized", false}, {"special", special}};
  };
  return {{"version", "1.0"},
          {"added_tokens", {added(258, "<|begin|>", true), added(259, "<|end|>", true), added(260, "[X]", false)}},
          {"normalizer", nullptr},
          {"pre_tokenizer", sequence_of("pretokenizers", {split_part(kLlama3Expression), byte_level_part(false)})},
          {"post_processor", template_of({special_piece("<|begin|>"), kText})},
          {"decoder", byte_level_part(true)},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", {"a b", "ab c"}}}}};
}

// The same over characters: <unk> 0, <s> 1, </s> 2, bytes 3 to 258, then the pieces below.
inline json small_character_json() {
  const char* digits = "0123456789ABCDEF";
  json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) vocab[std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">"] = 3 + byte;
  int next = 259;
  for (const char* piece : {"\u2581", "a", "b", "\u2581a", "\u2581ab", "b\u2581", "\u2581\u2581"}) vocab[piece] = next++;
  json file = small_json();
  file["added_tokens"] = {{{"id", 0}, {"content", "<unk>"}, {"special", true}},
                          {{"id", 1}, {"content", "<s>"}, {"special", true}},
                          {{"id", 2}, {"content", "</s>"}, {"special", true}}};
  file["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "always"}, {"split", false}};
  file["post_processor"] = nullptr;
  file["decoder"] = nullptr;
  file["model"]["byte_fallback"] = true;
  file["model"]["unk_token"] = "<unk>";
  file["model"]["vocab"] = vocab;
  file["model"]["merges"] = pairs_of({{"\u2581", "a"}, {"b", "\u2581"}, {"\u2581a", "b"}, {"\u2581", "\u2581"}});
  return file;
}

// A folder with files of a tokenizer.
class TokenizerFolder : public testing::Test {
 protected:
  void write(const char* name, const std::string& text) { write_text(folder_ / name, text); }
  void write(const char* name, const json& file) { write(name, file.dump()); }
  Tokenizer open(bool strict = false) const { return Tokenizer::from_file(folder_.path().string(), {.strict = strict}); }
  // The message of the failure to open it, which must blame the model and be one line.
  std::string refusal(bool strict = false) const {
    try {
      open(strict);
      return "was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInvalidModel) << error.what();
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      return error.what();
    }
  }

  TempFolder folder_;
};

}  // namespace bitnet::test
