// convert/checkpoint_output.h - writes a model as a Hugging Face checkpoint: config.json and model.safetensors in a folder.
//
// Weights   packed trits with one weight_scale in f32 each (linear_class autobitlinear: a multiplier), nothing lost;
// embeddings,
//           head, norms and biases as stored, or in f32 where they are block-quantized or stored otherwise (gains of gemma3
//           less 1). Rows of attn_q and attn_k in the order of checkpoints.
// Embedding models have modules.json and 1_Pooling/config.json beside them, and names of tensors without "model.".
// Tokenizer in files of its own beside it (tokenizer_output.h), where nothing of it is lost.
// Output    the folder appears whole or not at all; one that exists is never replaced.
// Errors    Error{kUsage}: the output exists, or the model has what such a checkpoint cannot hold (scales that differ along a
//           matrix, rope_freqs, biases of some matrices only), naming the tensor or what would come back different.
//           Error{kFailure}: I/O.
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
