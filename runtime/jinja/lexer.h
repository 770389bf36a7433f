// jinja/lexer.h - cuts a template into text, tags and the words inside tags, with the white-space rules of Jinja.
//
// As Hugging Face's transformers set them: the newline behind a block tag goes (trim_blocks), and so does the white space in
// front of it when nothing else stands on its line (lstrip_blocks). "-" at a tag's edge takes all white space on that side, "+"
// leaves it.
// Errors  Error{kUsage} with line and column.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "jinja/source.h"

namespace bitnet::jinja {

enum class TokenKind {
  kData,
  kBlockBegin,
  kBlockEnd,
  kPrintBegin,
  kPrintEnd,
  kName,
  kInteger,
  kFloat,
  kString,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind;
  size_t at;              // byte of the source
  std::string_view text;  // kData: what is written; kString: without its quotes, as spelled; views of the source
};

// The last token is kEnd. The source must outlive the tokens.
std::vector<Token> tokenize(const Source& source);

}  // namespace bitnet::jinja
