// engine/answer.h - a text as it comes to be, whoever computes its logits: settings in, tokens in, text and reasons out.
//
// What generate() and Batch have in common. Errors: Error{kUsage} for a prompt that cannot be. Threads one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

#include "bitnet/engine.h"
#include "engine/generate.h"
#include "engine/session.h"
#include "tokenizer/stop_strings.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8_stream.h"

namespace bitnet::engine {

class Answer {
 public:
  // Checks prompt against the session, which holds what comes before it. References must outlive the object; the clock starts.
  Answer(const Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt, const GenerateOptions& options,
         GenerateResult& result);

  double elapsed() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  bool out_of_time() const { return options_.time_limit > 0 && elapsed() >= options_.time_limit; }
  // Tokens to generate at most.
  int64_t limit() const;

  // Why the backend cannot sample by itself; null: it can, with backend_sampler().
  const char* why_sampled_here() const { return why_here_; }
  bn_sampler backend_sampler() const;
  // The next token from a row of logits [n_vocab]; history: the tokens before it.
  int32_t sample_here(const float* row, std::span<const int32_t> history);

  // Takes a sampled token into the result; true when the text ends with it.
  bool commit(int32_t token);
  // The context is full and the newest token is not in the session: forgets the older half, or says so. False: the text ends.
  bool make_room(Session& session);
  // The text has ended.
  void flush();

 private:
  uint32_t tokens_to_keep(std::span<const int32_t> prompt, uint32_t n_ctx) const;
  void emit(const std::string& text);

  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  GenerateResult& result_;
  StopMatcher stops_;
  Utf8Stream utf8_;
  uint32_t n_vocab_;
  std::vector<float> work_;
  SamplerSettings sampler_;  // options_.sampler, with the seed of the latest shift
  const char* why_here_;
  uint32_t n_keep_;  // tokens that stay in the context
  std::chrono::steady_clock::time_point start_;
};

}  // namespace bitnet::engine
