// engine/generate.h - prompt in, text out: prefill, sample, stream, stop.
//
// Tokens are sampled here, from logits, or on the backend, several per call, when the settings are plain (no penalty, no bias,
// at most BN_TOPK_MAX candidates) and nobody wants to see the logits: the tokens are the same. Afterwards the session holds
// all of them but the last, which has not been processed.
// Errors  as Session. What was generated before an error has been handed to on_text already and is in the result passed in.
// Threads one at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sampler.h"
#include "engine/session.h"
#include "tokenizer/tokenizer.h"

namespace bitnet::engine {

struct GenerateOptions {
  int64_t n_predict = 256;  // -1: until the text ends or the context is full
  SamplerSettings sampler;
  std::vector<std::string> stop;                  // the text ends before the first of these
  bool ignore_eos = false;                        // end-of-generation tokens are never sampled
  double time_limit = 0;                          // seconds from the start of prefill; 0: none
  std::function<void(std::string_view)> on_text;  // called with whole UTF-8 characters as they are certain; may be null
  // Called with the logits rows [n][n_vocab] of tokens in the order of the sequence: first the prompt's, then one per
  // generated token that was processed. Null: only the rows that sampling needs are computed.
  std::function<void(const float*, uint32_t rows)> on_logits;
  bool want_last_logits = false;                                  // fill GenerateResult::last_logits
  std::function<void(uint32_t done, uint32_t total)> on_prefill;  // progress in tokens; may be null
};

// Whether a sampler looks at no logits but the k best, k at most BN_TOPK_MAX.
bool best_are_enough(const SamplerSettings& sampler, bool ignore_eos);

enum class FinishReason { kStop, kLength, kTime, kCancelled, kError };
const char* finish_reason_name(FinishReason reason);  // "stop", "length", "time", "cancelled", "error"

struct GenerateResult {
  std::vector<int32_t> tokens;  // generated, an end-of-generation token included
  std::string text;
  FinishReason finish = FinishReason::kLength;
  bool context_full = false;  // finish is kLength because the context ended
  uint32_t prompt_tokens = 0, decode_steps = 0;
  // Seconds. Unset: did not happen.
  std::optional<double> prefill, first_token, decode;
  double output = 0;               // sampling and detokenizing
  std::vector<float> last_logits;  // that the last token was sampled from, as the backend gave them; when wanted
};

// Appends prompt to the session and generates. result is filled as far as it came, also when an error is thrown.
void generate(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt, const GenerateOptions& options,
              GenerateResult& result);

}  // namespace bitnet::engine
