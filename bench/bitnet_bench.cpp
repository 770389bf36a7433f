// bench/bitnet_bench.cpp - "bitnet-bench -m FILE": end-to-end speed of one backend, beside what the machine could do.
#include <algorithm>
#include <boost/program_options.hpp>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "end_to_end.h"
#include "machine.h"
#include "program.h"

namespace bitnet::bench {
namespace {

namespace po = boost::program_options;
using nlohmann::json;

// What first-party CPU backends are to reach with two threads.
constexpr double kGenerateAim = 0.60;  // of the bandwidth of reading memory
constexpr double kPromptAim = 0.45;    // of the rate of vpmaddubsw + vpaddw

struct Options {
  std::string model;
  EndToEndOptions run;
  bool json = false;
};

// Empty when only the help was wanted.
std::optional<Options> parse(int argc, char** argv) {
  Options o;
  std::string head;
  po::options_description options("bitnet-bench: end-to-end speed of one backend");
  auto add = options.add_options();
  add("help,h", "this text");
  add("model,m", po::value(&o.model)->default_value("2b-4t.gguf"), "model file");
  add("backend", po::value(&o.run.backend)->default_value(o.run.backend), "this backend or an error");
  add("threads,t", po::value(&o.run.threads)->default_value(usable_cores()), "threads of backend and ceilings");
  add("prompt,p", po::value(&o.run.n_prompt)->default_value(o.run.n_prompt), "prompt tokens, 0: no such test");
  add("generate,n", po::value(&o.run.n_generate)->default_value(o.run.n_generate), "single tokens, 0: no such test");
  add("repetitions,r", po::value(&o.run.repetitions)->default_value(o.run.repetitions), "after a warm-up");
  add("top-k", po::value(&o.run.top_k)->default_value(o.run.top_k), "single tokens are sampled from so many, 1: greedy");
  add("head", po::value(&head)->default_value("auto"), "auto, full or screened, as of bitnet-run");
  add("json", po::bool_switch(&o.json), "one JSON object instead of the table");
  po::variables_map values;
  po::store(po::parse_command_line(argc, argv, options), values);
  po::notify(values);
  if (values.count("help") != 0) {
    std::cout << options;
    return std::nullopt;
  }
  if (o.run.threads < 1 || o.run.threads > 1024) fail(ErrorKind::kUsage, "-t {}: expected 1 to 1024", o.run.threads);
  if (o.run.repetitions < 1 || o.run.repetitions > 1000)
    fail(ErrorKind::kUsage, "-r {}: expected 1 to 1000", o.run.repetitions);
  if (o.run.top_k < 1 || o.run.top_k > BN_TOPK_MAX)
    fail(ErrorKind::kUsage, "--top-k {}: expected 1 to {}", o.run.top_k, BN_TOPK_MAX);
  if (head != "auto" && head != "full" && head != "screened")
    fail(ErrorKind::kUsage, "--head {}: expected auto, full or screened", printable(head));
  o.run.head = head == "full"       ? model::HeadMode::kFull
               : head == "screened" ? model::HeadMode::kScreened
                                    : model::HeadMode::kAuto;
  if (!std::filesystem::exists(o.model)) {
    fail(ErrorKind::kUsage, "{0}: there is no such model; make one with: bitnet-make-model --shape 2b-4t -o {0}",
         printable(o.model));
  }
  return o;
}

// One test in the units of the resource that bounds it.
struct Row {
  std::string name;
  const TestResult* test;
  const char* unit;     // "MAC" or "B"
  const char* ceiling;  // what bounds it
  double per_token;     // units
  double aim;
  std::vector<double> ceilings;  // 1e9 units/s, one per repetition

  double achieved() const {  // units/s
    return per_token * median(test->tokens_per_second);
  }
  // Median of the shares within repetitions; 0 when the ceiling was not measured.
  double share() const {
    std::vector<double> shares;
    for (size_t i = 0; i < ceilings.size(); ++i) {
      if (ceilings[i] > 0) shares.push_back(1e-9 * per_token * test->tokens_per_second[i] / ceilings[i]);
    }
    return median(shares);
  }
};

std::vector<Row> make_rows(const EndToEndResult& r) {
  std::vector<Row> rows;
  const auto of_ceilings = [&](double Ceilings::*value) {
    std::vector<double> values;
    for (const Ceilings& c : r.ceilings) values.push_back(c.*value);
    return values;
  };
  if (const uint32_t n = r.prompt.n_tokens; n != 0) {
    rows.push_back({fmt::format("pp{}", n), &r.prompt, "MAC", "maddubs", static_cast<double>(r.workload.matrix_macs),
                    kPromptAim, of_ceilings(&Ceilings::maddubs_gmacs_n)});
  }
  if (const uint32_t n = r.generate.n_tokens; n != 0) {
    const double middle = kShortPrompt + (n - 1) / 2.0;  // position of the average token
    rows.push_back({fmt::format("tg{}", n), &r.generate, "B", "read", bytes_at(r.workload, r.generate.head, middle),
                    kGenerateAim, of_ceilings(&Ceilings::read_gbps_n)});
  }
  return rows;
}

std::string spread(const std::vector<double>& values, const char* format) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const auto text = [&](double v) { return fmt::format(fmt::runtime(format), v); };
  return fmt::format("{} [{} .. {}]", text(median(values)), text(*low), text(*high));
}

double candidates_per_token(const model::HeadUse& head) {
  return head.screened != 0 ? static_cast<double>(head.candidates) / static_cast<double>(head.screened) : 0;
}

void print_table(const Options& o, const model::Model& model, double open_seconds, const EndToEndResult& r) {
  const Workload& w = r.workload;
  std::cout << fmt::format("model    {}: {}, {} layers, {} {:.3f} GB, head {:.3f} GB, keys and values {} bytes a position\n",
                           printable(o.model), printable(model.config.name), model.config.arch.n_layers,
                           model.weights.quantization, 1e-9 * static_cast<double>(w.matrix_bytes),
                           1e-9 * static_cast<double>(w.head_bytes), w.kv_position_bytes);
  std::cout << fmt::format("machine  {}\nrun      {}, {} threads, {} repetitions; median [least .. most]\n\n",
                           machine_line(this_machine()), o.run.backend, o.run.threads, o.run.repetitions);
  constexpr const char* kColumns = "{:<7} {:<28} {:>13} {:>14}  {:<36} {:>6} {:>5}  {}\n";
  std::cout << fmt::format(kColumns, "test", "tokens/s", "a token", "achieved", "ceiling", "share", "aim", "logits");
  for (const Row& row : make_rows(r)) {
    const std::string rate = fmt::format("G{}/s", row.unit);
    const bool known = row.share() > 0;
    std::cout << fmt::format(kColumns, row.name, spread(row.test->tokens_per_second, "{:.2f}"),
                             fmt::format("{:.4f} G{}", 1e-9 * row.per_token, row.unit),
                             fmt::format("{:.2f} {}", 1e-9 * row.achieved(), rate),
                             known ? fmt::format("{} {}", row.ceiling, spread(row.ceilings, "{:.1f}")) : "not measured",
                             known ? fmt::format("{:.1f} %", 100 * row.share()) : "", fmt::format("{:.0f} %", 100 * row.aim),
                             row.test->logits_sha256.substr(0, 16));
  }
  std::vector<double> milliseconds;
  for (const double step : r.generate.step_seconds) milliseconds.push_back(1e3 * step);
  std::cout << '\n';
  if (!milliseconds.empty()) std::cout << fmt::format("steps    {} ms\n", spread(milliseconds, "{:.2f}"));
  std::cout << fmt::format("load     file {:.3f} s, backend {} s\n", open_seconds, spread(r.load_seconds, "{:.3f}"));
  const model::HeadUse& head = r.generate.head;
  if (head.screened + head.fell_back != 0) {
    std::cout << fmt::format("head     {} MB a token instead of {}: {:.1f} rows computed, {} at most, {} times as stored\n",
                             static_cast<uint64_t>(head_bytes_read(w, head)) / 1'000'000, w.head_bytes / 1'000'000,
                             candidates_per_token(head), head.most_candidates, head.fell_back);
  }
  std::cout << fmt::format("memory   peak {} MB; file {} MB, keys and values {} MB, copy of the head {} MB\n",
                           r.peak_rss / 1'000'000, model.file.size() / 1'000'000, r.kv_bytes / 1'000'000,
                           head.screen_bytes / 1'000'000);
}

json test_json(const Row& row) {
  return {{"test", row.name},
          {"tokens", row.test->n_tokens},
          {"tokens_per_second", row.test->tokens_per_second},
          {"median_tokens_per_second", median(row.test->tokens_per_second)},
          {"step_seconds", row.test->step_seconds},
          {"per_token", row.per_token},
          {"unit", row.unit},
          {"achieved_per_second", row.achieved()},
          {"ceiling", row.ceiling},
          {"share_of_ceiling", row.share() > 0 ? json(row.share()) : json(nullptr)},
          {"aim", row.aim},
          {"logits_hash", "sha256:" + row.test->logits_sha256}};
}

json report_json(const Options& o, const model::Model& model, double open_seconds, const EndToEndResult& r) {
  const Machine machine = this_machine();
  const model::HeadUse& head = r.generate.head;
  json tests = json::array(), ceilings = json::array();
  for (const Row& row : make_rows(r)) tests.push_back(test_json(row));
  for (const Ceilings& c : r.ceilings) {
    ceilings.push_back({{"threads", c.threads},
                        {"read_gbps_1", c.read_gbps_1},
                        {"read_gbps_n", c.read_gbps_n},
                        {"maddubs_gmacs_1", c.maddubs_gmacs_1},
                        {"maddubs_gmacs_n", c.maddubs_gmacs_n}});
  }
  return {
      {"schema", 1},
      {"machine", {{"cpu", machine.cpu}, {"cores", machine.cores}, {"compiler", machine.compiler}, {"commit", machine.commit}}},
      {"model", {{"file", o.model}, {"name", model.config.name}, {"bytes", model.file.size()}}},
      {"backend", o.run.backend},
      {"threads", o.run.threads},
      {"tests", tests},
      {"ceilings", ceilings},
      {"load_seconds", {{"file", open_seconds}, {"backend", r.load_seconds}}},
      {"head",
       {{"bytes_read", head_bytes_read(r.workload, head)},
        {"screen_bytes", head.screen_bytes},
        {"screened_tokens", head.screened},
        {"mean_candidates", candidates_per_token(head)},
        {"most_candidates", head.most_candidates},
        {"full_instead", head.fell_back}}},
      {"memory", {{"peak_rss", r.peak_rss}, {"kv_cache", r.kv_bytes}}}};
}

int bench(int argc, char** argv) {
  const std::optional<Options> parsed = parse(argc, argv);
  if (!parsed) return 0;
  const Options& o = *parsed;
  const auto start = std::chrono::steady_clock::now();
  const model::Model model(o.model);
  const double open_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  backend::DiscoveryOptions discovery;
  discovery.program_path = program.string();
  const auto registry = backend::Registry::discover(discovery);
  const EndToEndResult result = run_end_to_end(model, registry, o.run);
  if (o.json) {
    std::cout << report_json(o, model, open_seconds, result).dump(-1, ' ', false, json::error_handler_t::replace) << '\n';
  } else {
    print_table(o, model, open_seconds, result);
  }
  return 0;
}

}  // namespace
}  // namespace bitnet::bench

int main(int argc, char** argv) {
  return bitnet::bench::run_program("bitnet-bench", [&] { return bitnet::bench::bench(argc, argv); });
}
