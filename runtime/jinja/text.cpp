// jinja/text.cpp - marks beside bytes, and the white space of Python.
#include "jinja/text.h"

#include <algorithm>

#include "tokenizer/utf8.h"

namespace bitnet::jinja {

Text Text::of_user(std::string bytes) {
  Text text(std::move(bytes));
  text.marks_.assign(text.bytes_.size(), '\1');
  return text;
}

void Text::append(std::string_view bytes) {
  bytes_ += bytes;
  if (!marks_.empty()) marks_.resize(bytes_.size(), '\0');
}

void Text::append(const Text& text, size_t begin, size_t n) {
  if (!text.marks_.empty()) {
    marks_.resize(bytes_.size(), '\0');
    marks_.append(text.marks_, begin, n);
  }
  bytes_.append(text.bytes_, begin, n);
  if (!marks_.empty()) marks_.resize(bytes_.size(), '\0');
}

Text Text::sub(size_t begin, size_t n) const {
  Text out;
  out.append(*this, begin, n);
  return out;
}

Text Text::with_bytes(std::string bytes) const {
  Text out;
  const bool any = marks_.find('\1') != std::string::npos;
  if (any) out.marks_ = bytes.size() == marks_.size() ? marks_ : std::string(bytes.size(), '\1');
  out.bytes_ = std::move(bytes);
  return out;
}

size_t code_point_bytes(std::string_view text) {
  const Utf8Sequence sequence = utf8_sequence(text);
  return sequence.state == Utf8State::kComplete ? sequence.length : 1;
}

size_t count_code_points(std::string_view text) {
  size_t n = 0;
  for (size_t at = 0; at < text.size(); at += code_point_bytes(text.substr(at))) ++n;
  return n;
}

bool is_space(std::string_view c) {
  if (c.size() == 1) return (c[0] >= '\t' && c[0] <= '\r') || (c[0] >= '\x1c' && c[0] <= ' ');
  constexpr std::string_view kWide[] = {"\xC2\x85",     "\xC2\xA0",     "\xE1\x9A\x80", "\xE2\x80\x80", "\xE2\x80\x81",
                                        "\xE2\x80\x82", "\xE2\x80\x83", "\xE2\x80\x84", "\xE2\x80\x85", "\xE2\x80\x86",
                                        "\xE2\x80\x87", "\xE2\x80\x88", "\xE2\x80\x89", "\xE2\x80\x8A", "\xE2\x80\xA8",
                                        "\xE2\x80\xA9", "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
  return std::find(std::begin(kWide), std::end(kWide), c) != std::end(kWide);
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

Range stripped(std::string_view text, const std::string* chars, bool left, bool right) {
  const auto goes = [&](std::string_view c) {
    if (chars == nullptr) return is_space(c);
    for (size_t at = 0; at < chars->size();) {
      const size_t n = code_point_bytes(std::string_view(*chars).substr(at));
      if (c == std::string_view(*chars).substr(at, n)) return true;
      at += n;
    }
    return false;
  };
  Range range{0, text.size()};
  while (left && range.begin < range.end) {
    const size_t n = code_point_bytes(text.substr(range.begin));
    if (!goes(text.substr(range.begin, n))) break;
    range.begin += n;
  }
  while (right && range.begin < range.end) {
    size_t n = 1;  // the last code point: try what begins up to three bytes earlier
    for (size_t back = std::min<size_t>(4, range.end - range.begin); back > 1; --back) {
      if (code_point_bytes(text.substr(range.end - back, back)) == back) {
        n = back;
        break;
      }
    }
    if (!goes(text.substr(range.end - n, n))) break;
    range.end -= n;
  }
  return range;
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  }
}

}  // namespace bitnet::jinja
