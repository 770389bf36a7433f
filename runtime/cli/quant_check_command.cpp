// cli/quant_check_command.cpp - "quant-check A B": the weights of two model files, by types and where they differ.
#include <algorithm>

#include "cli/commands.h"
#include "cli/json_text.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "convert/weight_comparison.h"

namespace bitnet::cli {
namespace {

using convert::TensorComparison;

constexpr size_t kShown = 20;  // tensors that do not pass

// All tensors of the same two types together.
struct Group {
  std::string types;
  uint64_t tensors = 0, weights = 0, codes_different = 0, failed = 0;
  bool has_codes = false;
  double scale_difference = 0, mse = 0, max_error = 0, relative_error = 0;  // the largest of a tensor
};

std::string types_of(const TensorComparison& t) {
  return fmt::format("{} / {}", t.type_a.empty() ? "-" : t.type_a, t.type_b.empty() ? "-" : t.type_b);
}

std::vector<Group> groups_of(const convert::WeightComparison& comparison) {
  std::vector<Group> groups;
  for (const TensorComparison& t : comparison.tensors) {
    const std::string types = types_of(t);
    auto at = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.types == types; });
    if (at == groups.end()) at = groups.insert(groups.end(), Group{.types = types});
    ++at->tensors;
    at->weights += t.weights;
    at->failed += t.passed() ? 0 : 1;
    at->has_codes |= t.codes_different.has_value();
    at->codes_different += t.codes_different.value_or(0);
    at->scale_difference = std::max(at->scale_difference, t.scale_difference.value_or(0));
    at->mse = std::max(at->mse, t.mse);
    at->max_error = std::max(at->max_error, t.max_error);
    at->relative_error = std::max(at->relative_error, t.relative_error);
  }
  return groups;
}

std::string text_report(const convert::WeightComparison& comparison) {
  std::string out = fmt::format("{:<24} {:>7} {:>13} {:>11} {:>10} {:>9} {:>9} {:>9}  {}\n", "types", "tensors", "weights",
                                "codes diff.", "scales", "mse", "max", "relative", "result");
  for (const Group& g : groups_of(comparison)) {
    out += fmt::format("{:<24} {:>7} {:>13} {:>11} {:>10} {:>9.2g} {:>9.2g} {:>9.2g}  {}\n", g.types, g.tensors, g.weights,
                       g.has_codes ? std::to_string(g.codes_different) : "-",
                       g.has_codes ? fmt::format("{:.2g}", g.scale_difference) : "-", g.mse, g.max_error, g.relative_error,
                       g.failed == 0 ? "pass" : fmt::format("{} FAIL", g.failed));
  }
  size_t shown = 0;
  for (const TensorComparison& t : comparison.tensors) {
    if (t.passed() || ++shown > kShown) continue;
    out += t.problem.empty() ? fmt::format("{}: max error {:.3g}, relative {:.3g}, tolerance {:g}\n", printable(t.name),
                                           t.max_error, t.relative_error, t.tolerance)
                             : fmt::format("{}: not measured: {}\n", printable(t.name), t.problem);
  }
  if (shown > kShown) out += fmt::format("and {} more\n", shown - kShown);
  return out + (comparison.passed() ? "passed\n" : "failed\n");
}

std::string json_report(const QuantCheckOptions& o, const convert::WeightComparison& comparison) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const TensorComparison& t : comparison.tensors) {
    const bool measured = t.problem.empty();
    nlohmann::json j = {{"name", t.name},
                        {"types", {t.type_a, t.type_b}},
                        {"weights", t.weights},
                        {"codes_different", nullptr},
                        {"scale_difference", nullptr},
                        {"mse", nullptr},
                        {"max_error", nullptr},
                        {"relative_error", nullptr},
                        {"tolerance", t.tolerance},
                        {"result", t.passed() ? "pass"
                                   : measured ? "fail"
                                              : "not measured"}};
    if (measured) {
      if (t.codes_different) j["codes_different"] = *t.codes_different;
      j["scale_difference"] = json_number(t.scale_difference);
      j["mse"] = t.mse;
      j["max_error"] = t.max_error;
      j["relative_error"] = json_number(t.relative_error);
    } else {
      j["problem"] = t.problem;
    }
    tensors.push_back(std::move(j));
  }
  return json_text({{"schema", 1}, {"files", {o.a, o.b}}, {"passed", comparison.passed()}, {"tensors", tensors}}) + "\n";
}

}  // namespace

int quant_check_command(const QuantCheckOptions& o) {
  gguf::TileTable tiles;
  const gguf::TernaryOptions reading = ternary_options(o.formats, tiles);
  set_mapped_path(o.a);
  const convert::Source a(o.a, reading), b(o.b, {.tiles = &tiles});
  ProgressLine progress(o.output.progress, "compare", "MB");
  const convert::WeightComparison comparison = convert::compare_weights(a, b, o.tolerance, [&](uint64_t done, uint64_t total) {
    if (stop_requested()) fail(ErrorKind::kInterrupted, "stopped");
    progress.update(done >> 20, total >> 20);
  });
  progress.finish();
  write_stdout(o.output.json ? json_report(o, comparison) : text_report(comparison));
  return comparison.passed() ? 0 : static_cast<int>(ErrorKind::kQuality);
}

}  // namespace bitnet::cli
