// model/config.h - the keys of a GGUF file as the model-as-data struct of the SDK (bn_arch), checked.
//
// Errors  Error{kInvalidModel} naming key, expected and found; an architecture this version cannot run is refused with the
//         list of those it can.
// Source  GGUF key names; the families of BitNet b1.58 (bitnet, bitnet-25, bitnet-b1.58) and llama with ternary matrices.
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
  std::vector<std::string> warnings;  // doubts that were decided, one line each
};

// A file without tensors is a vocabulary: n_layers is 0 and only vocabulary and context are set; such a file serves backends
// that need no weights.
Config read_config(const gguf::File& file);

}  // namespace bitnet::model
