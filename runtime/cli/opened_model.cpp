// cli/opened_model.cpp - opens, checks, and tells what it found.
#include "cli/opened_model.h"

#include <chrono>

#include "cli/commands.h"
#include "cli/signals.h"

namespace bitnet::cli {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void tell_scores(const backend::PolicyInput& input) {
  std::vector<std::string> texts;
  std::string age;
  for (const backend::Score& score : input.options.scores) {
    texts.push_back(fmt::format("{} {}", input.plugins[score.plugin].name, backend::score_text(score)));
    age = backend::age_text(score.measured_at);
  }
  if (!texts.empty()) log(LogLevel::kInfo, "speed of {} ({})", fmt::join(texts, ", "), age);
}

}  // namespace

OpenedModel::OpenedModel(const std::optional<std::string>& named, const FormatOptions& formats, const ComputeOptions& compute,
                         bool check_tensors, bool strict_tokenizers, const std::optional<std::string>& tokenizer) {
  const auto start = Clock::now();
  const std::string path = find_model(named);
  set_mapped_path(path);
  model::ReadOptions reading = read_options(formats, path, compute);
  reading.check_tensors = check_tensors;
  model_ = std::make_unique<model::Model>(path, reading);
  tokenizer_ = std::make_unique<Tokenizer>(Tokenizer::of_model(model_->file, tokenizer, {strict_tokenizers}));
  note(model_->file.warnings());
  note(model_->config.warnings);
  note(model_->weights.warnings);
  note(tokenizer_->warnings());
  check_vocabulary();
  open_seconds_ = seconds_since(start);
  const bn_arch& arch = model_->config.arch;
  log(LogLevel::kInfo, "model {}: {} ({}), {} layers, vocabulary {}", printable(path), printable(model_->config.name),
      printable(model_->config.architecture), arch.n_layers, arch.n_vocab);
}

uint32_t OpenedModel::context_size(int wanted) const {
  const uint32_t most = model_->config.arch.n_ctx_max;
  if (wanted <= 0) return most;
  if (static_cast<uint32_t>(wanted) > most) {
    fail(ErrorKind::kUsage, "-c {}: the model's context is {} tokens", wanted, most);
  }
  return static_cast<uint32_t>(wanted);
}

backend::Order OpenedModel::find_backends(const ComputeOptions& options) {
  const auto start = Clock::now();
  registry_ = std::make_unique<backend::Registry>(backend::Registry::discover(discovery_options(options.plugins)));
  note(registry_->warnings());
  const backend::PolicyInput input = policy_input(*registry_, options, *model_);
  tell_scores(input);
  backend::Order order = backend::order_candidates(input.plugins, input.requested, input.options);
  find_seconds_ = seconds_since(start);
  // Backends the user asked for that cannot even be tried: as visible as any other fallback.
  const std::string to = order.candidates.empty() ? "" : order.candidates.front().name;
  for (const backend::LeftOut& out : order.left_out) {
    const LogLevel level = out.asked ? LogLevel::kNotice : LogLevel::kInfo;
    log(level, "backend {}: not usable ({}){}", out.name, out.reason, out.asked && !to.empty() ? "; using " + to : "");
    if (out.asked) left_out_.push_back({out.name, to, "load", out.reason, 0});
  }
  return order;
}

engine::SessionOptions OpenedModel::session_options(const ComputeOptions& options, uint32_t n_ctx) {
  engine::SessionOptions so;
  so.engine.n_ctx = n_ctx;
  so.engine.max_batch = static_cast<uint32_t>(options.ubatch_size);
  so.engine.kv_dtype = options.kv_type == KvType::kF16 ? BN_DT_F16 : BN_DT_F32;
  so.engine.device_options = device_options(options);
  so.engine.head = head_mode(options.head);
  so.engine.deterministic = options.deterministic;
  so.engine.prepack_cache = !options.no_prepack_cache;
  so.engine.draft_min = options.draft_min;
  so.engine.draft_max = options.draft_max;
  so.threads = thread_count(options);
  so.strict = options.no_fallback;
  so.stop = &stop_requested();
  so.patience = {options.hang_limit, 6 * options.hang_limit};
  if (options.isolate) so.worker = {worker_program(), options.plugins.allow_unsafe, program_path()};
  return so;
}

void OpenedModel::check_vocabulary() {
  const size_t tokens = tokenizer_->size();
  const uint32_t rows = model_->config.arch.n_vocab;
  if (tokens > rows) {
    fail(ErrorKind::kInvalidModel, "{}: the vocabulary has {} tokens, the embeddings only {} rows",
         printable(model_->file.path()), tokens, rows);
  }
  if (tokens == rows) return;
  note({fmt::format("the vocabulary has {} tokens, the embeddings {} rows; the surplus ids are never sampled", tokens, rows)});
}

void refuse_embedding_model(const model::Model& model) {
  if (!(model.config.arch.must & BN_M_NO_HEAD)) return;
  fail(ErrorKind::kInvalidModel, "{}: an embedding model ({}): it writes no text; 'bitnet-run embed' makes vectors with it",
       printable(model.file.path()), printable(model.config.architecture));
}

void OpenedModel::note(const std::vector<std::string>& warnings) {
  for (const std::string& warning : warnings) {
    warnings_.push_back(warning);
    log(LogLevel::kWarning, "{}", warning);
  }
}

}  // namespace bitnet::cli
