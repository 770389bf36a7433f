// chat/chat_template.h - from a conversation to the tokens a model was trained to read.
//
// The template joins the messages to one text, and that text is encoded as a whole, as the models were trained. Names of
// control tokens count where the template wrote them, never where a user or the model did: "<|eot_id|>" in a message is seven
// letters or so. Errors  Error{kUsage}: the template is wrong, refuses the conversation, or goes beyond its limits
// (jinja/limits.h). Threads const functions from any thread. The tokenizer must outlive the object.
#pragma once

#include <cstdint>
#include <ctime>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "chat/conversation.h"
#include "jinja/template.h"
#include "tokenizer/tokenizer.h"

namespace bitnet::chat {

class ChatTemplate {
 public:
  // name: for messages, "llama3" or "chat template of FILE". end_of_turn: the text behind an answer, where it is known.
  ChatTemplate(std::string name, std::string_view source, const Tokenizer& tokenizer, std::string end_of_turn = {});

  // The text up to where the answer begins; without `answer` up to the last message.
  jinja::Text render(std::span<const Message> messages, bool answer = true, std::time_t now = std::time(nullptr)) const;

  // Its tokens, at most max_tokens. A beginning-of-text token is in front once, if the model wants one, whether or not the
  // template writes it.
  std::vector<int32_t> encode(const jinja::Text& text, size_t max_tokens) const;

  const std::string& name() const { return name_; }
  const std::string& source() const { return source_; }
  // Texts that end an answer because the vocabulary has no token for them; beside its end-of-generation tokens.
  const std::vector<std::string>& stops() const { return stops_; }

 private:
  std::string name_, source_;
  jinja::Template template_;
  const Tokenizer& tokenizer_;
  std::vector<std::string> stops_;
};

}  // namespace bitnet::chat
