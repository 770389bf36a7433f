// convert/plan.h - what a conversion will do to every tensor, decided before the first byte is written.
//
// Rule    trits survive in every format. Scales are exact, or the conversion is refused with what the loss would be: formats
// that
//         store them as f16 (TQ1_0, TQ2_0, Q2_0, IQ1_BN) round them; formats with one scale per tensor (I2_S, TL1, TL2) need
//         rows that agree, rows of zeros aside.
// Errors  Error{kUsage} listing the tensors that the wanted format cannot hold, and what to do; Error{kInvalidModel} from the
// source. Threads one at a time; scales are read by several threads.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "convert/source.h"

namespace bitnet::convert {

enum class Scales {
  kExact,         // refuse what would round
  kScaleTensors,  // where f16 would round: 1 in the blocks, and the scale in a tensor NAME.scale
  kAllowLoss,     // round
};

struct Wanted {
  gguf::Type type = gguf::Type::kI2_S;
  Scales scales = Scales::kExact;
  const gguf::TileTable* tiles = nullptr;  // of the output, TL1 and TL2
};

struct PlannedTensor {
  size_t source = 0;
  bool encode = false;  // else its bytes are copied
  const gguf::TypeInfo* type = nullptr;
  float tensor_scale = 1;             // types with one scale per tensor
  std::optional<float> scale_tensor;  // unit scales in the blocks, this in the tensor .scale, which follows
};

struct Plan {
  std::vector<PlannedTensor> tensors;
  uint32_t file_type = 0;  // general.file_type
  uint64_t n_encoded = 0;  // tensors
  uint64_t n_copied = 0;   // ternary ones that have the wanted bytes already
  uint64_t n_scale_tensors = 0;
  double largest_loss = 0;  // of a scale, relative; 0: lossless
};

Plan make_plan(const Source& source, const Wanted& wanted);

// "i2_s", "tl1", ... as --type names them; empty for a name that is none of them.
std::optional<gguf::Type> parse_wanted_type(std::string_view name);

}  // namespace bitnet::convert
