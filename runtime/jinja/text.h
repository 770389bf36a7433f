// jinja/text.h - bytes that remember which of them a user wrote.
//
// Everything a template does with a user's text keeps the marks: joined, cut, trimmed or replaced, each byte still knows where
// it comes from. So the names of control tokens in the result count only where the template wrote them.
// Threads as std::string.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bitnet::jinja {

class Text {
 public:
  Text() = default;
  explicit Text(std::string bytes) : bytes_(std::move(bytes)) {}
  static Text of_user(std::string bytes);

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  // Empty: no byte is a user's. Else one per byte, 1: a user's.
  const std::string& marks() const { return marks_; }

  void append(std::string_view bytes);
  void append(const Text& text) { append(text, 0, text.size()); }
  void append(const Text& text, size_t begin, size_t n);

  Text sub(size_t begin, size_t n) const;
  // The same marks on other bytes: one for one when there are as many, else all are a user's if one was.
  Text with_bytes(std::string bytes) const;

 private:
  std::string bytes_, marks_;
};

// --- text as Python sees it: a sequence of code points. A byte that is no UTF-8 counts as one.

size_t count_code_points(std::string_view text);
// Bytes of the code point at the start of text, which is not empty.
size_t code_point_bytes(std::string_view text);
// Whether text, one code point, is white space to Python's strip() and isspace().
bool is_space(std::string_view code_point);
bool is_ascii(std::string_view text);

struct Range {
  size_t begin, end;  // bytes
};
// What strip() leaves. chars: code points to take away; null: white space.
Range stripped(std::string_view text, const std::string* chars, bool left, bool right);

void append_utf8(std::string& out, char32_t code_point);

}  // namespace bitnet::jinja
