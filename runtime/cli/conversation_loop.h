// cli/conversation_loop.h - a conversation: messages in, answers out, turn after turn on one session.
//
// Each turn is rendered and encoded as a whole; what the session already holds of it is not computed again. Answers go to
// standard output, everything else to standard error. An error of a turn (the context is full, the template refuses) is told,
// and the conversation goes on without that message. Errors  those of engine::generate that end the program: no backend left,
// unusable numbers, no memory. Threads one at a time.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "chat/chat_template.h"
#include "cli/message_input.h"
#include "cli/options.h"
#include "cli/run_report.h"

namespace bitnet::cli {

class ConversationLoop {
 public:
  // report: of the program so far; each turn fills it for itself. References must outlive the object.
  ConversationLoop(const RunOptions& options, engine::SamplerSettings sampler, engine::Session& session,
                   const Tokenizer& tokenizer, const chat::ChatTemplate& chat_template, RunReport& report);

  // first: a message that begins the conversation. Returns the exit code.
  int run(const std::optional<std::string>& first);

 private:
  friend class ConversationCommands;

  // Answers a message; false: it was left out, and why was told.
  bool say(std::string message);
  // Generates the answer to what the conversation holds and takes it in.
  void answer();
  std::vector<int32_t> encode_to_fit();
  void forget_oldest_turn();
  // Appends what the session does not hold yet and generates.
  void generate(std::span<const int32_t> ids);
  void finish_answer(const Error* error);
  void tell_end() const;

  const RunOptions& o_;
  engine::SamplerSettings sampler_;
  engine::Session& session_;
  const Tokenizer& tokenizer_;
  const chat::ChatTemplate& template_;
  RunReport& report_;
  MessageInput input_;
  chat::Conversation conversation_;
  int64_t n_predict_;
  std::vector<engine::Fallback> left_out_;  // before the first turn
  engine::GenerateResult result_;           // of the latest turn
  size_t reused_ = 0;                       // tokens of the latest turn that the session held already
  bool wrote_text_ = false;
  bool done_ = false;
  bool turn_failed_ = false;
};

// The commands that begin with a slash.
class ConversationCommands {
 public:
  explicit ConversationCommands(ConversationLoop& loop) : loop_(loop) {}
  // line: without the slash. What is wrong with it is told.
  void run(const std::string& line);

 private:
  struct Row;
  static const Row kRows[];
  void help(const std::string&);
  void exit(const std::string&);
  void clear(const std::string&);
  void regen(const std::string&);
  void system(const std::string& text);
  void set(const std::string& text);
  void show(const std::string& what);
  void save(const std::string& path);
  void load(const std::string& path);
  void read(const std::string& path);
  void metrics(const std::string&);
  std::string settings_text() const;

  ConversationLoop& loop_;
};

}  // namespace bitnet::cli
