// chat/built_in_templates.h - chat templates by name, for files that carry none, or a wrong one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace bitnet::chat {

struct BuiltInTemplate {
  std::string_view name;
  std::string_view end_of_turn;  // what ends an answer; empty: an end-of-generation token of the vocabulary
  std::string_view source;
  std::string_view models;
};

std::span<const BuiltInTemplate> built_in_templates();
// Null when there is none of that name.
const BuiltInTemplate* find_built_in_template(std::string_view name);
// For messages: "bitnet, chatml, ...".
std::string built_in_template_names();

}  // namespace bitnet::chat
