// validate/report.h - what was found out about a model file, as data and as text, JSON and JUnit.
//
// JSON    {"schema": 1, "file", "valid", "strict", "header_valid", "tensors_accessible", "errors": [FINDING], "warnings":
// [FINDING],
//         "bitnet_info": {"quantization_type", "group_size"}, "tokenizer": {...} or null, "tensor_info": [TENSOR], "steps":
//         [...]} FINDING {"kind", "step", "name", "offset", "size", "expected", "found", "message"}: null where it means
//         nothing.
// Source  acceptance.md, AC5 and AC6.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "gguf/format_error.h"
#include "gguf/reader.h"
#include "tokenizer/compatibility.h"
#include "validate/tensor_statistics.h"

namespace bitnet::validate {

enum class Step : uint8_t { kHeader, kMetadata, kTensors, kBitnet, kCrossReferences };
const char* step_name(Step step);  // "cross references"

struct Finding {
  std::string kind;  // "TensorAlignment"
  Step step = Step::kHeader;
  gguf::FaultPlace place;
  std::string message;  // one line, safe for a terminal
};

struct TensorReport {
  std::string name, type;
  std::vector<uint64_t> extents;  // fastest first, as many as the file says
  uint64_t offset = 0, bytes = 0;
  TensorStatistics statistics;
};

struct BitnetInfo {
  std::string quantization_type;       // of the block matrices: "I2_S"; empty: unknown
  std::optional<uint32_t> group_size;  // weights that share one packed group
};

struct Report {
  std::string file;
  bool strict = false;
  bool header_valid = false, tensors_accessible = false;
  std::vector<Finding> errors, warnings;
  BitnetInfo bitnet_info;
  std::optional<CompatibilityReport> tokenizer;
  std::vector<TensorReport> tensors;
  std::vector<Step> done;  // steps that were run

  // Nothing is wrong; with strict, nothing is doubtful either.
  bool valid() const { return errors.empty() && !(strict && !warnings.empty()); }
};

std::string report_text(const Report& report);
nlohmann::json report_json(const Report& report);
nlohmann::json tensors_json(const std::vector<TensorReport>& tensors);
std::string report_junit(const Report& report);

}  // namespace bitnet::validate
