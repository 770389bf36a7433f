// gguf/types.cpp - the rows of the type table and the size of a tensor.
#include "gguf/types.h"

#include <fmt/format.h>

#include "gguf/checked.h"

namespace bitnet::gguf {
namespace {

constexpr TypeInfo number(uint32_t id, const char* name, Type type, TypeClass cls, uint32_t bytes) {
  return {id, name, type, cls, 1, bytes};
}

constexpr TypeInfo block(uint32_t id, const char* name, Type type, uint32_t elements, uint32_t bytes) {
  return {id, name, type, TypeClass::kBlock, elements, bytes};
}

constexpr TypeInfo undecoded(uint32_t id, const char* name, uint32_t elements, uint32_t bytes) {
  return block(id, name, Type::kUndecoded, elements, bytes);
}

constexpr TypeInfo retired(uint32_t id, const char* name, uint32_t elements = 0, uint32_t bytes = 0) {
  return {id, name, Type::kUndecoded, TypeClass::kRetired, elements, bytes};
}

constexpr TypeInfo ternary(uint32_t id, const char* name, Type type, uint32_t elements, uint32_t bytes, uint32_t row_header = 0,
                           uint32_t row_group = 1) {
  return {id, name, type, TypeClass::kTernary, elements, bytes, row_header, row_group};
}

constexpr uint32_t kScaleTail = 32;  // one f32 scale and 28 bytes of padding

constexpr TypeInfo kTypes[] = {
    number(0, "F32", Type::kF32, TypeClass::kFloat, 4),
    number(1, "F16", Type::kF16, TypeClass::kFloat, 2),
    block(2, "Q4_0", Type::kQ4_0, 32, 18),
    undecoded(3, "Q4_1", 32, 20),
    retired(4, "Q4_2"),
    retired(5, "Q4_3"),
    undecoded(6, "Q5_0", 32, 22),
    undecoded(7, "Q5_1", 32, 24),
    block(8, "Q8_0", Type::kQ8_0, 32, 34),
    undecoded(9, "Q8_1", 32, 36),
    undecoded(10, "Q2_K", 256, 84),
    undecoded(11, "Q3_K", 256, 110),
    block(12, "Q4_K", Type::kQ4_K, 256, 144),
    block(13, "Q5_K", Type::kQ5_K, 256, 176),
    block(14, "Q6_K", Type::kQ6_K, 256, 210),
    undecoded(15, "Q8_K", 256, 292),
    undecoded(16, "IQ2_XXS", 256, 66),
    undecoded(17, "IQ2_XS", 256, 74),
    undecoded(18, "IQ3_XXS", 256, 98),
    undecoded(19, "IQ1_S", 256, 50),
    undecoded(20, "IQ4_NL", 32, 18),
    undecoded(21, "IQ3_S", 256, 110),
    undecoded(22, "IQ2_S", 256, 82),
    undecoded(23, "IQ4_XS", 256, 136),
    number(24, "I8", Type::kI8, TypeClass::kOther, 1),
    number(25, "I16", Type::kI16, TypeClass::kOther, 2),
    number(26, "I32", Type::kI32, TypeClass::kOther, 4),
    number(27, "I64", Type::kI64, TypeClass::kOther, 8),
    number(28, "F64", Type::kF64, TypeClass::kFloat, 8),
    undecoded(29, "IQ1_M", 256, 56),
    number(30, "BF16", Type::kBF16, TypeClass::kFloat, 2),
    retired(31, "Q4_0_4_4", 32, 18),
    retired(32, "Q4_0_4_8", 32, 18),
    retired(33, "Q4_0_8_8", 32, 18),
    ternary(34, "TQ1_0", Type::kTQ1_0, 256, 54),
    ternary(35, "TQ2_0", Type::kTQ2_0, 256, 66),
    {36, "I2_S", Type::kI2_S, TypeClass::kTernary, 128, 32, 0, 1, kScaleTail, true},
    retired(36, "IQ4_NL_4_4", 32, 18),
    retired(37, "I8_S (activations) or IQ4_NL_4_8"),
    {38, "TL1", Type::kTL1, TypeClass::kTernary, 4, 1, 0, 16, kScaleTail, false},
    retired(38, "IQ4_NL_8_8", 32, 18),
    {39, "TL2", Type::kTL2, TypeClass::kTernary, 1, 0, 0, 32, kScaleTail, false},
    undecoded(39, "MXFP4", 32, 17),
    undecoded(40, "NVFP4", 64, 36),
    ternary(41, "Q1_0", Type::kQ1_0, 128, 18),
    {42, "TL2", Type::kTL2, TypeClass::kTernary, 1, 0, 0, 32, kScaleTail, false},
    ternary(42, "Q2_0", Type::kQ2_0, 64, 18),
    undecoded(133, "Q6_0", 32, 26),
    ternary(134, "IQ1_BN", Type::kIQ1_BN, 64, 13, 2),
    ternary(135, "IQ2_BN", Type::kIQ2_BN, 64, 16, 4),
    retired(136, "Q8_K64 (activations)"),
    retired(142, "IQ2_TN"),
    retired(143, "IQ1_TN"),
    ternary(335, "IQ2_BN_R4", Type::kIQ2_BN_R4, 64, 16, 4, 4),
};

// TL2 packs the columns beyond the last 256 as triples and the rest as pairs; the published formula reserves space as if
// exactly 256 columns were pairs. Every division truncates, from left to right.
bool tl2_bytes(uint64_t columns, uint64_t rows, uint64_t& bytes) {
  uint64_t triples = 0;
  uint64_t pairs = 0;
  uint64_t packed = 0;
  if (!checked_mul(columns - 256, rows, triples) || !checked_mul(triples / 3, 5, triples)) return false;
  if (!checked_mul(rows, 256, pairs) || !checked_mul(pairs / 2, 4, pairs)) return false;
  return checked_add(triples / 8, pairs / 8, packed) && checked_round_up(packed, 32, bytes);
}

bool block_bytes(const TypeInfo& type, uint64_t columns, uint64_t rows, uint64_t elements, uint64_t& bytes) {
  if (type.flat) return checked_mul(elements / type.block_elements, type.block_bytes, bytes);
  uint64_t row = 0;
  return checked_mul(columns / type.block_elements, type.block_bytes, row) && checked_add(row, type.row_header, row) &&
         checked_mul(row, rows, bytes);
}

std::optional<uint64_t> refuse(std::string* why, std::string reason) {
  if (why != nullptr) *why = std::move(reason);
  return std::nullopt;
}

}  // namespace

const char* value_type_name(ValueType type) {
  static constexpr const char* kNames[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                           "bool", "string", "array", "u64", "i64", "f64"};
  const auto index = static_cast<uint32_t>(type);
  return index < std::size(kNames) ? kNames[index] : "unknown";
}

uint32_t value_type_bytes(ValueType type) {
  static constexpr uint32_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  const auto index = static_cast<uint32_t>(type);
  return index < std::size(kBytes) ? kBytes[index] : 0;
}

std::span<const TypeInfo> all_types() { return kTypes; }

std::vector<const TypeInfo*> types_with_id(uint32_t id) {
  std::vector<const TypeInfo*> rows;
  for (const TypeInfo& row : kTypes) {
    if (row.id == id) rows.push_back(&row);
  }
  return rows;
}

const TypeInfo& type_info(Type type) {
  for (const TypeInfo& row : kTypes) {
    if (row.type == type) return row;
  }
  return kTypes[0];
}

std::optional<uint64_t> element_count(const Extents& extents) {
  uint64_t count = 1;
  for (const uint64_t extent : extents) {
    if (!checked_mul(count, extent, count) || count > INT64_MAX) return std::nullopt;
  }
  return count;
}

std::optional<uint64_t> tensor_bytes(const TypeInfo& type, const Extents& extents, std::string* why) {
  const std::optional<uint64_t> elements = element_count(extents);
  if (!elements || *elements == 0) return refuse(why, "the number of elements is 0 or too large");
  if (type.block_elements == 0) return refuse(why, "its size is not known");
  const uint64_t columns = extents[0];
  const uint64_t rows = *elements / columns;
  if (const uint64_t blocked = type.flat ? *elements : columns; blocked % type.block_elements != 0) {
    return refuse(why,
                  fmt::format("{} {} are no multiple of {}", blocked, type.flat ? "elements" : "columns", type.block_elements));
  }
  if (rows % type.row_group != 0) return refuse(why, fmt::format("{} rows are no multiple of {}", rows, type.row_group));
  if (type.type == Type::kTL2 && columns <= 256) return refuse(why, fmt::format("{} columns, more than 256 needed", columns));
  uint64_t bytes = 0;
  const bool fits =
      type.type == Type::kTL2 ? tl2_bytes(columns, rows, bytes) : block_bytes(type, columns, rows, *elements, bytes);
  if (!fits || !checked_add(bytes, type.tail, bytes)) return refuse(why, "its size overflows 64 bits");
  return bytes;
}

}  // namespace bitnet::gguf
