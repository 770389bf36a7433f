// tokenizer/utf8_stream.cpp - holds back the unfinished sequence at the end.
#include "tokenizer/utf8_stream.h"

#include <utility>

#include "tokenizer/utf8.h"

namespace bitnet {

std::string Utf8Stream::push(std::string_view bytes) {
  std::string text = std::move(held_);
  text.append(bytes);
  // A truncated sequence starts in the last three bytes; one that is followed by other bytes is not truncated.
  size_t start = text.size() < 3 ? 0 : text.size() - 3;
  while (start < text.size() && utf8_sequence(std::string_view(text).substr(start)).state != Utf8State::kTruncated) ++start;
  held_ = text.substr(start);
  text.resize(start);
  return text;
}

std::string Utf8Stream::flush() { return std::exchange(held_, {}); }

}  // namespace bitnet
