// tokenizer/spelling.cpp - the two spellings of token bytes.
#include "tokenizer/spelling.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace bitnet {
namespace {

// byte_of[c] for the code points below 0x144; -1: stands for no byte.
constexpr size_t kSpelledCharacters = 256 + 68;
constexpr std::array<int16_t, kSpelledCharacters> make_byte_of() {
  std::array<int16_t, kSpelledCharacters> byte_of{};
  byte_of.fill(-1);
  size_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    byte_of[printable ? static_cast<size_t>(byte) : next++] = static_cast<int16_t>(byte);
  }
  return byte_of;
}
constexpr auto kByteOf = make_byte_of();

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

bool append_byte_level_spelling(std::string_view spelled, std::string& out) {
  const size_t before = out.size();
  for (size_t i = 0; i < spelled.size();) {
    const auto lead = static_cast<uint8_t>(spelled[i]);
    const uint8_t next = i + 1 < spelled.size() ? static_cast<uint8_t>(spelled[i + 1]) : 0;
    size_t code_point = kSpelledCharacters;  // one past the last known
    size_t length = 1;
    if (lead < 0x80) {
      code_point = lead;
    } else if (lead >= 0xC2 && lead <= 0xC5 && (next & 0xC0) == 0x80) {
      code_point = (lead & 0x1Fu) << 6 | (next & 0x3Fu);
      length = 2;
    }
    if (code_point >= kSpelledCharacters || kByteOf[code_point] < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(kByteOf[code_point]));
    i += length;
  }
  return true;
}

void append_sentencepiece_spelling(std::string_view spelled, std::string& out) {
  constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581
  for (size_t at = spelled.find(kSpaceMark); at != spelled.npos; at = spelled.find(kSpaceMark)) {
    out.append(spelled.substr(0, at)).push_back(' ');
    spelled.remove_prefix(at + kSpaceMark.size());
  }
  out.append(spelled);
}

int byte_of_sentencepiece_name(std::string_view name) {
  if (name.size() != 6 || !name.starts_with("<0x") || name[5] != '>') return -1;
  const int high = hex_digit(name[3]), low = hex_digit(name[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

}  // namespace bitnet
