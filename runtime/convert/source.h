// convert/source.h - what a conversion or a comparison reads from: a GGUF file, or a checkpoint opened as one.
//
// Errors  Error{kInvalidModel}, as the readers of files and formats say.
// Memory  the file is mapped; release() gives back what a tensor brought in.
// Threads const functions may be called from several threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gguf/key_values.h"
#include "gguf/ternary_formats.h"
#include "gguf/writer.h"

namespace bitnet::convert {

class Source {
 public:
  // reading: how ambiguous bytes are read; its tiles must outlive the object.
  explicit Source(const std::string& path, const gguf::TernaryOptions& reading = {});

  const std::string& path() const { return file_.path(); }
  const gguf::File& file() const { return file_; }
  // Of a checkpoint: makes keys of the tokenizer beside it, for add_keys(). Errors as tokenizer/to_gguf.h.
  void read_tokenizer();
  // The file that was read; empty: none is there, or the file has its own keys.
  const std::string& tokenizer_file() const { return tokenizer_file_; }

  uint32_t alignment() const;  // that a file made from this gets
  // A tensor's number is its place here.
  const std::vector<gguf::TensorInfo>& tensors() const { return file_.tensors(); }
  const gguf::TensorInfo& tensor(size_t i) const { return file_.tensors()[i]; }
  static bool is_ternary(const gguf::TensorInfo& tensor) { return gguf::ternary_scale_kind(*tensor.type).has_value(); }
  // Of a ternary tensor: its bytes have no other order than those of its type in published files.
  bool is_plain(size_t i) const;

  // All keys, in their order; general.file_type gets this value.
  void add_keys(gguf::Writer& writer, uint32_t file_type) const;

  // Ternary tensors: rows [row0, row1) as decode_rows() and row_scales() give them.
  void read_trits(size_t i, uint64_t row0, uint64_t row1, int8_t* trits) const;
  void read_scales(size_t i, uint64_t row0, uint64_t row1, float* scales) const;
  // Bytes [offset, offset + n) of a tensor as they are.
  void read_bytes(size_t i, uint64_t offset, uint64_t n, void* dst) const;
  void release(size_t i) const;

 private:
  const gguf::TernaryOptions& reading(size_t i) const { return has_scale_[i] ? beside_scale_ : reading_; }

  gguf::File file_;
  gguf::TernaryOptions reading_, beside_scale_;
  gguf::KeyValues tokenizer_;
  std::string tokenizer_file_;
  std::vector<bool> has_scale_;  // a tensor .scale stands beside it
};

// "blk.0.attn_q.scale" for "blk.0.attn_q.weight"; empty for other names.
std::string scale_name(const std::string& weight_name);

}  // namespace bitnet::convert
