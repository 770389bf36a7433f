// cli/conversation_loop.cpp - one turn after the other.
#include "cli/conversation_loop.h"

#include <algorithm>
#include <chrono>
#include <csignal>

#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/signals.h"

namespace bitnet::cli {
namespace {

using Clock = std::chrono::steady_clock;

size_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(std::min(a.size(), b.size())), b.begin()).first - a.begin());
}

// Whether the conversation can go on after it.
bool is_of_the_turn(ErrorKind kind) { return kind == ErrorKind::kUsage || kind == ErrorKind::kTimeLimit; }

}  // namespace

ConversationLoop::ConversationLoop(const RunOptions& options, engine::SamplerSettings sampler, engine::Session& session,
                                   const Tokenizer& tokenizer, const chat::ChatTemplate& chat_template, RunReport& report)
    : o_(options),
      sampler_(std::move(sampler)),
      session_(session),
      tokenizer_(tokenizer),
      template_(chat_template),
      report_(report),
      input_(options.chat.stdin_is_terminal ? terminal_lines() : piped_lines(), options.chat.multiline),
      n_predict_(options.n_predict_is_default ? -1 : options.n_predict),
      left_out_(report.fallbacks) {
  if (o_.chat.system.from != PromptFrom::kNone) conversation_.push_back({"system", read_prompt(o_.chat.system)});
}

int ConversationLoop::run(const std::optional<std::string>& first) {
  if (first) say(*first);
  done_ = done_ || (first && o_.chat.single_turn);
  while (!done_) {
    Input input = input_.next();
    if (input.kind == Input::Kind::kEnd) break;
    if (input.kind == Input::Kind::kCommand) {
      ConversationCommands(*this).run(input.text);
    } else {
      say(std::move(input.text));
      done_ = done_ || o_.chat.single_turn;
    }
  }
  const bool last_word = o_.chat.single_turn && turn_failed_;
  return last_word ? static_cast<int>(ErrorKind::kUsage) : 0;
}

bool ConversationLoop::say(std::string message) {
  conversation_.push_back({"user", std::move(message)});
  turn_failed_ = false;
  try {
    answer();
    return true;
  } catch (const Error& e) {
    if (!is_of_the_turn(e.kind())) throw;
    log(LogLevel::kError, "{}", e.what());
    turn_failed_ = true;
    conversation_.pop_back();
    return false;
  }
}

void ConversationLoop::answer() {
  const auto start = Clock::now();
  const std::vector<int32_t> ids = encode_to_fit();
  report_.tokenization = std::chrono::duration<double>(Clock::now() - start).count();
  generate(ids);
  const engine::SessionTimes times = session_.times();
  const double before = report_.open_model + report_.find_backends + times.load + times.pack;
  report_.total = before + std::chrono::duration<double>(Clock::now() - start).count();
  report_.fallbacks = left_out_;
  report_.fallbacks.insert(report_.fallbacks.end(), session_.fallbacks().begin(), session_.fallbacks().end());
  if (o_.output.json) write_stdout(run_report_json(report_) + "\n");
  if (log_level() >= LogLevel::kInfo) log(LogLevel::kInfo, "{}", run_summary(report_));
}

// With --context-shift the oldest turns go until a quarter of the context is left for the answer.
std::vector<int32_t> ConversationLoop::encode_to_fit() {
  const size_t n_ctx = session_.n_ctx();
  for (;;) {
    const size_t room = o_.context_shift ? n_ctx - n_ctx / 4 : n_ctx;
    std::vector<int32_t> ids = template_.encode(template_.render(conversation_), n_ctx + 1);
    if (ids.empty())
      fail(ErrorKind::kUsage, "the chat template makes no text of this conversation, and the model has no token to begin with");
    if (ids.size() <= room) return ids;
    const size_t turns = static_cast<size_t>(
        std::count_if(conversation_.begin(), conversation_.end(), [](const auto& m) { return m.role == "user"; }));
    if (!o_.context_shift || turns < 2) {
      if (ids.size() <= n_ctx && o_.context_shift) return ids;
      fail(ErrorKind::kUsage, "the conversation has more than {} tokens, which is what the context holds; /clear begins anew{}",
           n_ctx, o_.context_shift ? "" : ", --context-shift forgets the oldest turns");
    }
    forget_oldest_turn();
  }
}

void ConversationLoop::forget_oldest_turn() {
  const auto is_user = [](const chat::Message& m) { return m.role == "user"; };
  const auto first = std::find_if(conversation_.begin(), conversation_.end(), is_user);
  conversation_.erase(first, std::find_if(first + 1, conversation_.end(), is_user));
  log(LogLevel::kNotice, "the conversation is too long for the context: its oldest turn was forgotten");
}

void ConversationLoop::generate(std::span<const int32_t> ids) {
  // At least one token is computed, for its logits.
  reused_ = std::min(common_prefix(session_.log(), ids), ids.size() - 1);
  session_.truncate(static_cast<uint32_t>(reused_));
  engine::GenerateOptions g;
  g.n_predict = n_predict_;
  g.context_shift = o_.context_shift;
  g.n_keep = 1;  // the beginning-of-text token
  g.sampler = sampler_;
  g.stop = o_.sampling.stop;
  g.stop.insert(g.stop.end(), template_.stops().begin(), template_.stops().end());
  g.ignore_eos = o_.sampling.ignore_eos;
  g.time_limit = o_.compute.time_limit.value_or(0);
  g.want_last_logits = o_.output.json || log_level() >= LogLevel::kInfo;
  result_ = {};
  wrote_text_ = false;
  report_.seed = sampler_.seed;
  report_.result = &result_;
  report_.error.clear();
  ProgressLine progress(o_.output.progress, "prompt", "tokens");
  g.on_prefill = [&](uint32_t done, uint32_t total) { progress.update(done, total); };
  if (!o_.output.json) {
    g.on_text = [&](std::string_view text) {
      progress.finish();
      if (!wrote_text_ && session_.is_mock()) write_stdout("[mock] ");
      wrote_text_ = true;
      write_stdout(text);
    };
  }
  try {
    engine::generate(session_, tokenizer_, ids.subspan(reused_), g, result_);
    progress.finish();
    finish_answer(nullptr);
  } catch (const Error& e) {
    progress.finish();
    finish_answer(&e);
    const bool stopped = e.kind() == ErrorKind::kInterrupted && stop_signal() == SIGINT && o_.chat.stdin_is_terminal;
    if (!stopped) throw;
    clear_stop();  // Ctrl-C ends the answer, not the conversation
    log(LogLevel::kNotice, "stopped after {} tokens; Ctrl-C again ends the conversation", result_.tokens.size());
  }
}

// What was said stays in the conversation, also when the answer was cut.
void ConversationLoop::finish_answer(const Error* error) {
  if (wrote_text_) write_stdout("\n");
  if (error != nullptr) {
    report_.error = error->what();
    result_.finish = error->kind() == ErrorKind::kInterrupted ? engine::FinishReason::kCancelled : engine::FinishReason::kError;
    if (error->kind() != ErrorKind::kInterrupted) return;
  }
  conversation_.push_back({"assistant", result_.text});
  if (error == nullptr) tell_end();
}

void ConversationLoop::tell_end() const {
  if (result_.finish == engine::FinishReason::kTime) {
    log(LogLevel::kNotice, "stopped at the time limit of {} s", *o_.compute.time_limit);
  } else if (result_.context_full) {
    log(LogLevel::kNotice,
        "stopped: the context of {} tokens is full; /clear begins anew, --context-shift forgets the oldest turns",
        session_.n_ctx());
  } else if (result_.finish == engine::FinishReason::kLength) {
    log(LogLevel::kNotice, "stopped at the limit of {} tokens; /set predict N changes it", n_predict_);
  }
}

}  // namespace bitnet::cli
