// fuzz/encode.cpp - any text through every kind of tokenizer: the bytes must come back, and no control token may come of text.
//
// Input   the first byte chooses the tokenizer, the rest is the text.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"
#include "unit/tokenizer/small_vocabulary.h"

namespace {

using bitnet::SpacePrefix;
using bitnet::Tokenizer;
using bitnet::test::SmallVocabulary;

Tokenizer byte_level(const char* pre) {
  SmallVocabulary v = SmallVocabulary::byte_level();
  v.data.pre = pre;
  for (const char* pair : {"ab", "bc", "aa", "  ", "\n\n", " a", "12", "\xC3\xA9"}) v.add_merge({pair, 1}, {pair + 1, 1});
  v.add_merge("aa", "aa");
  v.add_merge("  ", "  ");
  v.add("<|eot_id|>", 3);
  v.add("<|", 4);
  return Tokenizer::from_data(v.data);
}

Tokenizer characters(SpacePrefix prefix, bool by_rules, bool split) {
  SmallVocabulary v = SmallVocabulary::sentencepiece();
  for (const char* piece : {"a", "\u2581", "b", "é", "ab", "\u2581a", "\u2581\u2581", "aa", "aaaa"}) {
    v.add_piece(piece, -static_cast<float>(v.data.tokens.size()));
  }
  v.data.scores.resize(v.data.tokens.size());
  v.data.space_prefix = prefix;
  v.data.split_at_spaces = split;
  if (by_rules) {
    v.data.scores.clear();
    for (const char* rule : {"a b", "\u2581 a", "\u2581 \u2581", "a a", "aa aa"}) v.data.merges.push_back(rule);
  }
  return Tokenizer::from_data(v.data);
}

const std::vector<Tokenizer>& tokenizers() {
  static const std::vector<Tokenizer> all = [] {
    std::vector<Tokenizer> out;
    for (const char* pre : {"llama-bpe", "qwen2", "gpt-2", "falcon", "falcon_e", "deepseek-llm"})
      out.push_back(byte_level(pre));
    for (const SpacePrefix prefix : {SpacePrefix::kNever, SpacePrefix::kStart, SpacePrefix::kOpenings, SpacePrefix::kAlways}) {
      for (const bool by_rules : {false, true}) out.push_back(characters(prefix, by_rules, false));
      out.push_back(characters(prefix, true, true));
    }
    return out;
  }();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Tokenizer& tokenizer = tokenizers()[data[0] % tokenizers().size()];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::vector<int32_t> ids = tokenizer.encode(text, {.add_special = false});
  if (tokenizer.decode(ids) != text) std::abort();
  for (const int32_t id : ids) {
    if (tokenizer.is_control(id)) std::abort();
  }
  tokenizer.encode(text, {.parse_special = true});
  return 0;
}
