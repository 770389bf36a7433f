// model/model.h - an opened model file: container, hyper-parameters, weights. What a backend is loaded from.
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"
#include "gguf/reader.h"
#include "model/config.h"
#include "model/weights.h"

namespace bitnet::model {

struct Model {
  // path: a GGUF file, or a checkpoint as checkpoint.h says.
  // Errors: as the readers, config.h and weights.h say.
  explicit Model(const std::string& path, const ReadOptions& read_options = {})
      : options(read_options),
        file(checkpoint::is_checkpoint(path) ? checkpoint::open_checkpoint(path) : gguf::File(path)),
        config(read_config(file)),
        weights(has_tensors() ? read_weights(file, config, options) : Weights{}) {}

  // False for a file that is only a vocabulary.
  bool has_tensors() const { return !file.tensors().empty(); }

  ReadOptions options;
  gguf::File file;
  Config config;
  Weights weights;
};

}  // namespace bitnet::model
