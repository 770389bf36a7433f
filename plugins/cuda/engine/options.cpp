// engine/options.cpp - JSON to Options.
#include "options.h"

#include <nlohmann/json.hpp>
#include <stdexcept>

namespace bn_cuda {
namespace {

using nlohmann::json;

json read_object(const char* text) {
  if (text == nullptr || *text == '\0') return json::object();
  json j = json::parse(text, nullptr, false);
  if (!j.is_object()) throw std::invalid_argument("options: not a JSON object: " + std::string(text).substr(0, 120));
  return j;
}

[[noreturn]] void refuse(const char* key, const char* expected, const json& found) {
  throw std::invalid_argument(std::string("option ") + key + ": expected " + expected + ", found " +
                              found.dump(-1, ' ', false, json::error_handler_t::replace).substr(0, 80));
}

std::string word(const json& j, const char* key, const char* expected) {
  if (!j[key].is_string()) refuse(key, expected, j[key]);
  return j[key].get<std::string>();
}

void read_path(const json& j, Options& o) {
  constexpr const char* kExpected = "\"auto\", \"dot4\", \"bits\" or \"bytes\"";
  const std::string path = word(j, "path", kExpected);
  constexpr const char* kNames[kDotPaths] = {"dot4", "bits", "bytes"};
  for (uint32_t i = 0; i < kDotPaths; ++i) {
    if (path == kNames[i]) o.path = static_cast<DotPath>(i);
  }
  if (!o.path && path != "auto") refuse("path", kExpected, j["path"]);
}

void read_stage(const json& j, Options& o) {
  constexpr const char* kExpected = "\"s0\", \"s1\", \"s2\" or \"s3\"";
  const std::string stage = word(j, "stage", kExpected);
  if (stage.size() != 2 || stage[0] != 's' || stage[1] < '0' || stage[1] > '3') refuse("stage", kExpected, j["stage"]);
  o.stage = static_cast<Stage>(stage[1] - '0');
}

void read_numerics(const json& j, Options& o) {
  constexpr const char* kExpected = "\"exact\" or \"fast\"";
  const std::string numerics = word(j, "numerics", kExpected);
  if (numerics != "exact" && numerics != "fast") refuse("numerics", kExpected, j["numerics"]);
  o.fast = numerics == "fast";
}

void read_watchdog(const json& j, Options& o) {
  const json& ms = j["watchdog_ms"];
  if (!ms.is_number_unsigned() || ms.get<uint64_t>() == 0 || ms.get<uint64_t>() > 3600000) {
    refuse("watchdog_ms", "milliseconds from 1 to 3600000", ms);
  }
  o.watchdog = std::chrono::milliseconds(ms.get<int64_t>());
}

}  // namespace

Options read_options(const char* text) {
  const json options = read_object(text);
  Options o;
  if (options.contains("path")) read_path(options, o);
  if (options.contains("stage")) read_stage(options, o);
  if (options.contains("numerics")) read_numerics(options, o);
  if (options.contains("watchdog_ms")) read_watchdog(options, o);
  if (options.contains("faults")) o.faults = parse_gpu_faults(word(options, "faults", "a script"));
  if (options.contains("early_launch")) {
    if (!options["early_launch"].is_boolean()) refuse("early_launch", "true or false", options["early_launch"]);
    o.early_launch = options["early_launch"].get<bool>();
  }
  return o;
}

}  // namespace bn_cuda
