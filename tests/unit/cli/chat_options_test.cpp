// tests/unit/cli/chat_options_test.cpp - options of conversations: what they mean together, and what contradicts itself.
#include "parse.h"

namespace bitnet::cli {
namespace {

TEST(Chat, IsRunAsAConversationWithoutLimit) {
  const RunOptions chat = parse_run({"chat"});
  EXPECT_EQ(chat.chat.mode, ConversationMode::kOn);
  EXPECT_TRUE(chat.chat.uses_template);
  EXPECT_EQ(chat.n_predict, -1);
  EXPECT_EQ(parse_run({"chat", "-n", "5"}).n_predict, 5);
  EXPECT_EQ(parse_run({"run", "-cnv"}).chat.mode, ConversationMode::kOn);
  EXPECT_EQ(parse_run({"-i"}).chat.mode, ConversationMode::kOn);
}

TEST(Chat, AlonePromptIsTakenAsItIs) {
  const RunOptions run = parse_run({"-p", "x"});
  EXPECT_FALSE(run.chat.uses_template);
  EXPECT_EQ(run.chat.mode, ConversationMode::kAuto);
  EXPECT_EQ(run.n_predict, 256);
}

TEST(Chat, AnythingOfAChatAsksForTheTemplate) {
  for (const std::vector<std::string>& more : {std::vector<std::string>{"-st"},
                                               {"-sys", "be brief"},
                                               {"-sysf", "f"},
                                               {"--chat-template", "llama3"},
                                               {"--chat-template-file", "t"}}) {
    std::vector<std::string> arguments = {"-p", "x"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_TRUE(parse_run(arguments).chat.uses_template) << more.front();
  }
  const RunOptions run = parse_run({"-p", "x", "-sys", "", "-mli", "--jinja"});
  EXPECT_EQ(run.chat.system.from, PromptFrom::kText);
  EXPECT_TRUE(run.chat.multiline);
}

TEST(Chat, ContradictionsAreRefused) {
  EXPECT_CONTAINS(refusal({"chat", "-no-cnv"}), "contradict each other");
  EXPECT_CONTAINS(refusal({"-p", "x", "-cnv", "-no-cnv"}), "contradict each other");
  EXPECT_CONTAINS(refusal({"-p", "x", "-st", "-no-cnv"}), "contradict each other");
  EXPECT_CONTAINS(refusal({"-p", "x", "-sys", "a", "-sysf", "b"}), "two system prompts");
  EXPECT_CONTAINS(refusal({"-p", "x", "--chat-template", "a", "--chat-template-file", "b"}), "two chat templates");
  EXPECT_CONTAINS(refusal({"--prompt-ids", "1", "-st"}), "ids are taken as they are");
  EXPECT_CONTAINS(refusal({"chat", "--logits-out", "l"}), "add -st");
}

TEST(Chat, PipedInputIsThePromptOnlyWithoutAConversation) {
  Environment environment;
  environment.stdin_is_terminal = false;
  environment.system_config.clear();
  EXPECT_EQ(std::get<RunOptions>(parse_in(environment, {"chat"}).command).prompt.from, PromptFrom::kNone);
  EXPECT_EQ(std::get<RunOptions>(parse_in(environment, {"chat", "-st"}).command).prompt.from, PromptFrom::kStdin);
  EXPECT_EQ(std::get<RunOptions>(parse_in(environment, {}).command).prompt.from, PromptFrom::kStdin);
}

}  // namespace
}  // namespace bitnet::cli
