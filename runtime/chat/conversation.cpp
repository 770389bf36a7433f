// chat/conversation.cpp - conversations as JSON.
#include "chat/conversation.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "base/json_input.h"
#include "base/replace_file.h"

namespace bitnet::chat {
namespace {

using nlohmann::json;

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string text(kMaxConversationBytes + 1, '\0');
  if (!in || !in.read(text.data(), static_cast<std::streamsize>(text.size())).eof()) {
    if (in.gcount() > static_cast<std::streamsize>(kMaxConversationBytes)) {
      fail(ErrorKind::kUsage, "{}: expected a conversation of at most {} bytes, found more", printable(path),
           kMaxConversationBytes);
    }
    fail(ErrorKind::kUsage, "{}: cannot be read", printable(path));
  }
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

std::string text_of(const json& message, const char* key, const std::string& path, size_t i) {
  const auto found = message.is_object() ? message.find(key) : message.end();
  if (!message.is_object() || found == message.end() || !found->is_string()) {
    fail(ErrorKind::kUsage, "{}: messages[{}]: expected a text \"{}\"", printable(path), i, key);
  }
  return found->get<std::string>();
}

}  // namespace

void save_conversation(const std::string& path, const Conversation& conversation) {
  json messages = json::array();
  for (const Message& m : conversation) messages.push_back({{"role", m.role}, {"content", m.content}});
  const json j = {{"schema", 1}, {"messages", messages}};
  const std::string text = j.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
  if (!replace_file(path, text, 0600))
    fail(ErrorKind::kFailure, "{}: cannot be written: {}", printable(path), std::strerror(errno));
}

Conversation load_conversation(const std::string& path) {
  const json j = parse_json(read_file(path), {.label = path, .error = ErrorKind::kUsage, .max_depth = 8});
  const auto found = j.is_object() ? j.find("messages") : j.end();
  if (!j.is_object() || found == j.end() || !found->is_array()) {
    fail(ErrorKind::kUsage, "{}: not a saved conversation: expected an object with \"messages\"", printable(path));
  }
  Conversation out;
  for (size_t i = 0; i < found->size(); ++i) {
    Message message{text_of((*found)[i], "role", path, i), text_of((*found)[i], "content", path, i)};
    const bool known = message.role == "system" || message.role == "user" || message.role == "assistant";
    if (!known) {
      fail(ErrorKind::kUsage, "{}: messages[{}]: expected the role system, user or assistant, found '{}'", printable(path), i,
           printable(message.role, 40));
    }
    out.push_back(std::move(message));
  }
  return out;
}

}  // namespace bitnet::chat
