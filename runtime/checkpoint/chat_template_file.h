// checkpoint/chat_template_file.h - the chat template that a checkpoint's folder holds.
//
// Source  chat_template.jinja, or chat_template in tokenizer_config.json: a text, or a list with one named "default".
// Errors  Error{kInvalidModel} naming file and field.
#pragma once

#include <optional>
#include <string>

namespace bitnet::checkpoint {

// Nothing: there is none.
std::optional<std::string> read_chat_template(const std::string& folder);

}  // namespace bitnet::checkpoint
