// chat/choose_template.cpp - the order of the choices, and the one model that is known to carry a wrong template.
#include "chat/choose_template.h"

#include <fstream>

#include "base/error.h"
#include "chat/built_in_templates.h"
#include "jinja/limits.h"

namespace bitnet::chat {
namespace {

std::string read_source(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(jinja::kMaxTemplateBytes + 1, '\0');
  if (!in || !in.read(text.data(), static_cast<std::streamsize>(text.size())).eof()) {
    if (in.gcount() > static_cast<std::streamsize>(jinja::kMaxTemplateBytes)) {
      fail(ErrorKind::kUsage, "chat template {}: expected at most {} bytes, found more", printable(path),
           jinja::kMaxTemplateBytes);
    }
    fail(ErrorKind::kUsage, "chat template {}: cannot be read", printable(path));
  }
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

ChatTemplate built_in(const BuiltInTemplate& row, const Tokenizer& tokenizer) {
  return {fmt::format("chat template {}", row.name), row.source, tokenizer, std::string(row.end_of_turn)};
}

ChatTemplate of_file(const gguf::File& file, std::string_view source, const Tokenizer& tokenizer) {
  return {fmt::format("chat template of {}", printable(file.path())), source, tokenizer};
}

bool is_2b_4t(const std::string& architecture, const Tokenizer& tokenizer) {
  const bool known = architecture == "bitnet-25" || architecture == "bitnet-b1.58" || architecture == "bitnet";
  return known && tokenizer.size() == 128256 && tokenizer.bos() && tokenizer.find_special("<|eot_id|>");
}

// Whether the file's template makes the same of a conversation.
bool is_same(const ChatTemplate& right, const gguf::File& file, std::string_view source, const Tokenizer& tokenizer) {
  const Conversation probe = {{"system", " S "}, {"user", "U "}, {"assistant", "A"}, {"user", "V"}};
  try {
    return of_file(file, source, tokenizer).render(probe).bytes() == right.render(probe).bytes();
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

std::optional<std::string_view> template_of(const gguf::File& file) { return file.find_string("tokenizer.chat_template"); }

ChosenTemplate choose_template(const gguf::File& file, const std::string& architecture, const Tokenizer& tokenizer,
                               const TemplateWish& wish) {
  if (!wish.source_file.empty()) {
    const std::string name = fmt::format("chat template {}", printable(wish.source_file));
    return {ChatTemplate(name, read_source(wish.source_file), tokenizer), {}};
  }
  const std::optional<std::string_view> own = template_of(file);
  if (wish.name == "file") {
    if (!own) fail(ErrorKind::kUsage, "--chat-template file: {} has no chat template", printable(file.path()));
    return {of_file(file, *own, tokenizer), {}};
  }
  if (!wish.name.empty()) {
    const BuiltInTemplate* row = find_built_in_template(wish.name);
    if (row == nullptr) {
      fail(ErrorKind::kUsage, "--chat-template: expected file or one of {}, found '{}'", built_in_template_names(),
           printable(wish.name, 40));
    }
    return {built_in(*row, tokenizer), {}};
  }
  if (is_2b_4t(architecture, tokenizer)) {
    ChosenTemplate out{built_in(*find_built_in_template("bitnet"), tokenizer), {}};
    if (own && !is_same(*out.chat_template, file, *own, tokenizer)) {
      out.note =
          "the chat template in the file is not the one this model was trained with, and the built-in one is used; "
          "--chat-template file uses the file's";
    }
    return out;
  }
  if (!own) return {};
  return {of_file(file, *own, tokenizer), {}};
}

}  // namespace bitnet::chat
