// tokenizer/utf8.cpp - UTF-8 recognition after table 3-7 of the Unicode standard.
#include "tokenizer/utf8.h"

#include <cstdint>
#include <cstring>

namespace bitnet {
namespace {

// What the lead byte demands: bytes in all (0 = no lead byte) and the range of the second one.
struct LeadRule {
  uint8_t length;
  uint8_t second_min;
  uint8_t second_max;
};

LeadRule lead_rule(uint8_t lead) {
  if (lead < 0x80) return {1, 0, 0};
  if (lead < 0xC2) return {0, 0, 0};
  if (lead < 0xE0) return {2, 0x80, 0xBF};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead < 0xF0) return {3, 0x80, 0xBF};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead < 0xF4) return {4, 0x80, 0xBF};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Sequence utf8_sequence(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const LeadRule rule = lead_rule(byte(0));
  if (rule.length == 0) return {Utf8State::kInvalid, 1};
  for (size_t i = 1; i < rule.length; ++i) {
    if (i == text.size()) return {Utf8State::kTruncated, i};
    const uint8_t low = i == 1 ? rule.second_min : 0x80;
    const uint8_t high = i == 1 ? rule.second_max : 0xBF;
    if (byte(i) < low || byte(i) > high) return {Utf8State::kInvalid, 1};
  }
  return {Utf8State::kComplete, rule.length};
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    uint64_t eight = 0;
    if (text.size() - at >= sizeof eight) {
      std::memcpy(&eight, text.data() + at, sizeof eight);
      if ((eight & 0x8080808080808080u) == 0) {
        at += sizeof eight;
        continue;
      }
    }
    const Utf8Sequence sequence = utf8_sequence(text.substr(at));
    if (sequence.state != Utf8State::kComplete) break;
    at += sequence.length;
  }
  return at;
}

}  // namespace bitnet
