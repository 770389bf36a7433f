// gguf/writer.h - writes a GGUF v3 file from front to back without holding the tensors in memory.
//
// Use     Writer w("model.gguf");
//         w.add_key<uint32_t>("llama.block_count", 2);          // the template argument is the stored type
//         w.add_string("general.architecture", "llama");
//         w.add_array<float>("tokenizer.ggml.scores", scores);
//         w.add_string_array("tokenizer.ggml.tokens", tokens);
//         w.add_tensor("token_embd.weight", Type::kF16, {dim, vocab});   // extents fastest first
//         w.add_tensor("blk.0.attn_q.weight", Type::kI2_S, {dim, dim});
//         w.write(data, bytes);     // the tensors' bytes in the order they were declared, in pieces of any size
//         w.skip(bytes);            // or: leaves a hole that reads as zeros and takes no disk space
//         w.finish();               // checks that every tensor is complete, then publishes the file under its name
// Order   keys, then tensors, then data; keys and tensors cannot be added after the first write() or skip().
// Files   the data goes to PATH.PID.partial, which finish() renames to PATH. Without finish() nothing stays behind. Who wants
// to
//         look at the file first calls complete(), reads partial_path(), and then publish().
// Errors  Error{kFailure}: I/O errors with the system's text, a name used twice, a shape that does not suit its type, more or
//         fewer bytes than declared. After an error the writer is only fit for destruction.
// Threads one at a time.
#pragma once

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <vector>

#include "gguf/limits.h"
#include "gguf/reader.h"

namespace bitnet::gguf {

// The value type stored for a C++ type.
template <class T>
constexpr ValueType value_type_of() {
  if constexpr (std::is_same_v<T, bool>) return ValueType::kBool;
  if constexpr (std::is_same_v<T, uint8_t>) return ValueType::kU8;
  if constexpr (std::is_same_v<T, int8_t>) return ValueType::kI8;
  if constexpr (std::is_same_v<T, uint16_t>) return ValueType::kU16;
  if constexpr (std::is_same_v<T, int16_t>) return ValueType::kI16;
  if constexpr (std::is_same_v<T, uint32_t>) return ValueType::kU32;
  if constexpr (std::is_same_v<T, int32_t>) return ValueType::kI32;
  if constexpr (std::is_same_v<T, uint64_t>) return ValueType::kU64;
  if constexpr (std::is_same_v<T, int64_t>) return ValueType::kI64;
  if constexpr (std::is_same_v<T, float>) return ValueType::kF32;
  if constexpr (std::is_same_v<T, double>) return ValueType::kF64;
}

class Writer {
 public:
  // An alignment other than 32 is also written as the key general.alignment, behind the others unless it is added before.
  explicit Writer(const std::string& path, uint32_t alignment = kDefaultAlignment);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  template <class T>
  void add_key(std::string_view key, std::type_identity_t<T> value) {
    add_raw_key(key, value_type_of<T>(), &value, sizeof(T));
  }
  template <class T>
  void add_array(std::string_view key, std::type_identity_t<std::span<const T>> values) {
    add_raw_array(key, value_type_of<T>(), values.data(), values.size(), sizeof(T));
  }
  void add_string(std::string_view key, std::string_view value);
  void add_string_array(std::string_view key, std::span<const std::string> values);
  void add_string_array(std::string_view key, std::span<const std::string_view> values);
  // A key of a file as it is stored there.
  void add_copy(const KeyValue& entry);

  // Declares a tensor; returns its size in bytes, which is what write() and skip() then have to supply.
  uint64_t add_tensor(std::string_view name, Type type, std::initializer_list<uint64_t> extents);
  uint64_t add_tensor(std::string_view name, const TypeInfo& type, std::span<const uint64_t> extents);
  // Leaves at least `bytes` free between the tensors declared before and after: a hole that takes no disk space.
  void add_gap(uint64_t bytes);

  // The next bytes of the current tensor. A tensor is finished, and the next one begun, when all its bytes are there; one
  // call never reaches into the next tensor.
  void write(const void* data, uint64_t bytes);
  void skip(uint64_t bytes);
  // Bytes of the current tensor from `offset` on, for tensors whose bytes are not made from front to back. Such a tensor is
  // written by this function alone, every byte once; it is finished when as many bytes are there as it has.
  void write_at(uint64_t offset, const void* data, uint64_t bytes);

  // Returns the size of the file in bytes. finish() is complete() and publish().
  uint64_t finish();
  // The file is whole, but not under its name. sync: it is on the disk.
  uint64_t complete(bool sync = false);
  void publish();
  const std::string& partial_path() const { return partial_path_; }
  // What the file will take, from the tensors declared so far; the header aside.
  uint64_t data_bytes() const { return data_bytes_; }

 private:
  struct Tensor {
    std::string name;
    uint32_t type_id;
    std::vector<uint64_t> extents;
    uint64_t offset;  // from the start of the data section
    uint64_t bytes;
  };
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  void add_raw_key(std::string_view key, ValueType type, const void* value, uint64_t bytes);
  void add_raw_array(std::string_view key, ValueType type, const void* values, uint64_t count, uint64_t element_bytes);
  void begin_key(std::string_view key, ValueType type);
  void begin_data();
  void require_room(uint64_t bytes) const;
  void advance(uint64_t bytes);
  void put(const void* data, uint64_t bytes);
  void seek(uint64_t position);
  [[noreturn]] void fail_io(const char* what) const;

  std::string path_;
  std::string partial_path_;
  uint32_t alignment_;
  std::unique_ptr<std::FILE, Closer> file_;
  std::string keys_;  // the metadata section as it will be stored
  uint64_t n_keys_ = 0;
  std::unordered_set<std::string> key_names_;
  std::unordered_set<std::string> tensor_names_;
  std::vector<Tensor> tensors_;
  uint64_t data_bytes_ = 0;  // size of the data section declared so far, padding included
  uint64_t data_start_ = 0;  // offset of the data section; 0 until the first write() or skip()
  size_t current_ = 0;       // the tensor being written
  uint64_t done_ = 0;        // its bytes written so far
  bool scattered_ = false;   // by write_at(): the file position is anywhere in it
};

}  // namespace bitnet::gguf
