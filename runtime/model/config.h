// model/config.h - the keys of a GGUF file as the model-as-data struct of the SDK (bn_arch), checked.
//
// Errors  Error{kInvalidModel} naming key, expected and found; an architecture this version cannot run is refused with the
//         list of those it can.
// Families differ by the values of bn_arch alone: the table at the top of config.cpp, and what the file's tensors and keys say.
// Source  GGUF key names; the families of BitNet b1.58 (bitnet, bitnet-25, bitnet-b1.58), llama with ternary matrices, and the
//         BitNet embedding models on qwen3 and gemma3.
#pragma once

#include <string>
#include <vector>

#include "bitnet/model.h"
#include "gguf/reader.h"

namespace bitnet::model {

struct Config {
  bn_arch arch{};
  std::string architecture;           // as the file says
  std::string name;                   // general.name, may be empty
  double rope_scale = 1.0;            // linear RoPE scaling: positions are divided by it
  std::string pooling_note;           // of an embedding model that is not pooled as its file says: why; else empty
  std::vector<std::string> warnings;  // doubts that were decided, one line each
};

// "last", "mean", "cls" or "none", as --pooling names them.
const char* pooling_name(uint32_t pooling);

// How a text becomes one vector, and whether that is scaled to length 1: the model is to be used so from now on. Before a
// backend loads it. pooling: BN_POOL_*; NONE: a row for each token, never scaled.
void choose_pooling(Config& config, uint32_t pooling, bool unit_length);

// A file without tensors is a vocabulary: n_layers is 0 and only vocabulary and context are set; such a file serves backends
// that need no weights.
Config read_config(const gguf::File& file);

}  // namespace bitnet::model
