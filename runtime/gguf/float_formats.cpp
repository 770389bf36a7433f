// gguf/float_formats.cpp - maps GGUF types to the SDK's dtypes and walks the rows.
#include "gguf/float_formats.h"

#include <algorithm>

#include "base/error.h"
#include "bitnet/kit/dense_rows.hpp"

namespace bitnet::gguf {
namespace {

struct DenseType {
  Type type;
  uint32_t dtype;  // BN_DT_*
};

constexpr DenseType kDenseTypes[] = {
    {Type::kF32, BN_DT_F32},   {Type::kF16, BN_DT_F16},   {Type::kBF16, BN_DT_BF16}, {Type::kQ8_0, BN_DT_Q8_0},
    {Type::kQ4_0, BN_DT_Q4_0}, {Type::kQ4_K, BN_DT_Q4_K}, {Type::kQ5_K, BN_DT_Q5_K}, {Type::kQ6_K, BN_DT_Q6_K},
};

constexpr uint64_t kPiece = 4096;  // elements decoded by one call of the kit; a multiple of every block

}  // namespace

std::optional<uint32_t> dense_dtype(const TypeInfo& type) {
  for (const DenseType& row : kDenseTypes) {
    if (row.type == type.type) return row.dtype;
  }
  return std::nullopt;
}

void dequantize_rows(const TensorInfo& tensor, uint64_t row0, uint64_t row1, float* out) {
  const std::optional<uint32_t> dtype = dense_dtype(*tensor.type);
  if (!dtype) {
    fail(ErrorKind::kInvalidModel, "tensor '{}' ({}): expected F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q5_K or Q6_K",
         printable(tensor.name), tensor.type->name);
  }
  if (tensor.data == nullptr) {
    fail(ErrorKind::kInvalidModel, "tensor '{}' ({}): its data lies beyond the end of the file", printable(tensor.name),
         tensor.type->name);
  }
  if (row0 > row1 || row1 > tensor.rows()) {
    fail(ErrorKind::kFailure, "tensor '{}': rows {} to {} asked for, it has {}", printable(tensor.name), row0, row1,
         tensor.rows());
  }
  // Rows hold whole blocks and follow each other without gap, so a range of rows is one long row.
  const uint64_t blocks_per_row = tensor.columns() / tensor.type->block_elements;
  const uint8_t* in = tensor.data + row0 * blocks_per_row * tensor.type->block_bytes;
  uint64_t left = (row1 - row0) * tensor.columns();
  while (left != 0) {
    const uint64_t n = std::min(left, kPiece);
    bn::kit::decode_dense(*dtype, in, 0, static_cast<uint32_t>(n), out);
    in += n / tensor.type->block_elements * tensor.type->block_bytes;
    out += n;
    left -= n;
  }
}

}  // namespace bitnet::gguf
