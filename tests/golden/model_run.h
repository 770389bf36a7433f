// golden/model_run.h - one run of bitnet-run on one backend: its JSON report and its logits file.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

namespace bitnet::golden_test {

// The backends that must be there, in the order of CMake's list; the first is the plainest one.
const std::vector<std::string>& backends();
// Why this machine's CPU cannot run a backend; empty when it can.
std::string missing_cpu_features(const std::string& backend);

struct RunSettings {
  std::string model;  // path
  std::string backend;
  std::vector<int32_t> ids;  // the prompt as token ids; when empty, text is the prompt
  std::string text = {};
  int64_t n_predict = 0;
  uint32_t threads = 2;
  uint32_t step_tokens = 512;  // -ub
  bool f16_kv = false;
  std::vector<std::string> more = {};  // further options
};

struct ModelRun {
  nlohmann::json report;
  std::vector<float> logits;    // [processed tokens][vocab]
  std::vector<int32_t> tokens;  // generated
};

// Throws std::runtime_error with all output unless the program ended well, and the named backend alone did the work.
ModelRun run_model(const RunSettings& settings);

// Exactly the same bits. Reports where the first difference is.
testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b);

// Tests with a parameter that starts with the backend: skipped, with the reason, where the CPU cannot run it.
template <class Parameter>
class BackendTest : public testing::TestWithParam<Parameter> {
 protected:
  void SetUp() override {
    const std::string reason = missing_cpu_features(std::get<0>(this->GetParam()));
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  const std::string& backend() const { return std::get<0>(this->GetParam()); }
};

// Parameters of tests that have no other.
inline std::vector<std::tuple<std::string>> one_by_one(const std::vector<std::string>& names) {
  return {names.begin(), names.end()};
}

// "cpu_avx2_story" of a tuple of strings.
template <class Parameter>
std::string parameter_name(const testing::TestParamInfo<Parameter>& info) {
  return std::apply(
      [](const auto&... part) {
        std::string name;
        ((name += (name.empty() ? "" : "_") + part), ...);
        return name;
      },
      info.param);
}

}  // namespace bitnet::golden_test
