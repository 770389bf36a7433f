// bench/synthetic_vocabulary.cpp - byte tokens, words in the order of their length, special tokens.
#include "synthetic_vocabulary.h"

#include <algorithm>

#include "base/error.h"

namespace bitnet::bench {
namespace {

constexpr uint32_t kLlama3Tokens = 128256, kLlama3FirstSpecial = 128000;

// Byte-level BPE shows printable bytes as themselves (as code points) and the others, rising, as U+0100, U+0101, ...
std::vector<std::string> byte_tokens() {
  std::vector<std::string> tokens;
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool shown = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const uint32_t code = shown ? byte : next++;
    std::string& token = tokens.emplace_back();
    if (code < 0x80) {
      token.push_back(static_cast<char>(code));
    } else {
      token.push_back(static_cast<char>(0xC0 | code >> 6));
      token.push_back(static_cast<char>(0x80 | (code & 0x3F)));
    }
  }
  return tokens;
}

// Special token `index` of Llama 3.
std::string llama3_special(uint32_t index) {
  switch (index) {
    case 0:
      return "<|begin_of_text|>";
    case 1:
      return "<|end_of_text|>";
    case 6:
      return "<|start_header_id|>";
    case 7:
      return "<|end_header_id|>";
    case 9:
      return "<|eot_id|>";
    default:
      return fmt::format("<|reserved_special_token_{}|>", index < 6 ? index - 2 : index == 8 ? 4 : index - 5);
  }
}

// "aa", "ab", ... "zz", "aaa", ...: word number `n`.
std::string word(uint32_t n) {
  size_t length = 2;
  for (uint32_t count = 26 * 26; n >= count; count *= 26) {
    n -= count;
    ++length;
  }
  std::string text(length, 'a');
  for (size_t i = length; i-- > 0; n /= 26) text[i] = static_cast<char>('a' + n % 26);
  return text;
}

}  // namespace

SyntheticVocabulary make_vocabulary(uint32_t n_tokens) {
  const bool llama3 = n_tokens == kLlama3Tokens;
  const uint32_t n_special = llama3 ? kLlama3Tokens - kLlama3FirstSpecial : 3;
  if (n_tokens < 256 + n_special) {
    fail(ErrorKind::kUsage, "a vocabulary of {} tokens, expected at least {}: 256 bytes and {} special tokens", n_tokens,
         256 + n_special, n_special);
  }
  SyntheticVocabulary v;
  v.tokens = byte_tokens();
  const uint32_t first_special = n_tokens - n_special;
  for (uint32_t n = 0; v.tokens.size() < first_special; ++n) {
    const std::string text = word(n);
    // Two ways at most to come to a word: as many rules in relation to tokens as Llama 3 has.
    for (size_t cut = 1; cut < std::min<size_t>(text.size(), 3); ++cut) {
      v.merges.push_back(text.substr(0, cut) + " " + text.substr(cut));
    }
    v.tokens.push_back(text);
  }
  v.types.assign(first_special, 1);
  v.types.resize(n_tokens, 3);
  v.bos = first_special;
  v.eos = first_special + 1;
  v.eot = first_special + (llama3 ? 9 : 2);
  if (llama3) {
    for (uint32_t i = 0; i < n_special; ++i) v.tokens.push_back(llama3_special(i));
  } else {
    for (const char* name : {"<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"}) v.tokens.emplace_back(name);
  }
  return v;
}

}  // namespace bitnet::bench
