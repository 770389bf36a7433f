// chat/conversation.h - who said what, and the file that keeps it.
#pragma once

#include <string>
#include <vector>

namespace bitnet::chat {

struct Message {
  std::string role;     // "system", "user", "assistant"
  std::string content;  // any bytes
};
using Conversation = std::vector<Message>;

// {"schema": 1, "messages": [{"role", "content"}]}, published whole. Bytes that are not UTF-8 become U+FFFD.
// Errors  Error{kFailure} with the system's text.
void save_conversation(const std::string& path, const Conversation& conversation);

// Errors  Error{kUsage}: missing, too large, not such a file; says what was found.
inline constexpr size_t kMaxConversationBytes = size_t{8} << 20;
Conversation load_conversation(const std::string& path);

}  // namespace bitnet::chat
