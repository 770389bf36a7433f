// chat/chat_template.cpp - the variables a chat template sees.
#include "chat/chat_template.h"

#include <algorithm>
#include <array>

#include "jinja/value.h"

namespace bitnet::chat {
namespace {

using jinja::Meter;
using jinja::Text;
using jinja::Value;

// Names of roles are the runtime's own words, so a template may make control tokens of them ("<|user|>"); others are a user's.
Text role_text(const std::string& role) {
  constexpr std::array<std::string_view, 7> kKnown = {"system", "user", "assistant", "tool", "developer", "function", "model"};
  return std::find(kKnown.begin(), kKnown.end(), role) != kKnown.end() ? Text(role) : Text::of_user(role);
}

Value messages_value(Meter& meter, std::span<const Message> messages) {
  jinja::Values out;
  for (const Message& message : messages) {
    meter.spend_bytes(message.content.size());
    out.push_back(make_mapping(meter, {{Value::text("role"), Value::text(role_text(message.role))},
                                       {Value::text("content"), Value::text(Text::of_user(message.content))}}));
  }
  return make_list(meter, std::move(out));
}

}  // namespace

ChatTemplate::ChatTemplate(std::string name, std::string_view source, const Tokenizer& tokenizer, std::string end_of_turn)
    : name_(std::move(name)), source_(source), template_(name_, source), tokenizer_(tokenizer) {
  if (!end_of_turn.empty() && !tokenizer.find_special(end_of_turn)) stops_.push_back(std::move(end_of_turn));
}

Text ChatTemplate::render(std::span<const Message> messages, bool answer, std::time_t now) const {
  const auto variables = [&](Meter& meter) {
    jinja::Template::Variables out = {{"messages", messages_value(meter, messages)},
                                      {"add_generation_prompt", Value(answer)},
                                      {"tools", Value()},
                                      {"documents", Value()}};
    const auto add_token = [&](const char* variable, std::optional<int32_t> id) {
      if (id) out.emplace_back(variable, Value::text(std::string(tokenizer_.token_text(*id))));
    };
    add_token("bos_token", tokenizer_.bos());
    add_token("eos_token", tokenizer_.eos());
    add_token("unk_token", tokenizer_.unk());
    add_token("pad_token", tokenizer_.pad());
    return out;
  };
  return template_.render(variables, now);
}

std::vector<int32_t> ChatTemplate::encode(const Text& text, size_t max_tokens) const {
  EncodeOptions options{.add_special = false, .parse_special = true, .max_tokens = max_tokens, .user_marks = text.marks()};
  std::vector<int32_t> ids = tokenizer_.encode(text.bytes(), options);
  const std::optional<int32_t> bos = tokenizer_.bos();
  if (tokenizer_.add_bos() && (ids.empty() || ids.front() != *bos)) ids.insert(ids.begin(), *bos);
  if (ids.size() > max_tokens) ids.resize(max_tokens);
  return ids;
}

}  // namespace bitnet::chat
