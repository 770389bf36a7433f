// engine/batch.h - several texts at once on one backend: they join when there is room, share every step, and leave when they
// end.
//
// A step computes the next token of every text that is being written and, as far as the step holds more, pieces of the prompts
// of those that are still read. Every text is, to the last bit of its logits, what generate() alone would have written with the
// same settings; guesses (EngineOptions::draft_max) are not used. A backend that holds one sequence only, an engine plugin or a
// worker process, gets the texts one after the other.
// Errors  add(): Error{kUsage} for a prompt that cannot be. step(): as Session, of the backend and so for all texts; the
// results
//         are filled as far as they came. A full context or a time limit ends one text.
// Threads one at a time.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/answer.h"
#include "engine/generate.h"
#include "engine/session.h"

namespace bitnet::engine {

class Batch {
 public:
  // session: empty, its backend computes; n_parallel: texts at once at most. References must outlive the object.
  Batch(const Session& session, const Tokenizer& tokenizer, uint32_t n_parallel);
  ~Batch();

  using OnEnd = std::function<void(const Session& session)>;
  // Queues a text; its time limit counts from here. on_logits is not called. result is the caller's and lives until the text
  // has ended, when on_end is called.
  void add(std::vector<int32_t> prompt, GenerateOptions options, GenerateResult& result, OnEnd on_end);

  // False: there was nothing to do.
  bool step();

  // Ends all texts as they are, without computing any more; what to do after step() threw.
  void end_all(FinishReason reason);

  size_t n_running() const { return running_.size(); }
  size_t n_waiting() const { return waiting_.size(); }

 private:
  struct Text;
  void admit();
  void end_overdue();
  std::vector<Session::Item> plan();
  void take(Text& text, const Session::Item& item);
  void end(Text& text);

  const Session& session_;
  const Tokenizer& tokenizer_;
  uint32_t n_parallel_;
  std::deque<std::unique_ptr<Text>> waiting_;
  std::vector<std::unique_ptr<Text>> running_;  // in the order they joined; null: has ended in this step
};

}  // namespace bitnet::engine
