// tests/unit/chat/conversation_test.cpp - saved conversations: round trip, and files that are none.
#include "chat/conversation.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "support/files.h"
#include "support/temp_folder.h"

namespace bitnet::chat {
namespace {

TEST(SavedConversation, ComesBackAsItWas) {
  const test::TempFolder folder;
  const Conversation said = {
      {"system", ""}, {"user", "a \"quote\"\n\tand é 🙂"}, {"assistant", std::string("nul\0byte", 8)}};
  save_conversation(folder / "c.json", said);
  const Conversation back = load_conversation(folder / "c.json");
  ASSERT_EQ(back.size(), said.size());
  for (size_t i = 0; i < said.size(); ++i) {
    EXPECT_EQ(back[i].role, said[i].role);
    EXPECT_EQ(back[i].content, said[i].content);
  }
}

TEST(SavedConversation, T7_ForeignFilesAreRefused) {
  const test::TempFolder folder;
  const auto refusal = [&](const std::string& text) -> std::string {
    test::write_text(folder / "c.json", text);
    try {
      load_conversation(folder / "c.json");
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::kUsage);
      return e.what();
    }
    return "no error";
  };
  const std::string deep(100000, '[');
  for (const std::string& text :
       {std::string(), std::string("GGUF\x03"), std::string("[]"), std::string("{}"), std::string("{\"messages\": 5}"),
        std::string("{\"messages\": [5]}"), std::string("{\"messages\": [{\"role\": \"user\"}]}"),
        std::string("{\"messages\": [{\"role\": 1, \"content\": \"x\"}]}"), deep,
        std::string("{\"messages\": [[[[[[[[[[]]]]]]]]]]}")}) {
    EXPECT_NE(refusal(text).find("c.json"), std::string::npos) << text.substr(0, 50) << ": " << refusal(text);
  }
  EXPECT_NE(refusal("{\"messages\": [{\"role\": \"eot_id\", \"content\": \"x\"}]}").find("found 'eot_id'"), std::string::npos);
  EXPECT_NE(refusal(std::string(kMaxConversationBytes + 1, ' ')).find("at most"), std::string::npos);
  EXPECT_THROW(load_conversation(folder / "absent"), Error);
  EXPECT_THROW(load_conversation(folder.path().string()), Error);
  EXPECT_THROW(save_conversation(folder / "no/such/folder.json", {}), Error);
}

}  // namespace
}  // namespace bitnet::chat
