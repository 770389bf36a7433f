// cli/benchmark_command.cpp - "bitnet-run benchmark": which backends, which tests, in which form.
//
// Never falls back: a row is the backend it names, or "not measured" with the reason.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>

#include "benchmark/measure.h"
#include "benchmark/results.h"
#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/signals.h"
#include "store/model_hash.h"

namespace bitnet::cli {
namespace {

using benchmark::Row;
using benchmark::Setup;
using benchmark::Test;

// Other guests of the machine had so much of the cores' time that numbers suffer.
constexpr double kStealLimit = 0.01;

// A backend that rows are wanted of.
struct Wanted {
  std::string label;     // "auto", or as the user or the preset calls it
  backend::Order order;  // one candidate; none: `missing` says why
  std::string missing;
  bool may_be_missing = false;  // without changing the exit code
};

// Writes the results in one form to one place, rows as soon as they are there where the form allows it.
class Writer {
 public:
  using Sink = void (*)(std::string_view);
  Writer(ResultsFormat format, Sink sink) : format_(format), sink_(sink) {}

  void begin(const benchmark::Results& results) const {
    if (format_ == ResultsFormat::kMarkdown) sink_(benchmark::markdown_head(results));
    if (format_ == ResultsFormat::kCsv) sink_(benchmark::csv_head());
  }
  void row(const benchmark::Results& results, const Row& row) const {
    if (format_ == ResultsFormat::kMarkdown) sink_(benchmark::markdown_row(results, row));
    if (format_ == ResultsFormat::kCsv) sink_(benchmark::csv_row(results, row));
    if (format_ == ResultsFormat::kJsonLines) sink_(json_text(benchmark::row_json(results, row)) + "\n");
  }
  void end(const benchmark::Results& results) const {
    if (format_ == ResultsFormat::kMarkdown) sink_(benchmark::markdown_foot(results));
    if (format_ == ResultsFormat::kJson) sink_(json_text(benchmark::results_json(results)) + "\n");
  }

 private:
  ResultsFormat format_;
  Sink sink_;
};

void write_stderr(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

uint64_t parameter_count(const model::Model& model) {
  uint64_t count = 0;
  for (const gguf::TensorInfo& tensor : model.file.tensors()) count += tensor.columns() * tensor.rows();
  return count;
}

// In llama-bench's order: prompts, single tokens, both.
std::vector<Test> list_tests(const BenchmarkOptions& o) {
  std::vector<Test> tests;
  for (const uint32_t depth : o.n_depth) {
    for (const uint32_t n : o.n_prompt) {
      if (n > 0) tests.push_back({n, 0, depth});
    }
    for (const uint32_t n : o.n_gen) {
      for (const uint32_t parallel : o.n_parallel) {
        if (n > 0) tests.push_back({0, n, depth, parallel});
      }
    }
    for (const PromptAndGenerate& pair : o.prompt_gen) tests.push_back({pair.prompt, pair.generate, depth});
  }
  return tests;
}

class Benchmark {
 public:
  explicit Benchmark(const BenchmarkOptions& options) : o_(options) {}

  int execute() {
    open_model();
    registry_ = std::make_unique<backend::Registry>(backend::Registry::discover(discovery_options(o_.compute.plugins)));
    for (const std::string& warning : registry_->warnings()) log(LogLevel::kWarning, "{}", warning);
    find_backends();
    const auto writers = {Writer(o_.format, write_stdout), Writer(o_.format_err, write_stderr)};
    for (const Writer& writer : writers) writer.begin(results_);
    for (const Wanted& wanted : wanted_) {
      for (const Setup& setup : list_setups(wanted)) {
        for (const Test& test : list_tests(o_)) {
          results_.rows.push_back(run(wanted, setup, test));
          for (const Writer& writer : writers) writer.row(results_, results_.rows.back());
        }
      }
    }
    finish_warnings();
    for (const Writer& writer : writers) writer.end(results_);
    return exit_code();
  }

 private:
  void open_model() {
    results_.build = build_info();
    results_.machine = benchmark::this_machine();
    results_.time = utc_now();
    results_.warnings = benchmark::machine_warnings(results_.machine);
    const std::string path = find_model(o_.model);
    set_mapped_path(path);
    model_ = std::make_unique<model::Model>(path, read_options(o_.formats, path, o_.compute));
    results_.warnings.insert(results_.warnings.end(), model_->weights.warnings.begin(), model_->weights.warnings.end());
    if (!model_->has_tensors()) fail(ErrorKind::kUsage, "{}: holds no weights to measure", printable(path));
    if (model_->config.arch.must & BN_M_NO_HEAD) {
      fail(ErrorKind::kUsage, "{}: an embedding model; this version measures models that write text", printable(path));
    }
    if (!o_.model) log(LogLevel::kNotice, "no model named: the embedded story model is measured; -m FILE names one");
    results_.model = {path,
                      model_->config.name,
                      fmt::format("{} {}", model_->config.architecture, model_->weights.quantization),
                      store::model_sha256(path),
                      model_->file.size(),
                      parameter_count(*model_),
                      !o_.model};
  }

  void find_backends() {
    if (o_.ac10) {
      add_backend({"cpu"}, "cpu", false);
      add_backend({"cuda"}, "cuda", true);
    } else if (o_.compute.backends == std::vector<std::string>{"auto"}) {
      add_backend({"auto"}, "auto", false);
    } else {
      for (const std::string& name : o_.compute.backends) add_backend({name}, name, false);
    }
  }

  void add_backend(const std::vector<std::string>& request, const std::string& label, bool may_be_missing) {
    Wanted wanted{label, {}, {}, may_be_missing};
    ComputeOptions choice = o_.compute;
    choice.backends = request;
    choice.no_fallback = true;
    choice.threads = static_cast<int>(*std::max_element(o_.threads.begin(), o_.threads.end()));
    try {
      const backend::PolicyInput input = policy_input(*registry_, choice, *model_);
      wanted.order = backend::order_candidates(input.plugins, input.requested, input.options);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::kNoBackend) throw;
      wanted.missing = e.what();
    }
    wanted_.push_back(std::move(wanted));
  }

  std::vector<Setup> list_setups(const Wanted& wanted) const {
    std::vector<Setup> setups;
    Setup setup;
    setup.label = wanted.label;
    setup.repetitions = o_.repetitions;
    setup.warm_up = o_.warm_up;
    setup.delay = o_.delay;
    setup.session.engine.device_options = device_options(o_.compute);
    setup.session.engine.head = head_mode(o_.compute.head);
    setup.session.engine.prepack_cache = !o_.compute.no_prepack_cache;
    setup.session.patience = {o_.compute.hang_limit, 6 * o_.compute.hang_limit};
    setup.session.stop = &stop_requested();
    for (const uint32_t batch : o_.batch_size) {
      for (const uint32_t ubatch : o_.ubatch_size) {
        for (const KvType kv_type : o_.kv_type) {
          for (const uint32_t threads : o_.threads) {
            setup.batch = batch;
            setup.ubatch = std::min(batch, ubatch);
            setup.kv_dtype = kv_type == KvType::kF16 ? BN_DT_F16 : BN_DT_F32;
            setup.threads = threads > 0 ? threads : thread_count({});
            setups.push_back(setup);
          }
        }
      }
    }
    return setups;
  }

  Row run(const Wanted& wanted, const Setup& setup, const Test& test) {
    if (!wanted.missing.empty()) return benchmark::not_measured(setup, test, wanted.missing);
    std::unique_ptr<benchmark::CeilingProbe>& probe = probes_[setup.threads];
    if (!probe) probe = std::make_unique<benchmark::CeilingProbe>(setup.threads);
    log(LogLevel::kInfo, "{}: {} with {} threads", wanted.label, test.name(), setup.threads);
    return benchmark::measure(*model_, *registry_, wanted.order, setup, test, *probe, results_.machine.cache_bytes);
  }

  void finish_warnings() {
    const auto steal = benchmark::steal_seconds();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    if (steal && steal_) {
      const double share = (*steal - *steal_) / (seconds * results_.machine.cores);
      if (share > kStealLimit) {
        results_.warnings.push_back(
            fmt::format("other guests of this machine took {:.1f} % of the cores' time while it was measured", 100 * share));
      }
    }
    const auto is_mock = [](const Row& row) { return row.mock; };
    if (std::any_of(results_.rows.begin(), results_.rows.end(), is_mock)) {
      results_.warnings.push_back("rows marked [mock] come from the mock backend: they are no measurement of a model");
    }
    // Markdown and JSON hold them; the other forms have no place.
    const bool shown = o_.format == ResultsFormat::kMarkdown || o_.format == ResultsFormat::kJson;
    for (const std::string& warning : results_.warnings) log(shown ? LogLevel::kInfo : LogLevel::kWarning, "{}", warning);
  }

  // Every backend that was asked for by name must have been measured, and something at all.
  int exit_code() const {
    bool any = false;
    for (const Row& row : results_.rows) {
      const auto is_its = [&](const Wanted& wanted) { return wanted.label == row.backend && wanted.may_be_missing; };
      any |= row.not_measured.empty();
      if (!row.not_measured.empty() && std::none_of(wanted_.begin(), wanted_.end(), is_its)) return not_measured_code(row);
    }
    return any ? 0 : static_cast<int>(ErrorKind::kNoBackend);
  }

  static int not_measured_code(const Row& row) {
    log(LogLevel::kError, "{} {}: not measured: {}", row.backend, row.test.name(), row.not_measured);
    return static_cast<int>(ErrorKind::kNoBackend);
  }

  const BenchmarkOptions& o_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  const std::optional<double> steal_ = benchmark::steal_seconds();
  std::unique_ptr<model::Model> model_;
  std::unique_ptr<backend::Registry> registry_;
  std::map<uint32_t, std::unique_ptr<benchmark::CeilingProbe>> probes_;  // by threads
  std::vector<Wanted> wanted_;
  benchmark::Results results_;
};

}  // namespace

int benchmark_command(const BenchmarkOptions& options) {
  auto benchmark = std::make_unique<Benchmark>(options);
  int code = 0;
  try {
    code = benchmark->execute();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kInterrupted) throw;
    code = 128 + stop_signal();
    log(LogLevel::kNotice, "stopped; rows that were not finished are missing");
  }
  // A backend that hangs still uses the model; main() ends the process under it.
  if (engine::EngineThread::abandoned_threads() != 0) static_cast<void>(benchmark.release());
  return code;
}

}  // namespace bitnet::cli
