// jinja/template.cpp - source, syntax tree and rendering put together.
#include "jinja/template.h"

#include "jinja/interpreter.h"
#include "jinja/parser.h"

namespace bitnet::jinja {
namespace {

// Line ends as \n, the last one gone.
std::string normalized(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else {
      out += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

}  // namespace

struct Template::Parsed {
  Source source;
  Body body;
};

Template::Template(std::string name, std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    fail(ErrorKind::kUsage, "{}: expected at most {} bytes, found {}", name, kMaxTemplateBytes, source.size());
  }
  auto parsed = std::make_unique<Parsed>(Parsed{{std::move(name), normalized(source)}, {}});
  parsed->body = parse_template(parsed->source);
  parsed_ = std::move(parsed);
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Text Template::render(const std::function<Variables(Meter&)>& variables, std::time_t now) const {
  Meter meter(parsed_->source);
  return Interpreter(meter, variables(meter), now).run(parsed_->body);
}

}  // namespace bitnet::jinja
