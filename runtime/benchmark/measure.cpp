// benchmark/measure.cpp - the repetitions of a row: session, clocks, hash, memory, bounds.
#include "benchmark/measure.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "base/error.h"
#include "base/process_memory.h"
#include "base/sha256.h"
#include "benchmark/machine.h"
#include "benchmark/statistics.h"

namespace bitnet::benchmark {
namespace {

using Clock = std::chrono::steady_clock;
using Stage = engine::Session::Stage;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

constexpr uint32_t kWarmUpSteps = 8;
constexpr uint32_t kTokensOfACall = 64;  // of a backend that decodes by itself
constexpr uint32_t kApart = 31;          // between the tokens of two sequences

// What the ceilings allow for a step, summed over steps; both parts apart to see which is the larger.
class Bound {
 public:
  Bound(const Ceilings& ceilings, const std::string& instruction)
      : bytes_per_second_(1e9 * ceilings.read_gbps), macs_per_second_(1e9 * ceilings.gmacs_of(instruction)) {}

  void add(const Work& step) {
    work_.bytes += step.bytes;
    work_.macs += step.macs;
    const double reading = step.bytes / bytes_per_second_;
    const double multiplying = macs_per_second_ > 0 ? step.macs / macs_per_second_ : 0;
    seconds_ += std::max(reading, multiplying);
    (reading >= multiplying ? read_part_ : dot_part_) += std::max(reading, multiplying);
  }
  const Work& work() const { return work_; }
  double seconds() const { return seconds_; }
  bool reading_is_more() const { return read_part_ >= dot_part_; }

 private:
  double bytes_per_second_, macs_per_second_;
  Work work_;
  double seconds_ = 0, read_part_ = 0, dot_part_ = 0;
};

class Measurement {
 public:
  Measurement(const model::Model& model, const Setup& setup, const Test& test, Row& row)
      : model_(model),
        setup_(setup),
        test_(test),
        row_(row),
        tokens_(test_tokens(test.depth + test.tokens(), model.config.arch.n_vocab)),
        logits_(model.config.arch.n_vocab) {}

  void run(const backend::Registry& registry, const backend::Order& order, CeilingProbe& ceilings) {
    resets_ = reset_peak_memory();
    open(registry, order);
    append(0, test_.depth);
    for (uint32_t s = 1; s < test_.parallel; ++s) open_further(s);
    if (setup_.warm_up) warm_up();
    for (uint32_t i = 0; i < setup_.repetitions; ++i) {
      note_memory();
      row_.tries.push_back(ceilings.try_once());
      row_.ceilings.raise(row_.tries.back());
      resets_ = resets_ && reset_peak_memory();
      probed_ = true;
      if (setup_.delay > 0) std::this_thread::sleep_for(std::chrono::duration<double>(setup_.delay));
      repeat();
    }
    note_memory();
    row_.matrices = session_->engine_info();
    row_.kv_bytes = session_->kv_bytes();
  }

 private:
  void open(const backend::Registry& registry, const backend::Order& order) {
    engine::SessionOptions options = setup_.session;
    const uint32_t sampled = test_.generate > 0 || tokens_.size() < model_.config.arch.n_ctx_max ? 1 : 0;  // see step()
    options.engine.n_ctx = static_cast<uint32_t>(tokens_.size()) + sampled;
    options.engine.max_batch = setup_.ubatch;
    options.engine.kv_dtype = setup_.kv_dtype;
    options.threads = setup_.threads;
    options.strict = true;
    session_ = std::make_unique<engine::Session>(model_, registry, order, std::move(options));
    const backend::Plugin& plugin = session_->plugin();
    row_.backend = plugin.name;
    row_.version = plugin.version;
    row_.kind = plugin.kind;
    row_.numerics = engine::numerics_name(session_->engine_info().numerics);
    row_.mock = session_->is_mock();
    for (const backend::DeviceSummary& device : plugin.devices) {
      if (device.id == session_->device()) row_.device = device.name;
    }
    row_.instruction = instruction_of(plugin.cpu, row_.device);
    row_.load_seconds = session_->times().load;
    row_.pack_seconds = session_->times().pack;
  }

  // Sequence s has the tokens of the first one, s * kApart places on.
  int32_t token_of(uint32_t s, uint32_t at) const { return tokens_[(at + size_t{s} * kApart) % tokens_.size()]; }

  void open_further(uint32_t s) {
    further_.push_back(session_->another());
    std::vector<int32_t> before;
    for (uint32_t at = 0; at < test_.depth; ++at) before.push_back(token_of(s, at));
    further_.back()->append(before, test_.depth, nullptr, Stage::kPrefill);
  }

  // Tokens [first, last) in calls of at most setup.batch.
  void append(uint32_t first, uint32_t last) {
    for (uint32_t at = first; at < last; at += std::min(setup_.batch, last - at)) {
      const uint32_t n = std::min(setup_.batch, last - at);
      session_->append(std::span(tokens_).subspan(at, n), n, nullptr, Stage::kPrefill);
    }
  }

  // The prompt as bitnet-run reads it: the step that ends it samples, too, or gives logits where the backend cannot, or where
  // the context has no room for a token more.
  void read_prompt() {
    if (test_.prompt == 0) return;
    const uint32_t end = test_.depth + test_.prompt, n = (test_.prompt - 1) % setup_.batch + 1;
    append(test_.depth, end - n);
    const auto tokens = std::span(tokens_).subspan(end - n, n);
    has_prompt_logits_ = !session_->engine_info().reads_and_samples || end == session_->n_ctx();
    if (has_prompt_logits_) return session_->append(tokens, n - 1, logits_.data(), Stage::kPrefill);
    const bn_sampler sampler = usual_sampler();
    engine::Session::Item item{session_.get(), tokens, Stage::kPrefill, &sampler};
    engine::Session::step({&item, 1});
  }

  // As bitnet-run generates, with its default top 40, so that a screened head is used where it would be; but what was sampled
  // is forgotten, and the next token is again a fixed one.
  void step(uint32_t at) {
    const bn_sampler sampler = usual_sampler();
    if (test_.parallel > 1) return step_of_all(at, sampler);
    session_->append(std::span(tokens_).subspan(at, 1), 1, nullptr, Stage::kDecode);
    session_->decode(sampler, {1, 1});
    session_->truncate(at + 1);
  }

  // A backend that keeps the whole loop to itself gets many tokens a call, as bitnet-run gives it, and what it samples is what
  // comes next. The logits that are compared are of the fixed tokens all the same: repeat_fixed() computes them, not timed.
  bool decodes_many() const { return test_.parallel == 1 && session_->engine_info().decodes_many; }
  void decode_many(uint32_t n) {
    const size_t got = session_->decode(usual_sampler(), {n, n}).size();
    if (got != n) fail(ErrorKind::kFailure, "backend {}: decoded {} tokens of {}", row_.backend, got, n);
  }
  void repeat_fixed(uint32_t begin) {
    session_->truncate(begin);
    session_->append(std::span(tokens_).subspan(begin, test_.generate), test_.generate - 1, logits_.data(), Stage::kDecode);
  }

  void step_of_all(uint32_t at, const bn_sampler& sampler) {
    std::vector<int32_t> next;
    std::vector<engine::Session::Item> items(test_.parallel);
    for (uint32_t s = 0; s < test_.parallel; ++s) next.push_back(token_of(s, at));
    for (uint32_t s = 0; s < test_.parallel; ++s) {
      items[s].session = session_of(s);
      items[s].tokens = std::span(next).subspan(s, 1);
      items[s].sampler = &sampler;
    }
    engine::Session::step(items);
    for (const engine::Session::Item& item : items) {
      if (item.waits) fail(ErrorKind::kNoBackend, "backend {} holds one sequence at a time", row_.backend);
      item.session->truncate(at + 1);
    }
  }

  engine::Session* session_of(uint32_t s) const { return s == 0 ? session_.get() : further_[s - 1].get(); }

  void forget_behind(uint32_t n) {
    for (uint32_t s = 0; s < test_.parallel; ++s) session_of(s)->truncate(n);
  }

  bn_sampler usual_sampler() const {
    bn_sampler sampler{};
    sampler.struct_size = sizeof sampler;
    sampler.top_k = std::min(40u, model_.config.arch.n_vocab);
    sampler.temperature = 0.8f;
    sampler.top_p = 0.95f;
    sampler.min_p = 0.05f;
    return sampler;
  }

  // Pages of the file, threads, clock rates.
  void warm_up() {
    const uint32_t begin = test_.depth + test_.prompt;
    read_prompt();
    forget_behind(begin);
    for (uint32_t i = 0; i < std::min(test_.generate, kWarmUpSteps); ++i) step(begin + i);
    forget_behind(test_.depth);
  }

  void repeat() {
    const uint32_t begin = test_.depth + test_.prompt;
    std::vector<double> steps;
    const auto start = Clock::now();
    read_prompt();
    double total = seconds_since(start);
    forget_behind(begin);
    if (test_.prompt > 0) row_.first_token.push_back(total);
    while (steps.size() < test_.generate) {
      const uint32_t done = static_cast<uint32_t>(steps.size());
      const bool many = decodes_many() && begin + done > 0;  // an empty sequence has nothing to go on from
      const uint32_t n = many ? std::min(test_.generate - done, kTokensOfACall) : 1;
      const auto step_start = Clock::now();
      if (many) {
        decode_many(n);
      } else {
        step(begin + done);
      }
      const double seconds = seconds_since(step_start);
      steps.insert(steps.end(), n, seconds / n);
      total += seconds;
    }
    row_.seconds.push_back(total);
    if (test_.generate > 0) {
      row_.steps.push_back(std::move(steps));
      if (decodes_many()) repeat_fixed(begin);
    }
    if (test_.generate > 0 || !has_prompt_logits_) session_->last_logits(logits_.data());
    note_logits();
    forget_behind(test_.depth);
  }

  void note_logits() {
    const std::string hash = sha256_hex({reinterpret_cast<const uint8_t*>(logits_.data()), 4 * logits_.size()});
    if (!row_.logits_sha256.empty() && hash != row_.logits_sha256) {
      fail(ErrorKind::kFailure, "backend {}: {} gave logits {} and then {} for the same tokens", row_.backend, test_.name(),
           row_.logits_sha256, hash);
    }
    row_.logits_sha256 = hash;
  }

  // The ceilings' buffer is not the backend's: where the peak cannot be reset, only what was before the first try counts.
  void note_memory() {
    if (probed_ && !resets_) return;
    row_.peak_rss = std::max(row_.peak_rss, process_memory().peak_rss.value_or(0));
  }

  const model::Model& model_;
  const Setup& setup_;
  const Test& test_;
  Row& row_;
  const std::vector<int32_t> tokens_;                      // depth, prompt, single ones
  std::vector<float> logits_;                              // [n_vocab]
  std::unique_ptr<engine::Session> session_;               // the first sequence
  std::vector<std::unique_ptr<engine::Session>> further_;  // of a test in parallel
  bool resets_ = false, probed_ = false, has_prompt_logits_ = false;
};

// Fills work, least_seconds, bound or no_bound.
void judge(const Workload& workload, uint64_t cache_bytes, Row& row) {
  const Test& test = row.test;
  Bound bound(row.ceilings, row.instruction);
  const uint32_t begin = test.depth + test.prompt;
  const double head_bytes = head_bytes_read(workload, row.matrices.head, test.parallel);
  for (uint32_t at = test.depth; at < begin;) {
    const uint32_t batch_end = std::min(begin, at + row.batch);
    for (; at < batch_end; at += std::min(row.ubatch, batch_end - at)) {
      const uint32_t n = std::min(row.ubatch, batch_end - at);
      bound.add(step_work(workload, at, n, at + n == begin ? head_bytes : 0.0));
    }
  }
  for (uint32_t i = 0; i < test.generate; ++i) {
    bound.add(step_work(workload, begin + i, 1, head_bytes, test.parallel));
  }
  row.work = bound.work();
  if (row.mock) {
    row.no_bound = "a mock";
  } else if (row.kind == "gpu") {
    row.no_bound = "the ceilings are those of the CPU";
  } else if (row.ceilings.read_gbps <= 0) {
    row.no_bound = "the ceilings could not be measured";
  } else if (workload.matrix_bytes + workload.head_bytes < cache_bytes) {
    row.no_bound = "the weights fit in the cache";
  } else if (row.instruction.empty() && test.prompt > 0) {
    row.no_bound = "no vector instruction is known for this backend";
  } else {
    row.least_seconds = bound.seconds();
    row.bound = bound.reading_is_more() ? "read" : row.instruction;
  }
}

void check(const model::Model& model, const Test& test) {
  if (!model.has_tensors()) fail(ErrorKind::kUsage, "{}: holds no weights to measure", printable(model.file.path()));
  const uint64_t sampled = test.generate > 0 ? 1 : 0;
  const uint64_t all = uint64_t{test.depth} + test.prompt + test.generate + sampled, most = model.config.arch.n_ctx_max;
  if (all > most) fail(ErrorKind::kUsage, "{} needs {} tokens, the model's context is {}", test.name(), all, most);
}

}  // namespace

std::string Test::name() const {
  std::string text;
  if (prompt > 0) text = fmt::format("pp{}", prompt);
  if (generate > 0) text += fmt::format("{}tg{}", text.empty() ? "" : "+", generate);
  if (parallel > 1) text += fmt::format(" x {}", parallel);
  if (depth > 0) text += fmt::format(" @ d{}", depth);
  return text;
}

std::vector<double> Row::tokens_per_second() const {
  std::vector<double> rates;
  for (const double s : seconds) rates.push_back(test.tokens() / s);
  return rates;
}

double Row::share() const { return seconds.empty() ? 0 : least_seconds / median(seconds); }

// A linear congruential generator's upper bits.
std::vector<int32_t> test_tokens(uint32_t n, uint32_t n_vocab) {
  std::vector<int32_t> tokens(n);
  uint64_t state = 1;
  for (int32_t& token : tokens) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    token = static_cast<int32_t>((state >> 33) % n_vocab);
  }
  return tokens;
}

Row not_measured(const Setup& setup, const Test& test, const std::string& reason) {
  Row row;
  row.backend = setup.label;
  row.test = test;
  row.threads = setup.threads;
  row.batch = setup.batch;
  row.ubatch = setup.ubatch;
  row.kv_dtype = setup.kv_dtype;
  row.not_measured = reason;
  return row;
}

Row measure(const model::Model& model, const backend::Registry& registry, const backend::Order& order, const Setup& setup,
            const Test& test, CeilingProbe& ceilings, uint64_t cache_bytes) {
  check(model, test);
  Row row = not_measured(setup, test, {});
  try {
    Measurement(model, setup, test, row).run(registry, order, ceilings);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kNoBackend && e.kind() != ErrorKind::kNoMemory) throw;
    return not_measured(setup, test, e.what());
  }
  Workload workload = count_workload(model, setup.kv_dtype);
  if (row.matrices.matrix_bytes_read != 0) workload.matrix_bytes = row.matrices.matrix_bytes_read;  // packed more tightly
  judge(workload, cache_bytes, row);
  return row;
}

}  // namespace bitnet::benchmark
