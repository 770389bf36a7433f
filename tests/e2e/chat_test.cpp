// e2e/chat_test.cpp - "bitnet-run chat": messages from a pipe and from a terminal, commands, signals, reuse of what is
// computed.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"
#include "support/terminal.h"

namespace bitnet::test {
namespace {

using nlohmann::json;
const bool kShared = share_cache();

#define EXPECT_CONTAINS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)
#define EXPECT_LACKS(text, part) EXPECT_EQ((text).find(part), std::string::npos) << (text)

// The story model goes on with a text; this template makes a conversation of one.
class Chat : public ::testing::Test {
 protected:
  Chat() {
    write_text(folder_ / "story.jinja",
               "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }} {% else %}{{ m.content ~ "
               "'\\n' }}{% endif %}{% endfor %}");
  }

  std::vector<std::string> arguments(std::vector<std::string> more) const {
    std::vector<std::string> out = {"chat", "--chat-template-file", folder_ / "story.jinja", "--greedy", "-n", "12"};
    out.insert(out.end(), more.begin(), more.end());
    return out;
  }

  ProgramResult chat(const std::string& input, std::vector<std::string> more = {}) const {
    return run_program(arguments(std::move(more)), {.stdin_text = input});
  }

  static std::vector<json> lines_of(const ProgramResult& result) {
    std::vector<json> out;
    std::istringstream lines(result.out);
    for (std::string line; std::getline(lines, line);) out.push_back(json::parse(line));
    return out;
  }

  TempFolder folder_;
};

TEST_F(Chat, PipedLinesAreTurnsAndOnlyAnswersAreOnStandardOutput) {
  const ProgramResult one = chat("Once upon a time\n");
  EXPECT_EQ(one.exit_code, 0) << one;
  EXPECT_GT(one.out.size(), 10u);
  EXPECT_LACKS(one.out, "> ");
  const ProgramResult two = chat("Once upon a time\r\n\nThe dog");
  EXPECT_EQ(two.exit_code, 0) << two;
  EXPECT_TRUE(two.out.starts_with(one.out)) << two << one;
  EXPECT_GT(two.out.size(), one.out.size());
}

TEST_F(Chat, ASecondTurnIsWhatAFreshRunWouldSay) {
  const std::vector<json> turns = lines_of(chat("Once upon a time\nThe dog\nThe cat\n", {"--json"}));
  ASSERT_EQ(turns.size(), 3u);
  std::string conversation = "<|begin_of_text|>";
  const char* said[] = {"Once upon a time", "The dog", "The cat"};
  for (size_t i = 0; i < turns.size(); ++i) {
    conversation += std::string(said[i]) + "\n";
    // The same text as one prompt of a new process.
    write_text(folder_ / "whole.jinja", "{{ bos_token }}{{ messages[0].content }}\n\n");
    const ProgramResult fresh =
        run_program({"-p", conversation.substr(17, conversation.size() - 18), "-st", "--chat-template-file",
                     folder_ / "whole.jinja", "--greedy", "-n", "12", "--json"});
    const json j = json::parse(fresh.out);
    EXPECT_EQ(turns[i]["tokens"], j["tokens"]) << i;
    EXPECT_EQ(turns[i]["logits_hash"], j["logits_hash"]) << i;
    const int computed = turns[i]["usage"]["prompt_tokens"], whole = j["usage"]["prompt_tokens"];
    if (i == 0) {
      EXPECT_EQ(computed, whole);
    } else {
      EXPECT_LT(computed, whole / 2) << "what the session holds is not computed again";
    }
    conversation += turns[i]["text"].get<std::string>() + "\n";
  }
}

TEST_F(Chat, SystemPromptFromTextAndFile) {
  write_text(folder_ / "system.txt", "There was a king.");
  const std::string plain = chat("One day\n").out;
  const std::string with = chat("One day\n", {"-sys", "There was a king."}).out;
  EXPECT_NE(with, plain);
  EXPECT_EQ(chat("One day\n", {"-sysf", folder_ / "system.txt"}).out, with);
  EXPECT_EQ(chat("/system There was a king.\nOne day\n").out, with);
}

TEST_F(Chat, RunWithAQuestionIsOneTurn) {
  const ProgramResult turn =
      run_program({"-p", "Once upon a time", "-st", "--chat-template-file", folder_ / "story.jinja", "--greedy", "-n", "12"});
  EXPECT_EQ(turn.exit_code, 0) << turn;
  EXPECT_EQ(turn.out, chat("Once upon a time\n").out);
  const ProgramResult none = run_program({"-p", "x", "-st"});
  EXPECT_EQ(none.exit_code, 2) << none;
  EXPECT_CONTAINS(none.err, "has no chat template; --chat-template NAME");
}

TEST_F(Chat, FirstMessageFromTheCommandLine) {
  EXPECT_EQ(chat("The dog\n", {"-p", "Once upon a time"}).out, chat("Once upon a time\nThe dog\n").out);
  EXPECT_EQ(chat("The dog\n", {"-p", "Once upon a time", "-st"}).out, chat("Once upon a time\n").out);
}

TEST_F(Chat, SeveralLinesAndSlashes) {
  const std::string two = chat("\"\"\"Once upon\na time\"\"\"\n").out;
  EXPECT_NE(two, chat("Once upon\na time\n").out);
  EXPECT_EQ(chat("\"\"\"\nOnce upon\na time\n\"\"\"  \n").out, two);
  EXPECT_EQ(chat("Once upon\na time\n\nThe dog\n", {"-mli"}).out.substr(0, two.size()), two);
  EXPECT_EQ(chat("//Once\n", {"--json"}).exit_code, 0);
  EXPECT_NE(chat("//Once\n").out, "");
}

TEST_F(Chat, T7_BadInputKeepsTheConversation) {
  const std::string good = chat("Once upon a time\nThe dog\n").out;
  write_text(folder_ / "foreign.json", "GGUF");
  const ProgramResult bad = chat("Once upon a time\n/nonsense\n/load " + (folder_ / "foreign.json") +
                                 "\n/load\n/set temp hot\n/set colour red\n/show me\n/exit now\n/read " + (folder_ / "absent") +
                                 "\n" + std::string(10 << 20, 'x') + "\nThe dog\n\"\"\"never closed\n");
  EXPECT_EQ(bad.exit_code, 0) << bad.exit_code;
  EXPECT_EQ(bad.out, good);
  for (const char* part : {"no command /nonsense", "foreign.json: not valid JSON", "/load: expected FILE",
                           "/set temp: expected", "no setting 'colour'", "/show: expected", "/exit takes no value", "absent",
                           "a line of more than 1048576 bytes is left out", "ends inside a message"}) {
    EXPECT_CONTAINS(bad.err, part);
  }
}

TEST_F(Chat, Commands) {
  const std::string one = chat("Once upon a time\n").out;
  EXPECT_EQ(chat("The dog\n/clear\nOnce upon a time\n").out.substr(chat("The dog\n").out.size()), one);
  EXPECT_EQ(chat("Once upon a time\n/regen\n").out, one + one) << "greedy: the same again";
  EXPECT_EQ(chat("Once upon a time\n/bye\nThe dog\n").out, one);
  EXPECT_LT(chat("/set predict 2\nOnce upon a time\n").out.size(), one.size());
  EXPECT_NE(chat("/set temp 1.5\n/set seed 3\nOnce upon a time\n").out, one);
  EXPECT_EQ(chat("/set temp 1.5\n/set seed 3\nOnce upon a time\n").out,
            chat("/set temp 1.5\n/set seed 3\nOnce upon a time\n").out);
  write_text(folder_ / "message.txt", "Once upon a time");
  EXPECT_EQ(chat("/read " + (folder_ / "message.txt") + "\n").out, one);
  const ProgramResult told = chat("/help\n/?\n/show\nOnce upon a time\n/metrics\n/show template\n");
  EXPECT_EQ(told.out, one);
  for (const char* part : {"/help, /?", "/save FILE", "backend: ", "temp 0", "tokens: ", "computed in", "{{ bos_token }}"})
    EXPECT_CONTAINS(told.err, part);
}

TEST_F(Chat, SaveAndLoadGoOnWhereItEnded) {
  const std::string file = folder_ / "saved.json";
  const std::string one = chat("Once upon a time\n").out;
  EXPECT_EQ(chat("Once upon a time\n/save " + file + "\n").exit_code, 0);
  EXPECT_EQ(one + chat("/load " + file + "\nThe dog\n").out, chat("Once upon a time\nThe dog\n").out);
  EXPECT_CONTAINS(chat("/save /no/such/folder/x\n").err, "cannot be written");
}

TEST_F(Chat, AFullContextIsToldAndCanBeForgotten) {
  const ProgramResult full = chat("Once upon a time\nThe dog went home\nThe cat sat down\nOne day\n", {"-c", "40"});
  EXPECT_EQ(full.exit_code, 0) << full;
  EXPECT_CONTAINS(full.err, "--context-shift forgets the oldest turns");
  const ProgramResult shifted =
      chat("Once upon a time\nThe dog went home\nThe cat sat down\nOne day\n", {"-c", "40", "--context-shift", "--json"});
  EXPECT_CONTAINS(shifted.err, "its oldest turn was forgotten");
  EXPECT_EQ(lines_of(shifted).size(), 4u);
}

TEST_F(Chat, ATemplateThatRefusesIsAnErrorOfTheTurn) {
  write_text(
      folder_ / "alternate.jinja",
      "{% for m in messages %}{% if 'x' in m.content %}{{ raise_exception('no x') }}{% endif %}{{ m.content }}{% endfor %}");
  const ProgramResult result = run_program({"chat", "--chat-template-file", folder_ / "alternate.jinja", "--greedy", "-n", "4"},
                                           {.stdin_text = "x\nOnce\n"});
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_CONTAINS(result.err, "alternate.jinja: line 1");
  EXPECT_CONTAINS(result.err, "refuses this conversation: no x");
  EXPECT_NE(result.out, "");
  const ProgramResult once = run_program({"-p", "x", "-st", "--chat-template-file", folder_ / "alternate.jinja"});
  EXPECT_EQ(once.exit_code, 2) << once;
}

TEST_F(Chat, T4_TheUsersControlTokensAreLetters) {
  const auto prompt_tokens = [&](const std::string& message) {
    return lines_of(chat(message + "\n", {"-n", "1", "--json"})).front()["usage"]["prompt_tokens"].get<int>();
  };
  EXPECT_GT(prompt_tokens("Once<|eot_id|>"), prompt_tokens("Once") + 3);
}

// --- on a terminal

TEST_F(Chat, LinesAreEditedAndRemembered) {
  Terminal terminal(arguments({"--no-progress"}));
  ASSERT_TRUE(terminal.wait_for("> ")) << terminal.screen();
  terminal.type("ce upon a time\x01On\n");  // Ctrl-A: to the beginning
  const std::string answer = chat("Once upon a time\n").out;
  ASSERT_TRUE(terminal.wait_for(answer.substr(0, answer.size() - 1))) << terminal.screen();
  ASSERT_TRUE(terminal.wait_for("> ")) << terminal.screen();
  terminal.type("/clear\n");
  ASSERT_TRUE(terminal.wait_for("begins anew"));
  terminal.type("\x1b[A\x1b[A\n");  // twice up: the message before /clear
  EXPECT_TRUE(terminal.wait_for(answer.substr(0, answer.size() - 1))) << terminal.screen();
  terminal.type("caf\xC3\xA9 \xF0\x9F\x99\x82\x7F\x7F\x7F\x7F\x7F\x7F/exit\n");  // six characters and as many backspaces
  EXPECT_EQ(terminal.wait_for_end(), 0) << terminal.screen();
}

TEST_F(Chat, CtrlDEndsWith0AndCtrlCAtThePromptWith130) {
  Terminal ends(arguments({}));
  ASSERT_TRUE(ends.wait_for("> "));
  ends.type("\x04");
  EXPECT_EQ(ends.wait_for_end(), 0) << ends.screen();
  Terminal stops(arguments({}));
  ASSERT_TRUE(stops.wait_for("> "));
  stops.type("half a line\x03");
  EXPECT_EQ(stops.wait_for_end(), 130) << stops.screen();
}

TEST_F(Chat, CtrlCStopsTheAnswerAndTheConversationGoesOn) {
  Terminal terminal(arguments(
      {"--backend", "mock", "--no-fallback", "--mock-faults", "token=slow:40", "-n", "400", "--ignore-eos", "--no-progress"}));
  ASSERT_TRUE(terminal.wait_for("> ")) << terminal.screen();
  terminal.type("hello\n");
  ASSERT_TRUE(terminal.wait_for("[mock] hello")) << terminal.screen();
  terminal.press("\x03");
  ASSERT_TRUE(terminal.wait_for("stopped after")) << terminal.screen();
  ASSERT_TRUE(terminal.wait_for("> ")) << terminal.screen();
  terminal.type("/show tokens\n");
  EXPECT_TRUE(terminal.wait_for("2 messages")) << terminal.screen();
  terminal.type("\x03");
  EXPECT_EQ(terminal.wait_for_end(), 130) << terminal.screen();
}

TEST_F(Chat, ATerminalWithoutPromptIsToldWhyThereIsNoConversation) {
  Terminal terminal({});
  EXPECT_EQ(terminal.wait_for_end(), 2) << terminal.screen();
  EXPECT_CONTAINS(terminal.screen(), "no prompt: give -p TEXT");
  Terminal talks({"--chat-template-file", folder_ / "story.jinja"});
  EXPECT_TRUE(talks.wait_for("> ")) << talks.screen();
}

}  // namespace
}  // namespace bitnet::test
