// validate/inspect.h - what a model file holds: keys, tensors with their statistics, a census of types, the memory a run takes.
//
// Input   a file that was opened; nothing is judged here (validate.h does).
// Errors  gguf::FormatError for a tensor that cannot be decoded, when statistics are asked for.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "gguf/ternary_formats.h"
#include "model/config.h"
#include "validate/report.h"

namespace bitnet::validate {

struct Census {
  std::string type;
  uint64_t tensors = 0, weights = 0, bytes = 0;
};

// Bytes. Backends add copies of the matrices, which they tell themselves.
struct MemoryNeed {
  uint64_t file = 0;             // mapped, shared with the page cache
  uint64_t head_copy = 0;        // int8 copy of the output head, made for heads where it pays off
  uint64_t kv_per_position = 0;  // keys and values in f32; f16 takes half
  uint64_t kv_at_context = 0;    // of the whole context the model was made for
};

struct Inspection {
  const gguf::File* file = nullptr;
  std::vector<TensorReport> tensors;
  std::vector<Census> census;        // most bytes first
  std::optional<MemoryNeed> memory;  // empty: the hyper-parameters could not be read
  std::string pooling;               // of an embedding model: "last", ...; empty: the model writes text
  std::string pooling_note;          // why that is not what the file says; empty: it is
};

// config: null when it could not be read. statistics: decode every tensor.
// statistics: null for none, else how ambiguous bytes are read.
Inspection inspect(const gguf::File& file, const model::Config* config, const gguf::TernaryOptions* statistics);

std::string inspection_text(const Inspection& inspection);
nlohmann::json inspection_json(const Inspection& inspection);

}  // namespace bitnet::validate
