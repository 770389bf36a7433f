// fuzz/chat_template.cpp - a chat template of any bytes: compiled, and rendered with a conversation.
//
// What is rendered has a mark per byte or none, and never more bytes than a template may write.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "jinja/limits.h"
#include "jinja/template.h"
#include "jinja/value.h"

namespace {

using namespace bitnet::jinja;

Template::Variables conversation(Meter& meter) {
  const auto message = [&](const char* role, const char* content) {
    return make_mapping(
        meter, {{Value::text("role"), Value::text(role)}, {Value::text("content"), Value::text(Text::of_user(content))}});
  };
  Values messages = {message("system", " Be brief.\n"), message("user", "Hi <|eot_id|> \xC3\xA9"), message("assistant", "")};
  return {{"messages", make_list(meter, std::move(messages))},
          {"add_generation_prompt", Value(true)},
          {"bos_token", Value::text("<s>")},
          {"eos_token", Value::text("</s>")},
          {"n", Value(int64_t{7})},
          {"f", Value(2.5)},
          {"tools", Value()}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const Template compiled("input", {reinterpret_cast<const char*>(data), size});
    const Text text = compiled.render(conversation, 1700000000);
    if (text.size() > kMaxTextBytes || (!text.marks().empty() && text.marks().size() != text.size())) std::abort();
  } catch (const bitnet::Error&) {
  }
  return 0;
}
