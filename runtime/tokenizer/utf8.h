// tokenizer/utf8.h - recognizes UTF-8 sequences (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace bitnet {

enum class Utf8State {
  kComplete,   // a whole code point
  kTruncated,  // the text ends inside a sequence that more bytes could complete
  kInvalid,    // no continuation makes these bytes valid
};

struct Utf8Sequence {
  Utf8State state;
  size_t length;  // bytes it takes of the text; 1 when kInvalid
};

// The sequence at the start of text, which must not be empty.
Utf8Sequence utf8_sequence(std::string_view text);

// Bytes of the longest prefix made of complete sequences.
size_t valid_utf8_prefix(std::string_view text);

}  // namespace bitnet
