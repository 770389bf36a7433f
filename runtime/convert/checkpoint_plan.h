// convert/checkpoint_plan.h - which tensors a checkpoint gets, decided before the first byte is written.
//
// Errors  Error{kUsage}: what checkpoints cannot hold (scales that differ along a matrix, biases of some matrices only, gains
//         that do not come back), naming the tensor. Error{kInvalidModel}: a tensor is missing or of another shape.
// Threads one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/hf_config.h"
#include "checkpoint/hf_names.h"
#include "convert/source.h"

namespace bitnet::convert {

// One tensor of the output.
struct CheckpointTensor {
  std::string name;
  const char* dtype = nullptr;
  std::vector<uint64_t> shape;
  uint64_t bytes = 0;
  size_t source = 0;
  checkpoint::Role role = checkpoint::Role::kGain;
  bool pairs = false;
  bool less_one = false;                 // numbers are stored less 1
  bool convert = false;                  // numbers written as f32
  std::optional<float> only_scale = {};  // this is a weight_scale
};

// In the order of the file.
std::vector<CheckpointTensor> plan_checkpoint(const Source& source, const checkpoint::HfConfig& config);

}  // namespace bitnet::convert
