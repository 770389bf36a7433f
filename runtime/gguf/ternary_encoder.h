// gguf/ternary_encoder.h - trits and scales into the bytes of a ternary tensor, a group of rows at a time: the other direction
// of ternary_formats.h, from the same tables.
//
// Use     TernaryEncoder e(type_info(Type::kTL2), "blk.0.attn_q.weight", extents, {.tiles = &tiles});
//         for every group of whole granules: e.encode(trits, scales, rows, pieces);   // fills a piece of every part
//         then the bytes of e.tail(scale) from e.tail_offset() to the end of the tensor.
// Layout  a tensor is parts (TL2: magnitudes, signs, pairs; others: one), each with the same number of bytes for every granule
// of
//         rows; then the tail. I2_S is written in the layout x86. Q1_0 is not written: it has no zero.
// Bytes   as the original quantizers write them: blocks of zeros in TQ1_0, TQ2_0 and Q2_0 get the scale 0.
// Errors  the constructor: Error{kInvalidModel} for a type that is not written here, a shape that does not suit it, a shape
//         without tile parameters (gguf/tiles.h).
// Threads const functions are pure; groups may be encoded at the same time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gguf/ternary_formats.h"

namespace bitnet::gguf {

class TernaryEncoder {
 public:
  struct Part {
    uint64_t offset;         // in the tensor
    uint64_t granule_bytes;  // of one granule; those of the next follow
  };

  TernaryEncoder(const TypeInfo& type, const std::string& name, const Extents& extents, const TernaryOptions& options = {});

  static bool writes(const TypeInfo& type);

  uint64_t bytes() const { return bytes_; }      // of the tensor
  uint64_t granule() const { return granule_; }  // rows; the tensor is whole granules
  std::span<const Part> parts() const { return parts_; }
  // Where rows [row0, row0 + rows) lie in a part, counted from its start, and how many bytes they take; both whole granules.
  uint64_t piece_offset(size_t part, uint64_t row0) const { return parts_[part].granule_bytes * (row0 / granule_); }
  uint64_t piece_bytes(size_t part, uint64_t rows) const { return parts_[part].granule_bytes * (rows / granule_); }

  // `rows` rows, whole granules: trits [rows][columns], scales [rows] (not used where the tensor has one scale).
  // pieces[i] takes piece_bytes(i, rows) bytes.
  void encode(const int8_t* trits, const float* scales, uint64_t rows, uint8_t* const* pieces) const;

  uint64_t tail_offset() const { return bytes_ - tail_bytes_; }
  // Filling, the tensor's scale, padding; empty for types that keep scales elsewhere.
  std::vector<uint8_t> tail(float scale) const;

 private:
  void encode_row(const int8_t* trits, float scale, uint8_t* out) const;
  void encode_r4(const int8_t* trits, const float* scales, uint8_t* out) const;

  const TypeInfo& type_;
  uint64_t columns_;
  uint64_t bytes_ = 0;
  uint64_t granule_ = 1;
  uint64_t tail_bytes_ = 0;
  Tile tile_;
  std::vector<Part> parts_;
};

// True when `scale` is a value of f16.
bool is_f16(float scale);

}  // namespace bitnet::gguf
