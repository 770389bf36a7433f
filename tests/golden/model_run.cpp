// golden/model_run.cpp - the command line of a run, and what must be true of every report.
#include "golden/model_run.h"

#include <fmt/format.h>

#include <cstring>
#include <sstream>
#include <stdexcept>

#include "golden/reference.h"
#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::golden_test {
namespace {

const bool kShared = test::share_cache();

std::vector<std::string> arguments_of(const RunSettings& s, const std::string& logits_file) {
  std::vector<std::string> args = {"run", "-m", s.model, "--backend", s.backend, "--no-fallback", "--json"};
  const auto add = [&](std::initializer_list<std::string> more) { args.insert(args.end(), more); };
  if (s.ids.empty())
    add({"-p", s.text});
  else
    add({"--prompt-ids", fmt::format("{}", fmt::join(s.ids, ","))});
  add({"-n", std::to_string(s.n_predict), "-t", std::to_string(s.threads), "-ub", std::to_string(s.step_tokens)});
  if (s.f16_kv) add({"--kv-type", "f16"});
  add({"--logits-out", logits_file});
  const std::vector<std::string> reading = reading_options(s.model);
  args.insert(args.end(), reading.begin(), reading.end());
  args.insert(args.end(), s.more.begin(), s.more.end());
  return args;
}

}  // namespace

const std::vector<std::string>& backends() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    std::istringstream text(BITNET_GOLDEN_BACKENDS);
    for (std::string name; std::getline(text, name, ',');) list.push_back(name);
    return list;
  }();
  return names;
}

std::string missing_cpu_features(const std::string& backend) {
#if defined(__x86_64__)
  if (backend == "cpu_avx2" && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) {
    return "this machine's CPU has no AVX2 with FMA";
  }
  if (backend == "cpu_avx512" && !__builtin_cpu_supports("avx512vnni")) return "this machine's CPU has no AVX-512 VNNI";
#endif
  static_cast<void>(backend);
  return "";
}

ModelRun run_model(const RunSettings& settings) {
  const test::TempFolder folder;
  const std::string logits_file = folder / "logits.bin";
  const test::ProgramResult result = test::run_program(arguments_of(settings, logits_file));
  const auto refuse = [&](const std::string& what) {
    std::ostringstream text;
    text << settings.model << " on " << settings.backend << ": " << what << "\n" << result;
    throw std::runtime_error(text.str());
  };
  if (result.exit_code != 0) refuse("expected exit code 0");
  ModelRun run;
  run.report = nlohmann::json::parse(result.out);
  if (run.report.at("backend").at("name") != settings.backend) refuse("another backend answered");
  if (!run.report.at("fallback").empty()) refuse("expected no fallback");
  if (run.report.at("mock") != (settings.backend == "mock")) refuse("expected no mock unless it was named");
  run.tokens = run.report.at("tokens").get<std::vector<int32_t>>();
  run.logits = test::read_numbers<float>(logits_file);
  return run;
}

testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return testing::AssertionFailure() << a.size() << " and " << b.size() << " values";
  if (a.empty()) return testing::AssertionFailure() << "nothing to compare";
  if (std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0) return testing::AssertionSuccess();
  size_t first = 0, count = 0;
  for (size_t i = a.size(); i-- > 0;) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) first = i, ++count;
  }
  return testing::AssertionFailure() << count << " of " << a.size() << " values differ, first value " << first << ": "
                                     << a[first] << " and " << b[first];
}

}  // namespace bitnet::golden_test
