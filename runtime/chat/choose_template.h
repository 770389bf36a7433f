// chat/choose_template.h - which chat template a model gets: the one named, the file's, or the right one for a file known to be
// wrong.
//
// The published BitNet b1.58 2B-4T file carries an old template with which the model never stops; it is told by its
// architecture and vocabulary and gets the built-in "bitnet". Errors  Error{kUsage}: an unknown name, or a template that is
// wrong.
#pragma once

#include <optional>
#include <string>

#include "chat/chat_template.h"
#include "gguf/reader.h"

namespace bitnet::chat {

struct TemplateWish {
  std::string name;         // --chat-template: a built-in name, or "file"; empty: not named
  std::string source_file;  // --chat-template-file; empty: none
};

struct ChosenTemplate {
  std::optional<ChatTemplate> chat_template;  // nothing: the model has none, and none was named
  std::string note;                           // what to tell the user; empty: nothing
};

// The key tokenizer.chat_template. Nothing: the file has none.
std::optional<std::string_view> template_of(const gguf::File& file);

ChosenTemplate choose_template(const gguf::File& file, const std::string& architecture, const Tokenizer& tokenizer,
                               const TemplateWish& wish);

}  // namespace bitnet::chat
