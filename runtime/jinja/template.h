// jinja/template.h - a bounded part of the template language Jinja, as chat templates of models use it.
//
// A template comes with a model and is a program; so everything it may cost is bounded (limits.h), it reads and changes nothing
// outside, and its values have no attributes but those named in methods.cpp.
// What it renders is what Jinja renders with the settings of Hugging Face's transformers (trim_blocks, lstrip_blocks, sandbox,
// tojson without escapes), or an error: what is not supported is never guessed. Tests compare it with python3-jinja2.
//
// Errors  Error{kUsage}: "NAME: line L, column C: WHAT".
// Threads a compiled template is constant; any number of threads may render it.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "jinja/text.h"

namespace bitnet::jinja {

class Value;
class Meter;

class Template {
 public:
  // name: for messages. source: up to kMaxTemplateBytes.
  Template(std::string name, std::string_view source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  using Variables = std::vector<std::pair<std::string, Value>>;
  // variables: makes them with the meter of this rendering. now: for strftime_now().
  Text render(const std::function<Variables(Meter&)>& variables, std::time_t now) const;

 private:
  struct Parsed;
  std::unique_ptr<const Parsed> parsed_;
};

}  // namespace bitnet::jinja
