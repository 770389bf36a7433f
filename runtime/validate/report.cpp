// validate/report.cpp - the three forms of a report.
#include "validate/report.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/xml_text.h"

namespace bitnet::validate {
namespace {

using nlohmann::json;

constexpr std::array<Step, 5> kSteps = {Step::kHeader, Step::kMetadata, Step::kTensors, Step::kBitnet, Step::kCrossReferences};

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

json text_or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

json findings_json(const std::vector<Finding>& findings) {
  json all = json::array();
  for (const Finding& f : findings) {
    all.push_back({{"kind", f.kind},
                   {"step", step_name(f.step)},
                   {"name", text_or_null(f.place.name)},
                   {"offset", or_null(f.place.offset)},
                   {"size", or_null(f.place.size)},
                   {"expected", or_null(f.place.expected)},
                   {"found", or_null(f.place.found)},
                   {"message", f.message}});
  }
  return all;
}

json statistics_json(const TensorStatistics& s) {
  if (s.ternary) {
    return {{"codes", {{"-1", s.ternary->negative}, {"0", s.ternary->zero}, {"1", s.ternary->positive}}},
            {"scale_low", s.ternary->scale_low},
            {"scale_high", s.ternary->scale_high}};
  }
  if (s.numbers) {
    return {{"rms", s.numbers->rms}, {"low", s.numbers->low}, {"high", s.numbers->high}, {"not_finite", s.numbers->not_finite}};
  }
  return nullptr;
}

bool was_done(const Report& report, Step step) {
  return std::find(report.done.begin(), report.done.end(), step) != report.done.end();
}

// What counts against a step.
std::vector<const Finding*> failures_of(const Report& report, Step step) {
  std::vector<const Finding*> failures;
  for (const Finding& f : report.errors) {
    if (f.step == step) failures.push_back(&f);
  }
  for (const Finding& f : report.warnings) {
    if (report.strict && f.step == step) failures.push_back(&f);
  }
  return failures;
}

}  // namespace

const char* step_name(Step step) {
  static constexpr const char* kNames[] = {"header", "metadata", "tensors", "bitnet", "cross references"};
  return kNames[static_cast<size_t>(step)];
}

std::string report_text(const Report& report) {
  std::string out;
  for (const Step step : kSteps) {
    const bool done = was_done(report, step);
    const size_t failures = failures_of(report, step).size();
    out += fmt::format("{:<17} {}\n", step_name(step), !done ? "not reached" : failures == 0 ? "passed" : "FAILED");
  }
  for (const Finding& f : report.errors) out += fmt::format("error: {}: {}\n", f.kind, f.message);
  for (const Finding& f : report.warnings) out += fmt::format("warning: {}: {}\n", f.kind, f.message);
  if (!report.bitnet_info.quantization_type.empty()) {
    out += fmt::format("{} tensors, block matrices in {}{}\n", report.tensors.size(), report.bitnet_info.quantization_type,
                       report.bitnet_info.group_size ? fmt::format(", groups of {}", *report.bitnet_info.group_size) : "");
  }
  return out + fmt::format("{}: {}{}, {} error{}, {} warning{}\n", printable(report.file, 4096),
                           report.valid() ? "valid" : "INVALID", report.strict ? " (strict: warnings count)" : "",
                           report.errors.size(), report.errors.size() == 1 ? "" : "s", report.warnings.size(),
                           report.warnings.size() == 1 ? "" : "s");
}

json tensors_json(const std::vector<TensorReport>& reports) {
  json tensors = json::array();
  for (const TensorReport& t : reports) {
    tensors.push_back({{"name", t.name},
                       {"type", t.type},
                       {"shape", t.extents},
                       {"offset", t.offset},
                       {"size", t.bytes},
                       {"statistics", statistics_json(t.statistics)}});
  }
  return tensors;
}

json report_json(const Report& report) {
  json steps = json::array();
  for (const Step step : kSteps) {
    steps.push_back({{"name", step_name(step)},
                     {"done", was_done(report, step)},
                     {"passed", was_done(report, step) ? json(failures_of(report, step).empty()) : json(nullptr)}});
  }
  json tokenizer = nullptr;
  if (const auto& t = report.tokenizer) {
    const auto& sizes = t->model_expectations;
    tokenizer = {{"vocab_size_match", t->vocab_size_match ? json(*t->vocab_size_match) : json()},
                 {"special_tokens_present", t->special_tokens_present},
                 {"encoding_consistency", t->encoding_consistency},
                 {"model_expectations",
                  {{"expected", sizes.expected ? json(*sizes.expected) : json()},
                   {"actual", sizes.actual},
                   {"embedding_dim", sizes.embedding_dim ? json(*sizes.embedding_dim) : json()}}}};
  }
  return {{"schema", 1},
          {"file", report.file},
          {"valid", report.valid()},
          {"strict", report.strict},
          {"header_valid", report.header_valid},
          {"tensors_accessible", report.tensors_accessible},
          {"errors", findings_json(report.errors)},
          {"warnings", findings_json(report.warnings)},
          {"bitnet_info",
           {{"quantization_type", text_or_null(report.bitnet_info.quantization_type)},
            {"group_size", or_null(report.bitnet_info.group_size)}}},
          {"tokenizer", tokenizer},
          {"tensor_info", tensors_json(report.tensors)},
          {"steps", steps}};
}

std::string report_junit(const Report& report) {
  std::string cases;
  size_t n_failed = 0, n_skipped = 0;
  for (const Step step : kSteps) {
    const std::vector<const Finding*> failures = failures_of(report, step);
    cases += fmt::format("  <testcase classname=\"validate\" name=\"{}\">\n", step_name(step));
    if (!was_done(report, step)) {
      ++n_skipped;
      cases += "    <skipped message=\"not reached\"/>\n";
    }
    for (const Finding* f : failures) {
      cases += fmt::format("    <failure type=\"{}\" message=\"{}\"/>\n", xml_text(f->kind), xml_text(f->message));
    }
    n_failed += failures.empty() ? 0 : 1;
    cases += "  </testcase>\n";
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"validate {}\" tests=\"{}\" failures=\"{}\" "
      "skipped=\"{}\">\n{}"
      "</testsuite>\n",
      xml_text(printable(report.file, 4096)), kSteps.size(), n_failed, n_skipped, cases);
}

}  // namespace bitnet::validate
