// engine/generate.cpp - the loop around session and sampler.
#include "engine/generate.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <limits>

#include "base/error.h"
#include "tokenizer/stop_strings.h"
#include "tokenizer/utf8_stream.h"

namespace bitnet::engine {
namespace {

using Clock = std::chrono::steady_clock;

// Tokens of a prompt that are computed between two looks at the clock and the progress.
constexpr uint32_t kPrefillPiece = 512;

class Generation {
 public:
  Generation(Session& session, const Tokenizer& tokenizer, const GenerateOptions& options, GenerateResult& result)
      : session_(session),
        tokenizer_(tokenizer),
        options_(options),
        result_(result),
        stops_(options.stop),
        n_vocab_(session.n_vocab()),
        start_(Clock::now()) {
    sampled_by_backend_ = plain_sampling();
  }

  void run(std::span<const int32_t> prompt) {
    prefill(prompt);
    const int64_t limit = options_.n_predict < 0 ? std::numeric_limits<int64_t>::max() : options_.n_predict;
    result_.finish = FinishReason::kLength;
    for (int64_t n = 0; n < limit; ++n) {
      const int32_t token = next_token();
      if (!result_.first_token) result_.first_token = elapsed();
      if (commit(token)) break;
      if (n + 1 == limit) break;
      if (out_of_time()) {
        result_.finish = FinishReason::kTime;
        break;
      }
      if (!ahead_.empty()) continue;
      // The newest token has to go through the layers; a full context has no position left for it.
      if (session_.log().size() - (newest_is_in_log_ ? 1 : 0) >= session_.n_ctx()) {
        result_.context_full = true;
        break;
      }
      decode(token, limit - n - 1);
    }
    leave_the_last_token_out();
    emit(stops_.feed(utf8_.flush()));
    emit(stops_.flush());
  }

 private:
  double elapsed() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  bool out_of_time() const { return options_.time_limit > 0 && elapsed() >= options_.time_limit; }

  void prefill(std::span<const int32_t> prompt) {
    result_.prompt_tokens = static_cast<uint32_t>(prompt.size());
    for (size_t done = 0; done < prompt.size();) {
      const auto piece = prompt.subspan(done, std::min<size_t>(kPrefillPiece, prompt.size() - done));
      const bool last = done + piece.size() == prompt.size();
      const uint32_t n = static_cast<uint32_t>(piece.size());
      const uint32_t first = options_.on_logits ? 0 : last ? n - 1 : n;
      logits_.resize(static_cast<size_t>(n - first) * n_vocab_);
      session_.append(piece, first, logits_.data(), Session::Stage::kPrefill);
      if (options_.on_logits) options_.on_logits(logits_.data(), n);
      done += piece.size();
      if (options_.on_prefill) options_.on_prefill(static_cast<uint32_t>(done), static_cast<uint32_t>(prompt.size()));
      if (!last && out_of_time())
        fail(ErrorKind::kTimeLimit, "the time limit of {} s was reached after {} of {} prompt tokens", options_.time_limit,
             done, prompt.size());
    }
    result_.prefill = elapsed();
  }

  // Gets at least the next token, or the logits it is sampled from. token: the newest one; most: tokens that are wanted.
  void decode(int32_t token, int64_t most) {
    const auto start = Clock::now();
    const uint32_t room = session_.n_ctx() - static_cast<uint32_t>(session_.log().size());
    if (!sampled_by_backend_ || room <= 1) {
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
      const std::vector<int32_t> tokens =
          session_.decode(backend_sampler(), static_cast<uint32_t>(std::min<int64_t>(most, steps_at_once_)));
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

  bool plain_sampling() const {
    return best_are_enough(options_.sampler, options_.ignore_eos) && tokenizer_.size() >= n_vocab_ && !options_.on_logits;
  }

  bn_sampler backend_sampler() const {
    const SamplerSettings& s = options_.sampler;
    const auto& stop = tokenizer_.end_of_generation_ids();
    bn_sampler sampler{};
    sampler.struct_size = sizeof sampler;
    sampler.top_k = s.temperature <= 0.0f ? 1 : static_cast<uint32_t>(s.top_k);
    sampler.temperature = std::max(s.temperature, 0.0f);
    sampler.top_p = s.top_p;
    sampler.min_p = s.min_p;
    sampler.seed = s.seed;
    sampler.stop = stop.data();
    sampler.n_stop = stop.size();
    return sampler;
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
    if (!ahead_.empty()) {
      const int32_t token = ahead_.front();
      ahead_.pop_front();
      return token;
    }
    const auto start = Clock::now();
    // Rows of the head beyond the vocabulary are no tokens.
    work_.assign(logits_.end() - n_vocab_,
                 logits_.end() - n_vocab_ + static_cast<ptrdiff_t>(std::min<size_t>(n_vocab_, tokenizer_.size())));
    if (options_.ignore_eos) {
      for (int32_t id : tokenizer_.end_of_generation_ids()) {
        if (static_cast<size_t>(id) < work_.size()) work_[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
      }
    }
    const int32_t token = sample(work_, session_.log(), options_.sampler);
    result_.output += std::chrono::duration<double>(Clock::now() - start).count();
    return token;
  }

  // Takes a sampled token into the result; true when the text ends with it.
  bool commit(int32_t token) {
    const auto start = Clock::now();
    result_.tokens.push_back(token);
    bool end = false;
    if (tokenizer_.is_end_of_generation(token)) {
      end = true;
    } else {
      emit(stops_.feed(utf8_.push(tokenizer_.token_bytes(token))));
      end = stops_.stopped();
    }
    if (end) result_.finish = FinishReason::kStop;
    result_.output += std::chrono::duration<double>(Clock::now() - start).count();
    return end;
  }

  void emit(const std::string& text) {
    if (text.empty()) return;
    result_.text += text;
    if (options_.on_text) options_.on_text(text);
  }

  Session& session_;
  const Tokenizer& tokenizer_;
  const GenerateOptions& options_;
  GenerateResult& result_;
  StopMatcher stops_;
  Utf8Stream utf8_;
  uint32_t n_vocab_;
  std::vector<float> logits_;  // rows of the last step; empty: not those of the newest token
  std::vector<float> work_;
  bool sampled_by_backend_ = false;
  std::deque<int32_t> ahead_;      // sampled by the backend, in the session's log, not given out yet
  bool newest_is_in_log_ = false;  // the newest token given out, too
  int64_t steps_at_once_ = 1;
  Clock::time_point start_;
};

}  // namespace

bool best_are_enough(const SamplerSettings& s, bool ignore_eos) {
  const bool unchanged = s.repeat_penalty == 1.0f && s.presence_penalty == 0.0f && s.frequency_penalty == 0.0f &&
                         s.logit_bias.empty() && !ignore_eos;
  return unchanged && (s.temperature <= 0.0f || (s.top_k >= 1 && static_cast<uint32_t>(s.top_k) <= BN_TOPK_MAX));
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
  if (prompt.empty()) fail(ErrorKind::kUsage, "the prompt is empty and the model has no beginning-of-text token to start from");
  for (int32_t id : prompt) {
    if (id < 0 || static_cast<uint32_t>(id) >= session.n_vocab()) {
      fail(ErrorKind::kUsage, "prompt token {} is outside the vocabulary of {}", id, session.n_vocab());
    }
  }
  if (prompt.size() > session.n_ctx() - session.log().size()) {
    fail(ErrorKind::kUsage, "the prompt has {} tokens, the context holds {}; raise -c or shorten the prompt", prompt.size(),
         session.n_ctx());
  }
  Generation(session, tokenizer, options, result).run(prompt);
}

}  // namespace bitnet::engine
