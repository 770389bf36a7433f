// cli/many_prompts.h - "--prompts FILE": its lines, and their answers, several computed at once, in the order of the file.
//
// Errors  Error{kUsage} naming the line; then nothing has been computed. Of answering: as engine::Batch; what had ended before,
//         and what had begun, is written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/run_report.h"

namespace bitnet::cli {

struct PromptLine {
  uint64_t line = 0;  // of the file, from 1
  std::string text;
  std::vector<int32_t> ids;
};

// One prompt a line; in a file whose name ends in .jsonl an object {"prompt": TEXT} a line. Lines without anything are left
// out.
std::vector<PromptLine> read_prompt_lines(const Prompt& prompt);

// The text of every prompt under its number, or with json one object a line. report: what is true of all of them; its session
// is used. how: the same for all.
class ManyAnswers {
 public:
  ManyAnswers(const RunReport& report, const Tokenizer& tokenizer, std::vector<PromptLine> prompts, engine::GenerateOptions how,
              uint32_t n_parallel, bool json);

  void run();
  // After run(), well or not: a text ended for that reason.
  size_t count(engine::FinishReason reason) const;
  size_t count_full() const;  // ended by a full context
  std::string summary() const;

 private:
  struct Slot {
    engine::GenerateResult result;
    std::string output;  // what is written for it
    bool ended = false;
  };
  void end(size_t i, const engine::Session& session);
  void write_ready();

  const RunReport& report_;
  const Tokenizer& tokenizer_;
  std::vector<PromptLine> prompts_;
  engine::GenerateOptions how_;
  uint32_t n_parallel_;
  bool json_;
  std::vector<Slot> slots_;  // as prompts
  size_t n_written_ = 0;
  std::string error_;  // what ended all of them
  double seconds_ = 0;
};

}  // namespace bitnet::cli
