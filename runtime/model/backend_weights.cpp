// model/backend_weights.cpp - negotiation per matrix, parallel packing, self-test.
#include "model/backend_weights.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/error.h"
#include "bitnet/kit/ops.hpp"

namespace bitnet::model {
namespace {

using backend::BackendError;

// Row ranges of about this many weights are converted or packed at a time.
constexpr uint64_t kPieceWeights = 1 << 20;

uint32_t rows_per_piece(const bn_tensor& w, uint32_t granule) {
  const uint64_t rows = std::max<uint64_t>(1, kPieceWeights / w.cols);
  return static_cast<uint32_t>((rows + granule - 1) / granule * granule);
}

template <class F>
void for_row_pieces(const bn_tensor& w, uint32_t granule, F&& f) {
  const uint32_t size = rows_per_piece(w, granule), pieces = (w.rows + size - 1) / size;
  tbb::parallel_for(0u, pieces, [&](uint32_t i) { f(i * size, std::min((i + 1) * size, w.rows)); });
}

// The matrix in layout bn.t2, in memory of its own.
AlignedBuffer convert_to_t2(const Matrix& matrix, bn_tensor& w) {
  const uint64_t row_bytes = (static_cast<uint64_t>(w.cols) + 3) / 4;
  AlignedBuffer buffer(row_bytes * w.rows);
  for_row_pieces(w, 1,
                 [&](uint32_t row0, uint32_t row1) { matrix.read_t2(row0, row1, buffer.as<uint8_t>() + row0 * row_bytes); });
  w.format = &format_t2();
  w.data = buffer.data();
  w.bytes = row_bytes * w.rows;
  w.flags = 0;
  return buffer;
}

AlignedBuffer pack(const bn_tensor& w, const char* name, backend::Ops& ops, bn_format& layout) {
  const bn_kernels_v1& table = ops.table();
  bn_error error{};
  error.struct_size = sizeof error;
  uint64_t bytes = 0;
  layout = bn_format{};
  layout.struct_size = sizeof layout;
  bn_status status = table.pack_size(ops.device(), &w, &bytes, &layout, &error);
  if (status != BN_OK) throw BackendError(status, fmt::format("pack_size of {}: {}", name, printable(error.message)));
  AlignedBuffer buffer(bytes);
  std::atomic<bn_status> failed{BN_OK};
  for_row_pieces(w, table.row_granule, [&](uint32_t row0, uint32_t row1) {
    bn_error piece_error{};
    piece_error.struct_size = sizeof piece_error;
    const bn_status s = table.pack(ops.device(), &w, row0, row1, buffer.data(), &piece_error);
    bn_status ok = BN_OK;
    if (s != BN_OK && failed.compare_exchange_strong(ok, s)) error = piece_error;
  });
  if (failed != BN_OK) throw BackendError(failed, fmt::format("pack of {}: {}", name, printable(error.message)));
  return buffer;
}

// Rows spread over the matrix, multiplied by the backend and by the reference.
void self_test(const Matrix& matrix, const backend::Linear& linear, backend::Ops& ops) {
  const bn_kernels_v1& table = ops.table();
  if (table.numerics != BN_EXACT_1) return;
  const bn_tensor& w = linear.weight;
  const uint32_t stride = (w.cols + table.k_align - 1) / table.k_align * table.k_align;
  AlignedBuffer codes(stride), scratch(table.scratch_bytes);
  int8_t* x = codes.as<int8_t>();
  int32_t sum = 0;
  for (uint32_t c = 0; c < stride; ++c) {
    x[c] = c < w.cols ? static_cast<int8_t>(static_cast<int>(c * 2654435761u >> 16 & 0xFF) % 255 - 127) : int8_t{0};
    sum += x[c];
  }
  const float x_scale = 0.0078125f;
  std::vector<float> y(w.rows);
  const bn_matmul args{sizeof(bn_matmul), 1, &w, linear.packed, x, &x_scale, &sum, y.data(), stride, w.rows};
  std::vector<uint8_t> t2((w.cols + 3) / 4);
  std::vector<int8_t> trits(w.cols);
  constexpr uint32_t kRows = 8;
  for (uint32_t i = 0; i < std::min(kRows, w.rows); ++i) {
    const uint32_t row =
        static_cast<uint32_t>(static_cast<uint64_t>(i) * (w.rows - 1) / (kRows - 1)) / table.row_granule * table.row_granule;
    const uint32_t end = std::min(row + table.row_granule, w.rows);
    const bn_status status = table.matmul(ops.device(), &args, row, end, scratch.data());
    if (status != BN_OK) throw BackendError(status, fmt::format("matmul of {} failed in the self-test", linear.name));
    for (uint32_t r = row; r < end; ++r) {
      matrix.read_t2(r, r + 1, t2.data());
      bn::kit::read_row(bn::kit::Layout::kT2, t2.data(), w.cols, trits.data());
      int32_t dot = 0;
      for (uint32_t c = 0; c < w.cols; ++c) dot += trits[c] * x[c];
      const float expected = static_cast<float>(dot) * (x_scale * bn::kit::row_scale(w, r));
      if (std::memcmp(&expected, &y[r], sizeof expected) != 0) {
        throw BackendError(BN_E_INTERNAL,
                           fmt::format("self-test: {} row {} gives {}, the reference {}", linear.name, r, y[r], expected));
      }
    }
  }
}

class Preparation {
 public:
  Preparation(BackendWeights& result, backend::Ops& ops) : result_(result), ops_(ops) {}

  backend::Linear prepare(const char* name, const Matrix& matrix) {
    backend::Linear linear{name, matrix.tensor, matrix.tensor.data};
    bn_tensor& w = linear.weight;
    int32_t answer = matrix.in_place() ? accepts(w) : BN_NO;
    AlignedBuffer converted;
    if (answer == BN_NO) {
      bn_tensor t2 = w;
      t2.format = &format_t2();
      t2.data = nullptr;
      answer = accepts(t2);
      if (answer == BN_NO) {
        throw BackendError(BN_E_UNSUPPORTED, fmt::format("does not take {} {}x{}, neither as {} nor as bn.t2", name, w.rows,
                                                         w.cols, matrix.source->type->name));
      }
      converted = convert_to_t2(matrix, w);
      linear.packed = w.data;
    }
    if (answer == BN_PACK) {
      bn_format layout;
      AlignedBuffer packed = pack(w, name, ops_, layout);
      linear.packed = packed.data();
      w.data = nullptr;  // the source is not kept
      keep(std::move(packed));
      ++result_.n_packed;
    } else if (converted.size() != 0) {
      keep(std::move(converted));
      ++result_.n_converted;
    } else {
      ++result_.n_native;
    }
    self_test(matrix, linear, ops_);
    ops_.beat();
    return linear;
  }

 private:
  int32_t accepts(const bn_tensor& w) const { return ops_.table().accepts(ops_.device(), &w); }
  void keep(AlignedBuffer buffer) {
    result_.bytes_owned += buffer.size();
    result_.buffers.push_back(std::move(buffer));
  }

  BackendWeights& result_;
  backend::Ops& ops_;
};

}  // namespace

BackendWeights prepare_weights(const Weights& weights, backend::Ops& ops) {
  BackendWeights result;
  Preparation p(result, ops);
  for (const Layer& layer : weights.layers) {
    result.layers.push_back({p.prepare("attn_q", layer.attn_q), p.prepare("attn_k", layer.attn_k),
                             p.prepare("attn_v", layer.attn_v), p.prepare("attn_output", layer.attn_output),
                             p.prepare("ffn_gate", layer.ffn_gate), p.prepare("ffn_up", layer.ffn_up),
                             p.prepare("ffn_down", layer.ffn_down)});
  }
  return result;
}

}  // namespace bitnet::model
