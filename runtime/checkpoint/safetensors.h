// checkpoint/safetensors.h - the tensors of a Hugging Face checkpoint: one safetensors file, or the shards that an index names.
//
// Source  safetensors: u64 header length, JSON {name: {dtype, shape, data_offsets [begin, end)}, "__metadata__": {...}}, data.
// Checks  the header inside the file and at most 100 MB; dtypes U8, BF16, F16, F32; at most four extents; every tensor's bytes
//         equal to its shape's and inside the file; no two tensors overlap; names once over all shards; shards are plain
//         file names beside the index, and hold what the index says of them.
// Errors  Error{kInvalidModel}: "FILE: what, where, expected, found".
// Memory  data points into the maps, which the caller keeps.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/mapped_file.h"

namespace bitnet::checkpoint {

enum class Dtype : uint8_t { kU8, kF16, kBF16, kF32 };
const char* dtype_name(Dtype dtype);
uint32_t dtype_bytes(Dtype dtype);

struct StoredTensor {
  std::string name;
  std::string file;  // path of its shard
  Dtype dtype = Dtype::kU8;
  std::vector<uint64_t> shape;  // slowest first: [out, in]
  const uint8_t* data = nullptr;
  uint64_t bytes = 0;

  uint64_t elements() const { return bytes / dtype_bytes(dtype); }
  std::string shape_text() const;  // "[out, in]"
};

struct StoredTensors {
  std::vector<std::unique_ptr<const MappedFile>> maps;
  std::vector<StoredTensor> tensors;  // by name
};

inline constexpr const char* kWeightsFile = "model.safetensors";
inline constexpr const char* kIndexFile = "model.safetensors.index.json";

// path: a .safetensors file or an index file.
StoredTensors read_safetensors(const std::string& path);

// A JSON file beside them.
nlohmann::json read_json(const std::string& path, uint64_t max_bytes);

}  // namespace bitnet::checkpoint
