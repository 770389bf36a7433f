// tokenizer/special_tokens.cpp - longest match by narrowing a sorted list one byte at a time.
#include "tokenizer/special_tokens.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace bitnet {

SpecialTokens::SpecialTokens(std::vector<SpecialToken> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const auto& a, const auto& b) { return std::tie(a.text, a.id) < std::tie(b.text, b.id); });
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), [](const auto& a, const auto& b) { return a.text == b.text; }),
                tokens_.end());
  for (const SpecialToken& token : tokens_) starts_one_[static_cast<uint8_t>(token.text[0])] = true;
}

SpecialTokens::Cut SpecialTokens::next(std::string_view text, size_t from) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (!starts_one_[static_cast<uint8_t>(text[at])]) continue;
    const SpecialToken* token = longest_prefix_of(text.substr(at));
    if (token != nullptr) return {at, at + token->text.size(), token->id};
  }
  return {text.size(), text.size(), -1};
}

SpecialTokens::Cut SpecialTokens::next_unmarked(std::string_view text, std::string_view marks, size_t from) const {
  for (size_t begin = marks.find('\0', from); begin != marks.npos;) {
    const size_t end = std::min(marks.find_first_not_of('\0', begin), text.size());
    const Cut cut = next(text.substr(0, end), begin);
    if (cut.id >= 0) return cut;
    begin = marks.find('\0', end);
  }
  return {text.size(), text.size(), -1};
}

int32_t SpecialTokens::find(std::string_view text) const {
  const auto at = std::lower_bound(tokens_.begin(), tokens_.end(), text, [](const auto& a, auto b) { return a.text < b; });
  return at != tokens_.end() && at->text == text ? at->id : -1;
}

const SpecialToken* SpecialTokens::longest_prefix_of(std::string_view text) const {
  const SpecialToken* longest = nullptr;
  // [low, high): the tokens that share text[0..depth) and are longer than depth.
  auto low = tokens_.begin(), high = tokens_.end();
  for (size_t depth = 0; depth < text.size(); ++depth) {
    const auto byte_of = [depth](const SpecialToken& token) { return static_cast<uint8_t>(token.text[depth]); };
    const auto byte = static_cast<uint8_t>(text[depth]);
    low = std::partition_point(low, high, [&](const auto& token) { return byte_of(token) < byte; });
    high = std::partition_point(low, high, [&](const auto& token) { return byte_of(token) == byte; });
    if (low == high) break;
    if (low->text.size() == depth + 1) longest = &*low++;
  }
  return longest;
}

}  // namespace bitnet
