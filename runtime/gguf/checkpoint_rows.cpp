// gguf/checkpoint_rows.cpp - the order of rows, the two kinds of storage, the scale of master weights.
#include "gguf/checkpoint_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/error.h"
#include "bitnet/kit/arithmetic.hpp"

namespace bitnet::gguf {
namespace {

constexpr uint32_t kNoId = 0xFFFFFFFF;  // no GGUF file has these
constexpr TypeInfo kTypes[] = {
    {kNoId, "packed trits", Type::kPackedRows, TypeClass::kTernary, 1, 0},
    {kNoId, "master F32", Type::kMasterF32, TypeClass::kTernary, 1, 4},
    {kNoId, "master F16", Type::kMasterF16, TypeClass::kTernary, 1, 2},
    {kNoId, "master BF16", Type::kMasterBF16, TypeClass::kTernary, 1, 2},
};

uint64_t stored_row(const TensorInfo& tensor, uint64_t row) {
  return tensor.rotated_pairs == 0 ? row : halves_row(row, tensor.rotated_pairs);
}

void decode_packed(const TensorInfo& tensor, uint64_t row, int8_t* trits) {
  const uint64_t stored = stored_row(tensor, row), quarter = (tensor.rows() + 3) / 4, columns = tensor.columns();
  const uint8_t* in = tensor.data + stored % quarter * columns;
  const int shift = 2 * static_cast<int>(stored / quarter);
  uint8_t illegal = 0;
  for (uint64_t c = 0; c < columns; ++c) {
    const uint8_t code = in[c] >> shift & 3;
    illegal |= code & code >> 1;
    trits[c] = static_cast<int8_t>(code - 1);
  }
  if (illegal == 0) return;
  const uint64_t column = static_cast<uint64_t>(std::find(trits, trits + columns, 2) - trits);
  fail(ErrorKind::kInvalidModel,
       "tensor '{}' ({}): illegal code 3 at row {}, column {}, expected 0, 1 or 2: the file is damaged", printable(tensor.name),
       tensor.type->name, row, column);
}

// values[columns] of one stored row.
void load_row(const TensorInfo& tensor, uint64_t stored, float* values) {
  const uint64_t columns = tensor.columns();
  const uint8_t* in = tensor.data + stored * columns * tensor.type->block_bytes;
  if (tensor.type->type == Type::kMasterF32) {
    std::memcpy(values, in, columns * sizeof(float));
    return;
  }
  const bool half = tensor.type->type == Type::kMasterF16;
  for (uint64_t c = 0; c < columns; ++c) {
    uint16_t bits;
    std::memcpy(&bits, in + 2 * c, 2);
    values[c] = half ? bn::kit::f16_to_f32(bits) : bn::kit::bf16_to_f32(bits);
  }
}

void check_finite(const TensorInfo& tensor, uint64_t stored, const float* values) {
  for (uint64_t c = 0; c < tensor.columns(); ++c) {
    if (!std::isfinite(values[c])) {
      fail(ErrorKind::kInvalidModel, "tensor '{}': row {}, column {} is {}, expected a finite number", printable(tensor.name),
           stored, c, values[c]);
    }
  }
}

void decode_master(const TensorInfo& tensor, uint64_t row, std::vector<float>& values, int8_t* trits) {
  load_row(tensor, stored_row(tensor, row), values.data());
  const float inverse = 1.0f / tensor.scale;
  for (uint64_t c = 0; c < tensor.columns(); ++c) {
    trits[c] = static_cast<int8_t>(std::clamp(std::nearbyint(values[c] * inverse), -1.0f, 1.0f));
  }
}

}  // namespace

const TypeInfo* checkpoint_type(Type type) {
  const auto found = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeInfo& t) { return t.type == type; });
  return found == std::end(kTypes) ? nullptr : found;
}

void decode_checkpoint_rows(const TensorInfo& tensor, uint64_t row0, uint64_t row1, int8_t* trits) {
  const bool packed = tensor.type->type == Type::kPackedRows;
  std::vector<float> values(packed ? 0 : tensor.columns());
  for (uint64_t row = row0; row < row1; ++row, trits += tensor.columns()) {
    if (packed) {
      decode_packed(tensor, row, trits);
    } else {
      decode_master(tensor, row, values, trits);
    }
  }
}

float master_scale(const TensorInfo& tensor) {
  std::vector<float> values(tensor.columns());
  double sum = 0;
  float largest = 0, smallest = INFINITY;  // magnitudes other than 0
  for (uint64_t row = 0; row < tensor.rows(); ++row) {
    load_row(tensor, row, values.data());
    check_finite(tensor, row, values.data());
    for (const float value : values) {
      const float magnitude = std::fabs(value);
      sum += magnitude;
      largest = std::max(largest, magnitude);
      if (magnitude != 0) smallest = std::min(smallest, magnitude);
    }
  }
  if (largest > 0 && smallest == largest) return largest;
  const double n = static_cast<double>(tensor.rows()) * static_cast<double>(tensor.columns());
  return std::max(1e-5f, static_cast<float>(sum / n));
}

}  // namespace bitnet::gguf
