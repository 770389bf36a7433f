// cli/run_command.cpp - "bitnet-run -p TEXT": one prompt, one answer; with --prompts many (many_prompts.h).
#include <algorithm>
#include <chrono>
#include <memory>
#include <random>

#include "cli/commands.h"
#include "cli/conversation_loop.h"
#include "cli/json_text.h"
#include "cli/logits_file.h"
#include "cli/many_prompts.h"
#include "cli/opened_model.h"
#include "cli/progress.h"
#include "cli/run_report.h"
#include "cli/signals.h"

namespace bitnet::cli {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

uint64_t choose_seed(int64_t seed) {
  if (seed >= 0) return static_cast<uint64_t>(seed);
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32 | device()) >> 1;  // fits --seed again
}

engine::SamplerSettings sampler_settings(const SamplingOptions& o) {
  engine::SamplerSettings s;
  s.seed = choose_seed(o.seed);
  s.temperature = o.greedy ? 0.0f : static_cast<float>(o.temperature);
  s.top_k = static_cast<int32_t>(std::min<int64_t>(o.top_k, INT32_MAX));
  s.top_p = static_cast<float>(o.top_p);
  s.min_p = static_cast<float>(o.min_p);
  s.repeat_penalty = static_cast<float>(o.repeat_penalty);
  s.repeat_last_n = static_cast<int32_t>(std::min<int64_t>(o.repeat_last_n, INT32_MAX));
  s.presence_penalty = static_cast<float>(o.presence_penalty);
  s.frequency_penalty = static_cast<float>(o.frequency_penalty);
  for (const LogitBias& bias : o.logit_bias) s.logit_bias.emplace_back(bias.id, bias.bias);
  return s;
}

class Run {
 public:
  explicit Run(const RunOptions& options) : o_(options) {}

  int execute() {
    int code = 0;
    try {
      prepare();
      code = talks_ ? converse() : generate();
    } catch (const Error& e) {
      report_.error = e.what();
      code = e.exit_code();
      if (e.kind() == ErrorKind::kInterrupted) code = 128 + stop_signal();
      result_.finish = e.kind() == ErrorKind::kInterrupted ? engine::FinishReason::kCancelled
                       : e.kind() == ErrorKind::kTimeLimit ? engine::FinishReason::kTime
                                                           : engine::FinishReason::kError;
      if (wrote_text_) write_stdout("\n");
      if (e.kind() == ErrorKind::kInterrupted && talks_) return code;
      if (e.kind() == ErrorKind::kInterrupted && many()) {
        log(LogLevel::kNotice, "stopped; texts that were not finished are cut");
      } else if (e.kind() == ErrorKind::kInterrupted) {
        log(LogLevel::kNotice, "stopped after {} tokens", result_.tokens.size());
      } else {
        log(LogLevel::kError, "{}", e.what());
      }
    }
    report_.total = seconds_since(start_);
    if (session_) {
      report_.fallbacks.insert(report_.fallbacks.end(), session_->fallbacks().begin(), session_->fallbacks().end());
    }
    if (talks_) return code;  // each turn has been reported
    if (many()) return code;
    if (o_.output.json && (code == 0 || session_)) write_stdout(run_report_json(report_) + "\n");
    if (code == 0 && log_level() >= LogLevel::kInfo) log(LogLevel::kInfo, "{}", run_summary(report_));
    return code;
  }

 private:
  bool many() const { return o_.prompt.from == PromptFrom::kLines; }

  // Opens the model, encodes the prompt, finds backends and loads the first that takes the model.
  void prepare() {
    report_.before_load = process_memory();
    const bool is_text = o_.prompt.from != PromptFrom::kIds && o_.prompt.from != PromptFrom::kNone && !many();
    const std::string text = is_text ? read_prompt(o_.prompt) : std::string();
    if (many() && o_.chat.uses_template) {
      fail(ErrorKind::kUsage, "--prompts takes its lines as they are: no conversation and no chat template beside it");
    }
    if (many()) lines_ = read_prompt_lines(o_.prompt);

    opened_ =
        std::make_unique<OpenedModel>(o_.model, o_.formats, o_.compute, o_.check_tensors, o_.strict_tokenizers, o_.tokenizer);
    const model::Model& model = opened_->model();
    report_.model = &model;
    report_.open_model = opened_->open_seconds();
    report_.warnings = opened_->warnings();
    refuse_embedding_model(model);
    choose_chat_template();

    const uint32_t n_ctx = opened_->context_size(o_.ctx_size);
    const auto stage = Clock::now();
    const EncodeOptions encode{.add_special = true, .parse_special = false, .max_tokens = static_cast<size_t>(n_ctx) + 1};
    if (o_.prompt.from == PromptFrom::kIds) {
      prompt_ = o_.prompt.ids;
    } else if (many()) {
      encode_lines(encode, n_ctx);
    } else if (talks_) {
      if (is_text) first_message_ = text;
    } else if (template_) {
      prompt_ = template_->encode(template_->render(one_question(text)), static_cast<size_t>(n_ctx) + 1);
    } else {
      prompt_ = opened_->tokenizer().encode(text, encode);
    }
    report_.tokenization = seconds_since(stage);
    if (prompt_.size() > n_ctx) {
      fail(ErrorKind::kUsage,
           "the prompt has more than {} tokens, which is what the context holds; raise -c or shorten the prompt", n_ctx);
    }

    backend::Order order = opened_->find_backends(o_.compute);
    report_.find_backends = opened_->find_seconds();
    report_.warnings = opened_->warnings();
    report_.fallbacks = opened_->left_out();
    load_session(std::move(order), n_ctx);
  }

  void encode_lines(const EncodeOptions& options, uint32_t n_ctx) {
    for (PromptLine& line : lines_) {
      line.ids = opened_->tokenizer().encode(line.text, options);
      if (line.ids.size() <= n_ctx) continue;
      fail(ErrorKind::kUsage,
           "the prompt of line {} has more than {} tokens, which is what the context holds; raise -c or shorten the prompt",
           line.line, n_ctx);
    }
    const auto longest = [](const PromptLine& a, const PromptLine& b) { return a.ids.size() < b.ids.size(); };
    prompt_ = std::max_element(lines_.begin(), lines_.end(), longest)->ids;  // what a backend must have room for
  }

  void load_session(backend::Order order, uint32_t n_ctx) {
    engine::SessionOptions so = OpenedModel::session_options(o_.compute, n_ctx);
    so.engine.head = wanted_head();
    report_.threads = so.threads;
    if (o_.n_predict >= 0 && !talks_) {
      so.n_ctx_least = static_cast<uint32_t>(std::min<uint64_t>(n_ctx, prompt_.size() + static_cast<uint64_t>(o_.n_predict)));
    }
    session_ = std::make_unique<engine::Session>(opened_->model(), opened_->registry(), std::move(order), std::move(so));
    report_.session = session_.get();
    log(LogLevel::kInfo, "backend {} ({})", session_->plugin().name, session_->plugin().path);
  }

  // Where a template was asked for, or no prompt was given and a conversation is meant.
  void choose_chat_template() {
    const bool may_talk = o_.prompt.from == PromptFrom::kNone;
    if (!o_.chat.uses_template && !may_talk) return;
    const model::Model& model = opened_->model();
    chat::ChosenTemplate chosen = chat::choose_template(model.file, model.config.architecture, opened_->tokenizer(),
                                                        {o_.chat.template_name, o_.chat.template_file});
    if (!chosen.chat_template && !o_.chat.uses_template) {
      fail(
          ErrorKind::kUsage,
          "no prompt: give -p TEXT, -f FILE, or pipe it in; --help shows examples (the model has no chat template, so there is "
          "no conversation)");
    }
    if (!chosen.chat_template) {
      fail(ErrorKind::kUsage, "{} has no chat template; --chat-template NAME or --chat-template-file FILE gives one",
           printable(model.file.path()));
    }
    if (!chosen.note.empty()) {
      report_.warnings.push_back(chosen.note);
      log(LogLevel::kNotice, "{}", chosen.note);
    }
    template_ = std::make_unique<chat::ChatTemplate>(std::move(*chosen.chat_template));
    talks_ = may_talk || (o_.chat.mode == ConversationMode::kOn && !o_.chat.single_turn);
  }

  chat::Conversation one_question(const std::string& text) const {
    chat::Conversation out;
    if (o_.chat.system.from != PromptFrom::kNone) out.push_back({"system", read_prompt(o_.chat.system)});
    out.push_back({"user", text});
    return out;
  }

  int converse() {
    if (session_->is_mock()) tell_mock();
    return ConversationLoop(o_, sampler_settings(o_.sampling), *session_, opened_->tokenizer(), *template_, report_)
        .run(first_message_);
  }

  void tell_mock() const {
    log(LogLevel::kNotice, "backend {}: the text below does not come from the model's usual kernels", session_->plugin().name);
  }

  // Where every step wants all logits, a copy of the head would only take memory.
  model::HeadMode wanted_head() const {
    const bool best =
        engine::why_all_logits(sampler_settings(o_.sampling), o_.sampling.ignore_eos) == nullptr && o_.logits_out.empty();
    return best || o_.compute.head != HeadChoice::kAuto ? head_mode(o_.compute.head) : model::HeadMode::kFull;
  }

  int generate() {
    engine::GenerateOptions g;
    g.n_predict = o_.n_predict;
    g.context_shift = o_.context_shift;
    g.n_keep = o_.n_keep;
    g.sampler = sampler_settings(o_.sampling);
    g.stop = o_.sampling.stop;
    if (template_) g.stop.insert(g.stop.end(), template_->stops().begin(), template_->stops().end());
    g.ignore_eos = o_.sampling.ignore_eos;
    g.time_limit = o_.compute.time_limit.value_or(0);
    g.want_last_logits = o_.output.json || log_level() >= LogLevel::kInfo;
    report_.seed = g.sampler.seed;
    report_.result = &result_;
    if (session_->is_mock()) tell_mock();
    if (many()) return answer_many(g);
    ProgressLine progress(o_.output.progress, "prompt", "tokens");
    g.on_prefill = [&](uint32_t done, uint32_t total) { progress.update(done, total); };
    if (!o_.output.json) {
      g.on_text = [&](std::string_view text) {
        progress.finish();
        if (!wrote_text_ && session_->is_mock()) write_stdout("[mock] ");
        wrote_text_ = true;
        write_stdout(text);
      };
    }
    std::unique_ptr<LogitsFile> logits;
    if (!o_.logits_out.empty()) {
      logits = std::make_unique<LogitsFile>(o_.logits_out, session_->n_vocab());
      g.on_logits = [&](const float* rows, uint32_t n) { logits->write(rows, n); };
    }
    engine::generate(*session_, opened_->tokenizer(), prompt_, g, result_);
    progress.finish();
    if (wrote_text_) write_stdout("\n");
    if (logits) logits->finish();
    return tell_end();
  }

  int answer_many(const engine::GenerateOptions& how) {
    ManyAnswers answers(report_, opened_->tokenizer(), std::move(lines_), how, o_.parallel, o_.output.json);
    answers.run();
    log(LogLevel::kInfo, "{}", answers.summary());
    if (const size_t n = answers.count_full(); n != 0) {
      log(LogLevel::kNotice, "{} of the texts stopped because their context of {} tokens is full; --context-shift goes on", n,
          session_->n_ctx());
    }
    if (const size_t n = answers.count(engine::FinishReason::kTime); n != 0) {
      log(LogLevel::kNotice, "{} of the texts stopped at the time limit of {} s", n, *o_.compute.time_limit);
      return static_cast<int>(ErrorKind::kTimeLimit);
    }
    const size_t n = answers.count(engine::FinishReason::kLength) - answers.count_full();
    if (n != 0 && o_.n_predict_is_default) {
      log(LogLevel::kNotice, "{} of the texts stopped at the default limit of {} tokens; -n N changes it", n, o_.n_predict);
    }
    return 0;
  }

  int tell_end() {
    if (result_.finish == engine::FinishReason::kTime) {
      log(LogLevel::kNotice, "stopped at the time limit of {} s", *o_.compute.time_limit);
      return static_cast<int>(ErrorKind::kTimeLimit);
    }
    if (const size_t n = result_.shifts.size(); n != 0) {
      log(LogLevel::kNotice, "the context of {} tokens was full: its older half was forgotten {} time{}", session_->n_ctx(), n,
          n == 1 ? "" : "s");
    }
    if (result_.context_full) {
      log(LogLevel::kNotice, "stopped: the context of {} tokens is full; --context-shift goes on without its older half",
          session_->n_ctx());
    } else if (result_.finish == engine::FinishReason::kLength && o_.n_predict_is_default) {
      log(LogLevel::kNotice, "stopped at the default limit of {} tokens; -n N changes it", o_.n_predict);
    }
    return 0;
  }

  const RunOptions& o_;
  Clock::time_point start_ = Clock::now();
  std::unique_ptr<OpenedModel> opened_;
  std::unique_ptr<engine::Session> session_;
  std::vector<int32_t> prompt_;
  std::unique_ptr<chat::ChatTemplate> template_;  // null: the prompt is taken as it is
  bool talks_ = false;                            // a conversation, not one prompt
  std::optional<std::string> first_message_;
  std::vector<PromptLine> lines_;  // of --prompts
  engine::GenerateResult result_;
  RunReport report_;
  bool wrote_text_ = false;
};

}  // namespace

int run_command(const RunOptions& options) {
  if (options.list_backends || options.list_devices) {
    BackendsOptions list;
    list.list_devices = options.list_devices;
    list.plugins = options.compute.plugins;
    list.output = options.output;
    return backends_command(list);
  }
  auto run = std::make_unique<Run>(options);
  const int code = run->execute();
  // A backend that hangs still uses model and session; main() ends the process under it.
  if (engine::EngineThread::abandoned_threads() != 0) static_cast<void>(run.release());
  return code;
}

}  // namespace bitnet::cli
