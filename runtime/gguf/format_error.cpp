// gguf/format_error.cpp - the names of faults in reports.
#include "gguf/format_error.h"

#include <array>

namespace bitnet::gguf {

std::string_view fault_name(Fault fault) {
  static constexpr std::array<std::string_view, 12> kNames = {
      "InvalidHeader",           "TruncatedFile",   "InvalidMetadata",   "MissingMetadata",
      "DimensionMismatch",       "TensorAlignment", "TensorOutOfBounds", "TensorOverlap",
      "UnsupportedQuantization", "TensorSet",       "IllegalCode",       "UnusableNumber"};
  return kNames[static_cast<size_t>(fault)];
}

}  // namespace bitnet::gguf
