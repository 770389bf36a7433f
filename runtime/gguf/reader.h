// gguf/reader.h - a GGUF file, parsed once into a checked structure over the mapped bytes.
//
// Source  GGUF versions 2 and 3, little-endian.
// Checks  everything that can be known without reading weights: counts and lengths against the bytes left and against
//         gguf/limits.h, unique names, shapes, types, alignment, overlaps, and that the file covers every tensor. Weight data
//         is neither copied nor touched.
// Errors  Error{kInvalidModel}: "PATH: what, where, expected, found". Doubts that do not stop a reader (gaps, unusual order,
// bytes
//         behind the last tensor) are warnings().
// Memory  views and pointers point into the mapping and live as long as the File.
// Threads const functions are safe from any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mapped_file.h"
#include "gguf/types.h"

namespace bitnet::gguf {

// A metadata entry. Numbers lie unaligned in the file: read them through File's lookups.
struct KeyValue {
  std::string_view key;
  ValueType type;
  ValueType element_type;  // of an array's elements; of other values: the same as `type`
  uint64_t count;          // elements of an array; of other values: 1
  const uint8_t* data;     // number, characters of the string, or first element
  uint64_t bytes;          // bytes at `data`
  uint64_t offset;         // of `data`, from the file start
};

struct TensorInfo {
  std::string name;
  uint32_t n_dims = 0;
  Extents extents{1, 1, 1, 1};     // fastest first: {columns K, rows M, ...}
  uint32_t type_id = 0;            // as stored
  const TypeInfo* type = nullptr;  // what the id means in this file; a row of the static table
  uint64_t offset = 0;             // from the file start
  uint64_t bytes = 0;              // padding behind the tensor not counted
  const uint8_t* data = nullptr;   // null when the file is cut before the tensor's end (OpenOptions::allow_cut_data)

  // Only of matrices from a checkpoint (gguf/checkpoint_rows.h):
  float scale = 0;             // of the whole matrix
  uint32_t rotated_pairs = 0;  // not 0: head_dim; every head's rows are read as pairs (i, i + head_dim/2) one behind the other

  uint64_t columns() const { return extents[0]; }
  uint64_t rows() const { return extents[1] * extents[2] * extents[3]; }
};

struct OpenOptions {
  bool allow_cut_data = false;  // a file that ends inside the tensor data is a warning, not an error (for reports)
};

// What a file holds after all checks.
struct Contents {
  uint32_t version = 0;
  uint32_t alignment = 0;     // bytes
  uint64_t header_bytes = 0;  // magic to the end of the tensor descriptions
  uint64_t data_start = 0;    // offset of the data section
  uint64_t needed_bytes = 0;  // offset at which the last tensor ends; more than the size: the file is cut
  std::vector<KeyValue> keys;
  std::vector<TensorInfo> tensors;
  std::unordered_map<std::string_view, size_t> key_index;
  std::unordered_map<std::string_view, size_t> tensor_index;
  std::vector<std::string> warnings;
};

class File {
 public:
  explicit File(const std::string& path, OpenOptions options = {});
  // Over bytes in memory, which must outlive the File and start at a multiple of 8; `label` takes the path's place in messages.
  File(const std::string& label, std::span<const uint8_t> bytes, OpenOptions options = {});
  // Another container seen as a GGUF file: checked contents whose views point into `maps` and into what `owned` keeps alive.
  File(std::string path, Contents contents, std::vector<std::unique_ptr<const MappedFile>> maps,
       std::shared_ptr<const void> owned);
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  uint32_t version() const { return contents_.version; }
  uint32_t alignment() const { return contents_.alignment; }
  uint64_t header_bytes() const { return contents_.header_bytes; }
  uint64_t data_start() const { return contents_.data_start; }
  uint64_t needed_bytes() const { return contents_.needed_bytes; }
  bool is_cut() const { return needed_bytes() > size(); }
  const std::vector<std::string>& warnings() const { return contents_.warnings; }

  // As MappedFile::copy(), of bytes of a tensor.
  void copy(const void* begin, uint64_t bytes, void* dst) const {
    if (const MappedFile* map = map_of(begin)) {
      map->copy(begin, bytes, dst);
    } else {
      std::memcpy(dst, begin, bytes);
    }
  }
  // As MappedFile::release(), of bytes of a tensor; nothing where they are not mapped.
  void release(const void* begin, uint64_t bytes) const {
    if (const MappedFile* map = map_of(begin)) map->release(begin, bytes);
  }

  // In file order.
  const std::vector<KeyValue>& keys() const { return contents_.keys; }
  const std::vector<TensorInfo>& tensors() const { return contents_.tensors; }

  // Null when there is none.
  const KeyValue* find(std::string_view key) const;
  const TensorInfo* find_tensor(std::string_view name) const;

  // Values by key; empty when the key is absent. Integers are accepted in any width and signedness that holds the value, floats
  // as f32 or f64. Anything else is Error{kInvalidModel} naming key, expected and found.
  std::optional<uint64_t> find_uint(std::string_view key) const;
  std::optional<int64_t> find_int(std::string_view key) const;
  std::optional<double> find_float(std::string_view key) const;
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string_view> find_string(std::string_view key) const;
  std::optional<std::vector<std::string_view>> find_string_array(std::string_view key) const;
  std::optional<std::vector<float>> find_float_array(std::string_view key) const;  // f64 is rounded
  std::optional<std::vector<int64_t>> find_int_array(std::string_view key) const;
  std::optional<std::vector<uint64_t>> find_uint_array(std::string_view key) const;
  std::optional<std::vector<bool>> find_bool_array(std::string_view key) const;

 private:
  const MappedFile* map_of(const void* at) const;  // null: of no map

  std::string path_;
  std::vector<std::unique_ptr<const MappedFile>> maps_;
  std::shared_ptr<const void> owned_;
  uint64_t size_ = 0;
  Contents contents_;
};

}  // namespace bitnet::gguf
