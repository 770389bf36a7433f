// engine/generate.cpp - the loop around session and sampler.
#include "engine/generate.h"

#include <algorithm>
#include <chrono>
#include <deque>

#include "base/error.h"
#include "engine/answer.h"

namespace bitnet::engine {
namespace {

using Clock = std::chrono::steady_clock;

// Tokens of a prompt that are computed between two looks at the clock and the progress.
constexpr uint32_t kPrefillPiece = 512;

class Generation {
 public:
  Generation(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt, const GenerateOptions& options,
             GenerateResult& result)
      : session_(session),
        options_(options),
        result_(result),
        answer_(session, tokenizer, prompt, options, result),
        n_vocab_(session.n_vocab()) {
    result_.no_drafts = answer_.why_sampled_here();
  }

  void run(std::span<const int32_t> prompt) {
    prefill(prompt);
    const int64_t limit = answer_.limit();
    for (int64_t n = 0; n < limit; ++n) {
      const int32_t token = next_token();
      if (answer_.commit(token)) break;
      if (n + 1 == limit) break;
      if (answer_.out_of_time()) {
        result_.finish = FinishReason::kTime;
        break;
      }
      if (!ahead_.empty()) continue;
      // The newest token has to go through the layers; a full context has no position left for it.
      if (session_.log().size() - (newest_is_in_log_ ? 1 : 0) >= session_.n_ctx() && !answer_.make_room(session_)) break;
      decode(token, limit - n - 1);
    }
    leave_the_last_token_out();
    answer_.flush();
  }

 private:
  void prefill(std::span<const int32_t> prompt) {
    for (size_t done = 0; done < prompt.size();) {
      const auto piece = prompt.subspan(done, std::min<size_t>(kPrefillPiece, prompt.size() - done));
      const bool last = done + piece.size() == prompt.size();
      const uint32_t n = static_cast<uint32_t>(piece.size());
      if (last && samples_with_prompt(n)) {
        read_and_sample(piece);
      } else {
        const uint32_t first = options_.on_logits ? 0 : last ? n - 1 : n;
        logits_.resize(static_cast<size_t>(n - first) * n_vocab_);
        session_.append(piece, first, logits_.data(), Session::Stage::kPrefill);
      }
      if (options_.on_logits) options_.on_logits(logits_.data(), n);
      done += piece.size();
      if (options_.on_prefill) options_.on_prefill(static_cast<uint32_t>(done), static_cast<uint32_t>(prompt.size()));
      if (!last && answer_.out_of_time())
        fail(ErrorKind::kTimeLimit, "the time limit of {} s was reached after {} of {} prompt tokens", options_.time_limit,
             done, prompt.size());
    }
    result_.prefill = answer_.elapsed();
  }

  // The first token comes out of the step that ends the prompt, from the best logits alone where those are cheap.
  bool samples_with_prompt(uint32_t n) const {
    return !options_.on_logits && answer_.why_sampled_here() == nullptr && answer_.limit() > 0 &&
           session_.log().size() + n < session_.n_ctx() && session_.engine_info().reads_and_samples;
  }
  void read_and_sample(std::span<const int32_t> piece) {
    const bn_sampler sampler = answer_.backend_sampler();
    Session::Item item{&session_, piece, Session::Stage::kPrefill, &sampler};
    Session::step({&item, 1});
    ahead_.push_back(item.token);
    newest_is_in_log_ = true;
  }

  // Gets at least the next token, or the logits it is sampled from. token: the newest one; most: tokens that are wanted.
  void decode(int32_t token, int64_t most) {
    const auto start = Clock::now();
    const uint32_t room = session_.n_ctx() - static_cast<uint32_t>(session_.log().size());
    if (answer_.why_sampled_here() != nullptr || room <= 1) {
      logits_.resize(n_vocab_);
      if (newest_is_in_log_) {
        session_.last_logits(logits_.data());
      } else {
        session_.append(std::span(&token, 1), 0, logits_.data(), Session::Stage::kDecode);
      }
      if (options_.on_logits) options_.on_logits(logits_.data(), 1);
      newest_is_in_log_ = false;
      ++result_.decode_steps;
    } else {
      if (!newest_is_in_log_) session_.append(std::span(&token, 1), 1, nullptr, Session::Stage::kDecode);
      const int64_t at_once = std::max<int64_t>(steps_at_once_, session_.draft_max() + 1);
      const std::vector<int32_t> tokens = session_.decode(
          answer_.backend_sampler(), {static_cast<uint32_t>(steps_at_once_), static_cast<uint32_t>(std::min(most, at_once))});
      ahead_.assign(tokens.begin(), tokens.end());
      newest_is_in_log_ = true;
      result_.decode_steps += static_cast<uint32_t>(tokens.size());
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    result_.decode = result_.decode.value_or(0.0) + seconds;
    if (!ahead_.empty()) adapt_steps(seconds / static_cast<double>(ahead_.size()));
  }

  // So many tokens per call that the reader does not notice that they come together.
  void adapt_steps(double seconds_per_token) {
    constexpr double kUnnoticed = 0.03;
    constexpr int64_t kMost = 64;
    steps_at_once_ = std::clamp<int64_t>(static_cast<int64_t>(kUnnoticed / std::max(seconds_per_token, 1e-9)), 1, kMost);
  }

  // What the backend sampled beyond the end of the text, and the last token itself, leave the session.
  void leave_the_last_token_out() {
    if (newest_is_in_log_) {
      session_.truncate(static_cast<uint32_t>(session_.log().size() - ahead_.size() - 1));
      ahead_.clear();
      newest_is_in_log_ = false;
      logits_.clear();
    }
    if (!options_.want_last_logits) return;
    if (logits_.empty()) {
      logits_.resize(n_vocab_);
      session_.last_logits(logits_.data());
    }
    result_.last_logits.assign(logits_.end() - n_vocab_, logits_.end());
  }

  // The next token the backend sampled, or one sampled from the last row of logits_.
  int32_t next_token() {
    if (ahead_.empty()) return answer_.sample_here(logits_.data() + logits_.size() - n_vocab_, session_.log());
    const int32_t token = ahead_.front();
    ahead_.pop_front();
    return token;
  }

  Session& session_;
  const GenerateOptions& options_;
  GenerateResult& result_;
  Answer answer_;
  uint32_t n_vocab_;
  std::vector<float> logits_;      // rows of the last step; empty: not those of the newest token
  std::deque<int32_t> ahead_;      // sampled by the backend, in the session's log, not given out yet
  bool newest_is_in_log_ = false;  // the newest token given out, too
  int64_t steps_at_once_ = 1;
};

}  // namespace

const char* why_all_logits(const SamplerSettings& s, bool ignore_eos) {
  if (s.repeat_penalty != 1.0f || s.presence_penalty != 0.0f || s.frequency_penalty != 0.0f) return "penalties are on";
  if (!s.logit_bias.empty()) return "logits have a bias";
  if (ignore_eos) return "end-of-generation tokens are ignored";
  const bool few = s.temperature <= 0.0f || (s.top_k >= 1 && static_cast<uint32_t>(s.top_k) <= BN_TOPK_MAX);
  return few ? nullptr : "top-k is off or too large";
}

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kTime:
      return "time";
    case FinishReason::kCancelled:
      return "cancelled";
    default:
      return "error";
  }
}

void generate(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt, const GenerateOptions& options,
              GenerateResult& result) {
  Generation(session, tokenizer, prompt, options, result).run(prompt);
}

}  // namespace bitnet::engine
