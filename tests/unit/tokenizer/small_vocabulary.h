// unit/tokenizer/small_vocabulary.h - vocabularies made in memory, and random texts for them.
#pragma once

#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace bitnet::test {

// The byte-level spelling of bytes, written independently of the runtime's table.
inline std::string spell(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const int byte = static_cast<uint8_t>(c);
    int code_point = byte;
    if (byte <= 32) code_point = 256 + byte;
    if (byte >= 127 && byte <= 160) code_point = 256 + 33 + byte - 127;
    if (byte == 173) code_point = 256 + 67;
    if (code_point < 128) {
      out.push_back(static_cast<char>(code_point));
    } else {
      out.push_back(static_cast<char>(0xC0 | code_point >> 6));
      out.push_back(static_cast<char>(0x80 | (code_point & 0x3F)));
    }
  }
  return out;
}

inline std::string one_byte(int byte) { return std::string(1, static_cast<char>(byte)); }

// TokenizerData with the strings it refers to.
class SmallVocabulary {
 public:
  TokenizerData data;

  // 256 single bytes, ids 0 to 255.
  static SmallVocabulary byte_level() {
    SmallVocabulary v;
    v.data.model = "gpt2";
    v.data.pre = "llama-bpe";
    v.data.add_bos = false;
    for (int byte = 0; byte < 256; ++byte) v.add(spell(one_byte(byte)));
    return v;
  }

  // <unk>, <s>, </s>, then <0x00> to <0xFF> with ids 3 to 258.
  static SmallVocabulary sentencepiece() {
    SmallVocabulary v;
    v.data.model = "llama";
    v.add("<unk>", 2);
    v.add("<s>", 3);
    v.add("</s>", 3);
    const char* digits = "0123456789ABCDEF";
    for (int byte = 0; byte < 256; ++byte) v.add(std::string("<0x") + digits[byte / 16] + digits[byte % 16] + ">", 6);
    v.data.bos = 1;
    v.data.eos = 2;
    v.data.unk = 0;
    v.data.scores.assign(v.data.tokens.size(), 0.0f);
    return v;
  }

  // Returns the id.
  int32_t add(const std::string& spelled, int64_t type = 1) {
    data.tokens.push_back(keep(spelled));
    data.types.push_back(type);
    return static_cast<int32_t>(data.tokens.size() - 1);
  }

  int32_t add_piece(const std::string& spelled, float score) {
    data.scores.push_back(score);
    return add(spelled);
  }

  // Adds the token of the two sides' bytes and the rule that makes it.
  int32_t add_merge(const std::string& left, const std::string& right) {
    data.merges.push_back(keep(spell(left) + " " + spell(right)));
    return add(spell(left + right));
  }

  std::string_view keep(const std::string& text) { return strings_.emplace_back(text); }

 private:
  std::deque<std::string> strings_;  // a deque never moves its elements
};

// A text of n parts drawn from `parts`.
inline std::string random_text(std::mt19937& random, const std::vector<std::string>& parts, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += parts[random() % parts.size()];
  return text;
}

inline std::string random_bytes(std::mt19937& random, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text.push_back(static_cast<char>(random() & 0xFF));
  return text;
}

}  // namespace bitnet::test
