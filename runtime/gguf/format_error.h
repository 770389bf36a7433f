// gguf/format_error.h - what is wrong with a file, beside the sentence that says so: for reports.
//
// The reader throws these wherever it throws Error{kInvalidModel}; who only prints the sentence need not know.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace bitnet::gguf {

enum class Fault : uint8_t {
  kInvalidHeader,            // magic, version, counts, what is no GGUF file
  kTruncatedFile,            //
  kInvalidMetadata,          // a key that is broken or out of range
  kMissingMetadata,          //
  kDimensionMismatch,        // extents that are impossible or contradict the keys
  kTensorAlignment,          //
  kTensorOutOfBounds,        // beyond the file, or an offset that wraps
  kTensorOverlap,            //
  kUnsupportedQuantization,  // type unknown, retired, ambiguous, or not for this role
  kTensorSet,                // a tensor that is missing, unexpected, or there twice
  kIllegalCode,              // a ternary code 3
  kUnusableNumber,           // not finite
};

// "TensorAlignment"
std::string_view fault_name(Fault fault);

// Numbers in bytes; what is not known is empty.
struct FaultPlace {
  std::string name;                                       // of the tensor or key; empty: the file
  std::optional<uint64_t> offset, size, expected, found;  // offset from the file start
};

class FormatError : public Error {
 public:
  FormatError(Fault fault, FaultPlace place, const std::string& message)
      : Error(ErrorKind::kInvalidModel, message), fault_(fault), place_(std::move(place)) {}

  Fault fault() const noexcept { return fault_; }
  const FaultPlace& place() const noexcept { return place_; }

 private:
  Fault fault_;
  FaultPlace place_;
};

template <class... Args>
[[noreturn]] void fail_format(Fault fault, FaultPlace place, fmt::format_string<Args...> format, Args&&... args) {
  throw FormatError(fault, std::move(place), fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace bitnet::gguf
