// convert/checkpoint_output.h - writes a model as a Hugging Face checkpoint: config.json and model.safetensors in a folder.
//
// Weights   packed trits with one weight_scale in f32 each (linear_class autobitlinear: a multiplier), nothing lost;
// embeddings,
//           head and norms as stored, or in f32 where they are block-quantized. Rows of attn_q and attn_k in the order of
//           checkpoints.
// Tokenizer in files of its own beside it (tokenizer_output.h), where nothing of it is lost.
// Output    the folder appears whole or not at all; one that exists is never replaced.
// Errors    Error{kUsage}: the output exists, or the model has what such a checkpoint cannot hold (scales that differ along a
//           matrix, families other than bitnet and llama, rope_freqs, biases), naming the tensor. Error{kFailure}: I/O.
// Memory    some rows of one tensor.
// Threads   one at a time; rows are worked on by several threads.
#pragma once

#include "convert/convert.h"

namespace bitnet::convert {

struct WrittenCheckpoint {
  uint64_t bytes = 0;             // of model.safetensors
  std::string without_tokenizer;  // why the folder has none; empty: it has
};

WrittenCheckpoint write_checkpoint(const Source& source, const OutputSettings& output);

}  // namespace bitnet::convert
