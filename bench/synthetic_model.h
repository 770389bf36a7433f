// bench/synthetic_model.h - writes a model of the real dimensions with random weights, a piece at a time.
//
// The numbers are such that the model runs like a trained one: activations stay finite at any length of context, and logits are
// different for every token (about normal, variance 1). What it says has no meaning. A memoryless one costs a step the same,
// since no kernel looks at values, but it says the same behind the same token: greedily it goes round in a circle of some
// hundred tokens, and a prompt made of its own words is repeated.
// Errors  Error{kUsage} for a shape, format or head that do not go together, with the reason; Error{kFailure} from the writer.
// Threads one at a time.
#pragma once

#include <cstdint>
#include <string>

#include "gguf/types.h"
#include "model_shapes.h"

namespace bitnet::bench {

struct SyntheticModel {
  Shape shape;
  uint64_t seed = 1;
  gguf::Type ternary = gguf::Type::kI2_S;
  gguf::Type head = gguf::Type::kF16;  // of token_embd and output
  bool memoryless = false;             // attn_output is all zero: the next token depends on the newest one alone
  uint64_t gap = 0;                    // bytes left free behind token_embd: a hole that takes no disk space
};

// Weights of all tensors, gains included.
uint64_t parameter_count(const Shape& shape);

// Returns the size of the file in bytes.
uint64_t write_model(const SyntheticModel& model, const std::string& path);

}  // namespace bitnet::bench
