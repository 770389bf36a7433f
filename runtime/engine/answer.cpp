// engine/answer.cpp - limits, sampling from a row, bytes and stop strings.
#include "engine/answer.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace bitnet::engine {
namespace {

using Clock = std::chrono::steady_clock;

void check_prompt(const Session& session, std::span<const int32_t> prompt) {
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
}

}  // namespace

Answer::Answer(const Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
               const GenerateOptions& options, GenerateResult& result)
    : tokenizer_(tokenizer),
      options_(options),
      result_(result),
      stops_(options.stop),
      n_vocab_(session.n_vocab()),
      sampler_(options.sampler),
      why_here_(why_all_logits(options.sampler, options.ignore_eos)),
      start_(Clock::now()) {
  check_prompt(session, prompt);
  if (tokenizer.size() < n_vocab_) why_here_ = "the head has more rows than the vocabulary";
  if (options.on_logits) why_here_ = "every row of logits is wanted";
  n_keep_ = tokens_to_keep(prompt, session.n_ctx());
  result_.prompt_tokens = static_cast<uint32_t>(prompt.size());
  result_.finish = FinishReason::kLength;
}

int64_t Answer::limit() const { return options_.n_predict < 0 ? std::numeric_limits<int64_t>::max() : options_.n_predict; }

uint32_t Answer::tokens_to_keep(std::span<const int32_t> prompt, uint32_t n_ctx) const {
  if (!options_.context_shift) return 0;
  const size_t whole = prompt.size();
  size_t n = options_.n_keep < 0 ? whole : std::min<size_t>(static_cast<size_t>(options_.n_keep), whole);
  if (n == 0 && tokenizer_.bos() == prompt.front()) n = 1;
  constexpr uint32_t kLeastRoom = 2;  // half of it is forgotten
  if (n + kLeastRoom > n_ctx) {
    fail(ErrorKind::kUsage, "{} tokens to keep leave no room in a context of {}; raise -c or keep fewer", n, n_ctx);
  }
  return static_cast<uint32_t>(n);
}

bool Answer::make_room(Session& session) {
  result_.context_full = !options_.context_shift;
  if (result_.context_full) return false;
  const uint32_t n = (session.n_ctx() - n_keep_) / 2;
  session.forget(n_keep_, n);
  ++sampler_.seed;
  result_.shifts.push_back({static_cast<uint32_t>(result_.tokens.size()), n_keep_, n});
  return true;
}

bn_sampler Answer::backend_sampler() const {
  const SamplerSettings& s = sampler_;
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

int32_t Answer::sample_here(const float* row, std::span<const int32_t> history) {
  const auto start = Clock::now();
  // Rows of the head beyond the vocabulary are no tokens.
  work_.assign(row, row + std::min<size_t>(n_vocab_, tokenizer_.size()));
  if (options_.ignore_eos) {
    for (int32_t id : tokenizer_.end_of_generation_ids()) {
      if (static_cast<size_t>(id) < work_.size()) work_[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
    }
  }
  const int32_t token = sample(work_, history, sampler_);
  result_.output += std::chrono::duration<double>(Clock::now() - start).count();
  return token;
}

bool Answer::commit(int32_t token) {
  const auto start = Clock::now();
  if (!result_.first_token) result_.first_token = elapsed();
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

void Answer::flush() {
  emit(stops_.feed(utf8_.flush()));
  emit(stops_.flush());
}

void Answer::emit(const std::string& text) {
  if (text.empty()) return;
  result_.text += text;
  if (options_.on_text) options_.on_text(text);
}

}  // namespace bitnet::engine
