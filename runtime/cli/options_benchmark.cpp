// cli/options_benchmark.cpp - the structs of "benchmark" and "analyze-performance": lists, ranges, presets.
#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "cli/options_commands.h"

namespace bitnet::cli {
namespace {

constexpr size_t kMaxCounts = 64;
constexpr uint32_t kMaxTokens = 1u << 24;
constexpr uint32_t kMaxThreads = 1024;
constexpr uint32_t kMaxBatch = 1048576;
constexpr uint32_t kMaxParallel = 256;

// A list of numbers and ranges, "1,2,4", "1-8", "1-8+2", "1-8*2", of an option.
class CountList {
 public:
  CountList(std::string where, std::string_view text, uint32_t low, uint32_t high)
      : where_(std::move(where)), text_(text), low_(low), high_(high) {}

  std::vector<uint32_t> read() {
    for (std::string_view rest = text_;;) {
      const size_t comma = rest.find(',');
      read_part(rest.substr(0, comma));
      if (comma == std::string_view::npos) return std::move(counts_);
      rest.remove_prefix(comma + 1);
    }
  }

 private:
  void read_part(std::string_view part) {
    const size_t dash = part.find('-');
    if (dash == std::string_view::npos) return add(number(part, low_, high_));
    const size_t sign = part.find_first_of("+*", dash);
    const bool multiply = sign != std::string_view::npos && part[sign] == '*';
    const uint64_t first = number(part.substr(0, dash), low_, high_);
    const uint64_t last = number(part.substr(dash + 1, sign == std::string_view::npos ? sign : sign - dash - 1), low_, high_);
    const uint64_t step = sign == std::string_view::npos ? 1 : number(part.substr(sign + 1), multiply ? 2 : 1, high_);
    if (first > last || (multiply && first == 0)) complain();
    for (uint64_t n = first; n <= last; n = multiply ? n * step : n + step) add(static_cast<uint32_t>(n));
  }

  uint32_t number(std::string_view text, uint32_t low, uint32_t high) const {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < low || value > high) complain();
    return value;
  }

  void add(uint32_t count) {
    if (counts_.size() == kMaxCounts)
      fail(ErrorKind::kUsage, "{}: expected at most {} numbers, found more", where_, kMaxCounts);
    counts_.push_back(count);
  }

  [[noreturn]] void complain() const {
    fail(ErrorKind::kUsage, "{}: expected numbers from {} to {} and ranges like 1,2,4 or 1-8 or 1-8+2 or 1-8*2, found '{}'",
         where_, low_, high_, printable(text_));
  }

  const std::string where_;
  const std::string_view text_;
  const uint32_t low_, high_;
  std::vector<uint32_t> counts_;
};

std::vector<uint32_t> counts_of(const Settings& settings, std::string_view name, uint32_t low, uint32_t high) {
  return CountList(settings.where(name), settings.text(name), low, high).read();
}

std::vector<PromptAndGenerate> prompt_gen_of(const Settings& settings) {
  std::vector<PromptAndGenerate> tests;
  for (const std::string& value : settings.of("prompt-gen").values) {
    const std::vector<uint32_t> pair = CountList(settings.where("prompt-gen"), value, 1, kMaxTokens).read();
    if (pair.size() != 2) {
      fail(ErrorKind::kUsage, "{}: expected P,G, prompt tokens and single ones, found '{}'", settings.where("prompt-gen"),
           printable(value));
    }
    tests.push_back({pair[0], pair[1]});
  }
  return tests;
}

std::vector<KvType> kv_types_of(const Settings& settings) {
  std::vector<KvType> types;
  for (const std::string& name : settings.names("kv-type")) {
    if (name != "f32" && name != "f16") {
      fail(ErrorKind::kUsage, "{}: expected f32, f16 or both, found '{}'", settings.where("kv-type"), printable(name));
    }
    types.push_back(name == "f16" ? KvType::kF16 : KvType::kF32);
  }
  return types;
}

ResultsFormat results_format(const std::string& word) {
  if (word == "csv") return ResultsFormat::kCsv;
  if (word == "json") return ResultsFormat::kJson;
  if (word == "jsonl") return ResultsFormat::kJsonLines;
  return word == "none" ? ResultsFormat::kNone : ResultsFormat::kMarkdown;
}

// --json beside another -o is a contradiction.
ResultsFormat output_format(const Settings& settings) {
  const std::string& word = settings.choice("output");
  if (!settings.flag("json")) return results_format(word);
  if (settings.of("output").source == Source::kFlag && word != "json") {
    fail(ErrorKind::kUsage, "{} and {} {}: give one", settings.where("json"), settings.where("output"), word);
  }
  return ResultsFormat::kJson;
}

void apply_preset(const Settings& settings, BenchmarkOptions& out) {
  out.ac10 = settings.choice("preset") == "ac10";
  if (!out.ac10) return;
  for (const std::string_view name : {"n-prompt", "backend"}) {
    if (settings.of(name).source == Source::kFlag) {
      fail(ErrorKind::kUsage, "{} ac10 sets what {} asks for: give one", settings.where("preset"), settings.where(name));
    }
  }
  out.n_prompt = {10, 50, 100, 200};
}

}  // namespace

BenchmarkOptions benchmark_options(const Settings& settings, std::span<const std::string> words, const Environment& environment,
                                   ParsedCommand& parsed) {
  refuse_operands(words);
  BenchmarkOptions out;
  out.model = model_of(settings);
  out.n_prompt = counts_of(settings, "n-prompt", 0, kMaxTokens);
  out.n_gen = counts_of(settings, "n-gen", 0, kMaxTokens);
  out.n_depth = counts_of(settings, "n-depth", 0, kMaxTokens);
  out.n_parallel = counts_of(settings, "n-parallel", 1, kMaxParallel);
  out.prompt_gen = prompt_gen_of(settings);
  out.threads = counts_of(settings, "threads", 0, kMaxThreads);
  out.batch_size = counts_of(settings, "batch-size", 1, kMaxBatch);
  out.ubatch_size = counts_of(settings, "ubatch-size", 1, kMaxBatch);
  out.kv_type = kv_types_of(settings);
  out.repetitions = static_cast<uint32_t>(settings.integer("repetitions"));
  out.warm_up = !settings.flag("no-warmup");
  if (!out.warm_up && settings.flag("warmup")) {
    fail(ErrorKind::kUsage, "{} and {}: give one", settings.where("warmup"), settings.where("no-warmup"));
  }
  out.delay = settings.real("delay");
  apply_preset(settings, out);
  out.format = output_format(settings);
  out.format_err = results_format(settings.choice("output-err"));
  out.compute = backend_options(settings, environment, parsed);
  out.formats = format_options(settings);
  out.output = output_options(settings);
  const auto is_test = [](uint32_t n) { return n > 0; };
  if (out.prompt_gen.empty() && std::none_of(out.n_prompt.begin(), out.n_prompt.end(), is_test) &&
      std::none_of(out.n_gen.begin(), out.n_gen.end(), is_test)) {
    fail(ErrorKind::kUsage, "-p 0 and -n 0: nothing to measure");
  }
  return out;
}

AnalyzeOptions analyze_options(const Settings& settings, std::span<const std::string> words, bool print_config) {
  refuse_operands(words);
  AnalyzeOptions out;
  out.results = settings.paths("results");
  out.baseline = settings.path("baseline");
  out.baseline_is_folder = settings.of("baseline").origin == "BITNET_BASELINE_DIR";
  out.threshold = settings.real("threshold");
  out.update = settings.flag("update");
  const std::string& format = settings.choice("format");
  out.format = format == "json" ? ReportFormat::kJson : format == "junit" ? ReportFormat::kJUnit : ReportFormat::kText;
  out.output.log_level = log_level_of(settings);
  if (print_config) return out;
  if (out.results.empty()) fail(ErrorKind::kUsage, "no results: give --results FILE, written by 'benchmark -o json'");
  if (out.baseline.empty()) fail(ErrorKind::kUsage, "no baseline: give --baseline PATH or set BITNET_BASELINE_DIR");
  return out;
}

}  // namespace bitnet::cli
