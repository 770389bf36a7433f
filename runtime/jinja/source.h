// jinja/source.h - the text of a template, and errors that say where in it.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/error.h"

namespace bitnet::jinja {

struct Source {
  std::string name;  // for messages: "chat template of model.gguf"
  std::string text;  // line ends are \n; the last one is gone, as Jinja does it
};

// Throws Error{kUsage}: "NAME: line L, column C: WHAT".
[[noreturn]] inline void fail_at(const Source& source, size_t position, std::string_view what) {
  const std::string_view before = std::string_view(source.text).substr(0, position);
  size_t line = 1;
  for (const char c : before) line += c == '\n';
  const size_t column = before.size() - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
  fail(ErrorKind::kUsage, "{}: line {}, column {}: {}", source.name, line, column, what);
}

}  // namespace bitnet::jinja
