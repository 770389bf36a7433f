// benchmark/baseline.cpp - names by hash of the key, written aside and renamed.
#include "benchmark/baseline.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "base/replace_file.h"
#include "base/sha256.h"

namespace bitnet::benchmark {

std::string baseline_path(const std::string& folder, const Key& key) {
  const std::string text = key.machine + "\n" + key.build + "\n" + key.model;
  const std::string hash = sha256_hex({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return (std::filesystem::path(folder) / ("baseline-" + hash.substr(0, 16) + ".json")).string();
}

void write_baseline(const std::string& path, const MetricFile& baseline) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (error) fail(ErrorKind::kFailure, "{}: cannot be created: {}", printable(parent.string()), error.message());
  const std::string text = baseline_json(baseline).dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (!replace_file(path, text, 0644)) {
    fail(ErrorKind::kFailure, "{}: the baseline cannot be written: {}", printable(path), std::strerror(errno));
  }
}

void require_same_key(const Key& expected, const MetricFile& found, const std::string& path) {
  const auto check = [&](const char* what, const std::string& a, const std::string& b) {
    if (a != b) {
      fail(ErrorKind::kUsage, "{}: is for another {}: '{}', the results are for '{}'", printable(path), what, printable(b),
           printable(a));
    }
  };
  check("machine", expected.machine, found.key.machine);
  check("build", expected.build, found.key.build);
  check("model", expected.model, found.key.model);
}

}  // namespace bitnet::benchmark
