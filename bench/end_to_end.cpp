// bench/end_to_end.cpp - the repetitions: sessions, clocks, hashes.
#include "end_to_end.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "base/process_memory.h"
#include "base/sha256.h"

namespace bitnet::bench {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// n tokens, the same in every run: a linear congruential generator's upper bits.
std::vector<int32_t> random_tokens(uint32_t n, uint32_t n_vocab) {
  std::vector<int32_t> tokens(n);
  uint64_t state = 1;
  for (int32_t& token : tokens) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    token = static_cast<int32_t>((state >> 33) % n_vocab);
  }
  return tokens;
}

class EndToEnd {
 public:
  EndToEnd(const model::Model& model, const backend::Registry& registry, const EndToEndOptions& options)
      : model_(model), registry_(registry), options_(options), logits_(model.config.arch.n_vocab) {
    order_ = backend::order_candidates(registry.facts(), {options.backend}, {.strict = true});
    result_.workload = count_workload(model);
  }

  EndToEndResult run() {
    warm_up();
    for (uint32_t i = 0; i < options_.repetitions; ++i) {
      result_.ceilings.push_back(measure_ceilings(static_cast<int>(options_.threads)));
      if (options_.n_prompt != 0) run_prompt(options_.n_prompt, &result_.prompt);
      if (options_.n_generate != 0) run_generate(options_.n_generate, &result_.generate);
    }
    return std::move(result_);
  }

 private:
  // Pages of the file, threads, clock rates. What memory a run takes is seen here.
  void warm_up() {
    if (options_.n_prompt != 0) run_prompt(options_.n_prompt, nullptr);
    if (options_.n_generate != 0) run_generate(std::min(options_.n_generate, 8u), nullptr);
    result_.peak_rss = process_memory().peak_rss.value_or(0);
    result_.load_seconds.clear();
  }

  std::unique_ptr<engine::Session> open_session(uint32_t n_ctx) {
    const auto start = Clock::now();
    engine::SessionOptions options;
    options.engine.n_ctx = n_ctx;
    options.threads = options_.threads;
    options.engine.head = options_.head;
    options.strict = true;
    auto session = std::make_unique<engine::Session>(model_, registry_, order_, std::move(options));
    result_.load_seconds.push_back(seconds_since(start));
    return session;
  }

  void run_prompt(uint32_t n, TestResult* test) {
    const std::vector<int32_t> tokens = random_tokens(n, model_.config.arch.n_vocab);
    const auto session = open_session(n);
    const auto start = Clock::now();
    session->append(tokens, n - 1, logits_.data(), engine::Session::Stage::kPrefill);
    const double seconds = seconds_since(start);
    result_.kv_bytes = std::max(result_.kv_bytes, session->kv_bytes());
    if (test != nullptr) note(*test, n, {seconds});
  }

  void run_generate(uint32_t n, TestResult* test) {
    const std::vector<int32_t> tokens = random_tokens(kShortPrompt + 1, model_.config.arch.n_vocab);
    const auto session = open_session(kShortPrompt + 1 + n);
    // The last of them waits for the first step.
    session->append(tokens, kShortPrompt + 1, nullptr, engine::Session::Stage::kPrefill);
    std::vector<double> steps;
    for (uint32_t i = 0; i < n; ++i) {
      const auto start = Clock::now();
      session->decode(sampler(), 1);
      steps.push_back(seconds_since(start));
    }
    result_.kv_bytes = std::max(result_.kv_bytes, session->kv_bytes());
    const model::HeadUse head = session->engine_info().head;
    session->last_logits(logits_.data());
    if (test == nullptr) return;
    note(*test, n, steps);
    test->head = head;
  }

  bn_sampler sampler() const {
    bn_sampler s{};
    s.struct_size = sizeof s;
    s.top_k = options_.top_k;
    s.temperature = options_.top_k == 1 ? 0.0f : 0.8f;
    s.top_p = 0.95f;
    s.min_p = 0.05f;
    s.seed = 1;
    return s;
  }

  void note(TestResult& test, uint32_t n, const std::vector<double>& steps) {
    double seconds = 0;
    for (double step : steps) seconds += step;
    const std::string hash = sha256_hex({reinterpret_cast<const uint8_t*>(logits_.data()), 4 * logits_.size()});
    if (test.n_tokens != 0 && hash != test.logits_sha256) {
      fail(ErrorKind::kFailure, "backend {}: the same {} tokens gave logits {} and then {}", options_.backend, n,
           test.logits_sha256, hash);
    }
    test.n_tokens = n;
    test.logits_sha256 = hash;
    test.tokens_per_second.push_back(n / seconds);
    test.step_seconds.insert(test.step_seconds.end(), steps.begin(), steps.end());
  }

  const model::Model& model_;
  const backend::Registry& registry_;
  const EndToEndOptions& options_;
  backend::Order order_;
  std::vector<float> logits_;  // [n_vocab]
  EndToEndResult result_;
};

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 != 0 ? values[half] : (values[half - 1] + values[half]) / 2;
}

EndToEndResult run_end_to_end(const model::Model& model, const backend::Registry& registry, const EndToEndOptions& options) {
  if (!model.has_tensors()) fail(ErrorKind::kUsage, "{}: holds no weights to measure", printable(model.file.path()));
  if (options.n_prompt == 0 && options.n_generate == 0) fail(ErrorKind::kUsage, "-p 0 and -n 0: nothing to measure");
  const uint64_t most = model.config.arch.n_ctx_max;
  if (std::max<uint64_t>(options.n_prompt, uint64_t{options.n_generate} + kShortPrompt + 1) > most) {
    fail(ErrorKind::kUsage, "{} prompt tokens and {} generated behind {}: the model's context is {} tokens", options.n_prompt,
         options.n_generate, kShortPrompt + 1, most);
  }
  return EndToEnd(model, registry, options).run();
}

}  // namespace bitnet::bench
