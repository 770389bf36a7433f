// jinja/escapes.cpp - the escapes of Python's texts; one that is unknown stays as it is, as there.
#include "jinja/escapes.h"

#include <charconv>

#include "jinja/text.h"

namespace bitnet::jinja {
namespace {

constexpr std::string_view kLetters = "abfnrtv\\'\"";
constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";

// The number of `digits` digits at the start of text; -1: it is none.
int64_t number_at(std::string_view text, size_t digits, int base) {
  if (text.size() < digits) return -1;
  uint32_t value = 0;
  const char* end = text.data() + digits;
  const auto read = std::from_chars(text.data(), end, value, base);
  return read.ec == std::errc() && read.ptr == end ? value : -1;
}

size_t octal_digits(std::string_view text) {
  size_t n = 0;
  while (n < 3 && n < text.size() && text[n] >= '0' && text[n] <= '7') ++n;
  return n;
}

}  // namespace

const char* append_unescaped(std::string_view s, std::string& out) {
  for (size_t at = 0; at < s.size();) {
    if (s[at] != '\\' || at + 1 >= s.size()) {
      out += s[at++];
      continue;
    }
    const char c = s[at + 1];
    const std::string_view rest = s.substr(at + 2);
    if (const size_t letter = kLetters.find(c); letter != kLetters.npos) {
      out += kMeanings[letter];
      at += 2;
    } else if (c == '\n') {
      at += 2;
    } else if (const size_t digits = octal_digits(s.substr(at + 1)); digits != 0) {
      append_utf8(out, static_cast<char32_t>(number_at(s.substr(at + 1), digits, 8)));
      at += 1 + digits;
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const size_t n = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      const int64_t code = number_at(rest, n, 16);
      if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return "this escape is no character";
      append_utf8(out, static_cast<char32_t>(code));
      at += 2 + n;
    } else if (c == 'N') {
      return "the escape \\N{...} is not supported";
    } else {
      out += s[at];  // not an escape: the backslash stays
      ++at;
    }
  }
  return nullptr;
}

}  // namespace bitnet::jinja
