// gguf/types.h - the table of tensor types (id, name, geometry) and the one function that computes a tensor's size.
//
// Source  ggml's type ids and those of the forks that write ternary files. Some ids have two meanings (36, 38, 39, 42): the
//         table then has several rows of one id, and the reader decides by the space a tensor takes in the file.
// Threads all functions are pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bitnet::gguf {

// Value types of metadata keys, as stored.
enum class ValueType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// "u8", "string", "array", ...; "unknown" for a number that is no value type.
const char* value_type_name(ValueType type);
// Bytes of a number or bool; 0 for string, array and unknown types.
uint32_t value_type_bytes(ValueType type);

// Extents of a tensor, fastest first; unused ones are 1. A matrix [M rows, K columns] is {K, M, 1, 1}.
using Extents = std::array<uint64_t, 4>;

// Every tensor type has one name here, whatever ids stand for it in files.
enum class Type : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF64,
  kI8,
  kI16,
  kI32,
  kI64,
  kQ4_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kQ8_0,
  kI2_S,
  kTL1,
  kTL2,
  kTQ1_0,
  kTQ2_0,
  kQ2_0,
  kQ1_0,
  kIQ1_BN,
  kIQ2_BN,
  kIQ2_BN_R4,
  kPackedRows,  // of checkpoints, never in GGUF files, like the next three: four rows of codes in a row of bytes
  kMasterF32,   // numbers that stand for their ternary values
  kMasterF16,   //
  kMasterBF16,  //
  kUndecoded,   // known size, but nothing here decodes it
};

enum class TypeClass : uint8_t {
  kFloat,    // F32, F16, BF16, F64
  kBlock,    // block-quantized numbers
  kTernary,  // weights -1, 0, +1 with scales
  kOther,    // integers
  kRetired,  // no current program writes it; files with it are refused
};

// bytes = rows * (row_header + K / block_elements * block_bytes) + tail, except TL2 (see tensor_bytes).
struct TypeInfo {
  uint32_t id;              // as stored in the file
  const char* name;         // for messages and reports
  Type type;                //
  TypeClass cls;            //
  uint32_t block_elements;  // elements of a block; 0: the size is not known (retired types)
  uint32_t block_bytes;     //
  uint32_t row_header = 0;  // bytes in front of every row (a scale)
  uint32_t row_group = 1;   // the number of rows is a multiple of this
  uint32_t tail = 0;        // bytes behind the tensor (a scale and padding)
  bool flat = false;        // blocks run across row ends: only the number of elements is a multiple of the block
};

std::span<const TypeInfo> all_types();

// Rows of an id: none for unknown ids, two for clashing ids.
std::vector<const TypeInfo*> types_with_id(uint32_t id);

// First row of a type (TL2: id 39). Not for kUndecoded.
const TypeInfo& type_info(Type type);

// Bytes of a tensor in the file, padding behind it not counted. Empty when the shape does not suit the type or the
// arithmetic overflows; `why` (may be null) then says which.
std::optional<uint64_t> tensor_bytes(const TypeInfo& type, const Extents& extents, std::string* why = nullptr);

// Number of elements, and the number of rows (elements / extents[0]). Empty when it does not fit a signed 64-bit number.
std::optional<uint64_t> element_count(const Extents& extents);

}  // namespace bitnet::gguf
