// model/backend_weights.cpp - negotiation per matrix, packing in parallel or from the cache, self-test.
#include "model/backend_weights.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <span>
#include <utility>

#include "backend/layouts.h"
#include "base/error.h"
#include "base/log.h"
#include "base/sha256.h"
#include "bitnet/kit/ops.hpp"
#include "model/packed_rows.h"

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

uint64_t t2_row_bytes(const bn_tensor& w) { return (static_cast<uint64_t>(w.cols) + 3) / 4; }

// The matrix in layout bn.t2, in memory of its own.
AlignedBuffer convert_to_t2(const Matrix& matrix) {
  const uint64_t row_bytes = t2_row_bytes(matrix.tensor);
  AlignedBuffer buffer(row_bytes * matrix.tensor.rows);
  for_row_pieces(matrix.tensor, 1,
                 [&](uint32_t row0, uint32_t row1) { matrix.read_t2(row0, row1, buffer.as<uint8_t>() + row0 * row_bytes); });
  return buffer;
}

uint64_t packed_bytes(const bn_tensor& w, const char* name, const backend::Ops& ops) {
  bn_error error{};
  error.struct_size = sizeof error;
  bn_format layout{};
  layout.struct_size = sizeof layout;
  uint64_t bytes = 0;
  const bn_status status = ops.table().pack_size(ops.device(), &w, &bytes, &layout, &error);
  if (status != BN_OK) throw BackendError(status, fmt::format("pack_size of {}: {}", name, backend::error_text(status, error)));
  return bytes;
}

AlignedBuffer pack(const bn_tensor& w, const char* name, uint64_t bytes, const backend::Ops& ops) {
  const bn_kernels_v1& table = ops.table();
  bn_error error{};
  error.struct_size = sizeof error;
  AlignedBuffer buffer(bytes);
  std::atomic<bn_status> failed{BN_OK};
  for_row_pieces(w, table.row_granule, [&](uint32_t row0, uint32_t row1) {
    bn_error piece_error{};
    piece_error.struct_size = sizeof piece_error;
    const bn_status s = table.pack(ops.device(), &w, row0, row1, buffer.data(), &piece_error);
    bn_status ok = BN_OK;
    if (s != BN_OK && failed.compare_exchange_strong(ok, s)) error = piece_error;
  });
  if (failed != BN_OK) throw BackendError(failed, fmt::format("pack of {}: {}", name, backend::error_text(failed, error)));
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

// How one matrix comes to the backend.
enum class Way { kNative, kPack, kConvert };

struct Plan {
  const char* name;
  const Matrix* matrix;
  bn_tensor source;  // what the backend takes; its data is null when rows must be read as bn.t2 first
  Way way;
  store::PieceShape stored;  // of the packed or converted matrix
};

class Preparation {
 public:
  Preparation(const Weights& weights, BackendWeights& result, backend::Ops& ops, store::PrepackCache* cache,
              const gguf::File* file)
      : reading_(weights.reading), result_(result), ops_(ops), cache_(cache), file_(file) {}

  void plan(const char* name, const Matrix& matrix) {
    Plan plan{name, &matrix, matrix.tensor, Way::kNative, {}};
    bn_tensor& w = plan.source;
    int32_t answer = matrix.in_place() ? accepts(w) : BN_NO;
    if (answer == BN_NO) {
      w.format = &backend::format_t2();
      w.data = nullptr;
      w.bytes = t2_row_bytes(w) * w.rows;
      w.flags = 0;
      answer = accepts(w);
      if (answer == BN_NO) {
        throw BackendError(BN_E_UNSUPPORTED, fmt::format("does not take {} {}x{}, neither as {} nor as bn.t2", name, w.rows,
                                                         w.cols, matrix.source->type->name));
      }
    }
    if (answer == BN_PACK) {
      plan.way = Way::kPack;
      plan.stored = {w.rows, w.cols, packed_bytes(w, matrix.source->name.c_str(), ops_)};
    } else if (w.data == nullptr) {
      plan.way = Way::kConvert;
      plan.stored = {w.rows, w.cols, w.bytes};
    }
    plans_.push_back(plan);
  }

  // One entry per plan, in the same order.
  std::vector<backend::Linear> prepare() {
    for (const Plan& p : plans_) {
      ++(p.way == Way::kNative ? result_.n_native : p.way == Way::kPack ? result_.n_packed : result_.n_converted);
      if (p.way != Way::kNative) shapes_.push_back(p.stored);
      result_.bytes_read += p.way == Way::kNative ? p.source.bytes : p.stored.bytes;
    }
    std::vector<backend::Linear> linears;
    if (cache_ != nullptr && (shapes_.empty() || !find_layout())) cache_ = nullptr;
    if (cache_ == nullptr || !from_cache(linears)) linears = made();
    return linears;
  }

 private:
  int32_t accepts(const bn_tensor& w) const { return ops_.table().accepts(ops_.device(), &w); }

  // The fingerprint of everything in the file: of each kind of packing that occurs, bn.t2 where that is kept, and how the
  // model's bytes were read where there is a choice.
  std::string layout() const {
    bool from_t2 = false, in_place = false, converted = false;
    for (const Plan& p : plans_) {
      from_t2 |= p.way == Way::kPack && p.source.data == nullptr;
      in_place |= p.way == Way::kPack && p.source.data != nullptr;
      converted |= p.way == Way::kConvert;
    }
    std::string text;
    if (from_t2) text += "t2 " + layout_fingerprint(ops_, backend::format_t2()) + "\n";
    if (in_place) text += "i2s128 " + layout_fingerprint(ops_, backend::format_i2s128()) + "\n";
    if (converted) text += "bn.t2\n";
    text += reading_;
    return sha256_hex({reinterpret_cast<const uint8_t*>(text.data()), text.size()}).substr(0, 32);
  }

  // False: the plugin cannot say, and the matrices themselves will tell why.
  bool find_layout() {
    try {
      layout_ = layout();
      return true;
    } catch (const BackendError& e) {
      log(LogLevel::kInfo, "prepack cache: not used, the plugin does not pack the canonical matrix: {}", e.what());
      return false;
    }
  }

  static backend::Linear linear_of(const Plan& p, const void* data) {
    backend::Linear linear{p.name, p.source, data};
    linear.weight.data = p.way == Way::kPack ? nullptr : data;  // the source of packing is not kept
    return linear;
  }

  // False: there is no file, or it turned out to be wrong and is gone.
  bool from_cache(std::vector<backend::Linear>& linears) {
    result_.cached = cache_->find(layout_, shapes_);
    if (result_.cached == nullptr) return false;
    std::string fault;
    try {
      fault = wrong_rows();
      size_t piece = 0;
      for (const Plan& p : plans_) {
        linears.push_back(linear_of(p, p.way == Way::kNative ? p.source.data : result_.cached->piece(piece++).data()));
        if (fault.empty()) self_test(*p.matrix, linears.back(), ops_);
        give_back(p);
        ops_.beat();
      }
    } catch (const BackendError& e) {  // made anew, the plugin may still be right
      fault = e.what();
    }
    if (fault.empty()) {
      result_.n_cached = static_cast<uint32_t>(shapes_.size());
      return true;
    }
    linears.clear();
    result_.cached.reset();
    cache_->discard(layout_, fault);
    return false;
  }

  // Empty, or which piece of the file is not what the model and the plugin make today.
  std::string wrong_rows() const {
    std::vector<std::pair<const Plan*, std::span<const uint8_t>>> pieces;
    for (const Plan& p : plans_) {
      if (p.way != Way::kNative) pieces.emplace_back(&p, result_.cached->piece(pieces.size()));
    }
    std::atomic<size_t> wrong{pieces.size()};
    tbb::parallel_for(size_t{0}, pieces.size(), [&](size_t i) {
      const auto& [plan, stored] = pieces[i];
      const bool same = plan->way == Way::kPack ? rows_are_packed(*plan->matrix, plan->source, ops_, stored)
                                                : rows_are_t2(*plan->matrix, stored);
      if (!same) wrong = i;
    });
    if (wrong == pieces.size()) return {};
    return fmt::format("rows of matrix {} ({}) differ from the model's", wrong.load(), pieces[wrong].first->name);
  }

  std::vector<backend::Linear> made() {
    std::vector<backend::Linear> linears;
    std::vector<const void*> data;
    for (const Plan& p : plans_) {
      const void* at = p.source.data;
      if (p.way != Way::kNative) {
        result_.buffers.push_back(p.way == Way::kPack ? packed(p) : convert_to_t2(*p.matrix));
        result_.bytes_owned += result_.buffers.back().size();
        at = result_.buffers.back().data();
        data.push_back(at);
      }
      linears.push_back(linear_of(p, at));
      self_test(*p.matrix, linears.back(), ops_);
      give_back(p);
      ops_.beat();
    }
    if (cache_ != nullptr) cache_->keep(layout_, shapes_, data);
    return linears;
  }

  // The pages of a matrix that is read from elsewhere now.
  void give_back(const Plan& p) const {
    if (p.way != Way::kNative && file_ != nullptr) file_->release(p.matrix->source->data, p.matrix->source->bytes);
  }

  AlignedBuffer packed(const Plan& p) const {
    if (p.source.data != nullptr) return pack(p.source, p.matrix->source->name.c_str(), p.stored.bytes, ops_);
    const AlignedBuffer t2 = convert_to_t2(*p.matrix);
    bn_tensor w = p.source;
    w.data = t2.data();
    return pack(w, p.matrix->source->name.c_str(), p.stored.bytes, ops_);
  }

  const std::string& reading_;
  BackendWeights& result_;
  backend::Ops& ops_;
  store::PrepackCache* cache_;
  const gguf::File* file_;
  std::string layout_;
  std::vector<Plan> plans_;
  std::vector<store::PieceShape> shapes_;  // of the plans that are not native
};

}  // namespace

BackendWeights prepare_weights(const Weights& weights, backend::Ops& ops, store::PrepackCache* cache, const gguf::File* file) {
  BackendWeights result;
  Preparation p(weights, result, ops, cache, file);
  for (const Layer& layer : weights.layers) {
    p.plan("attn_q", layer.attn_q);
    p.plan("attn_k", layer.attn_k);
    p.plan("attn_v", layer.attn_v);
    p.plan("attn_output", layer.attn_output);
    p.plan("ffn_gate", layer.ffn_gate);
    p.plan("ffn_up", layer.ffn_up);
    p.plan("ffn_down", layer.ffn_down);
  }
  const std::vector<backend::Linear> l = p.prepare();
  for (size_t i = 0; i < l.size(); i += 7) {
    result.layers.push_back({l[i], l[i + 1], l[i + 2], l[i + 3], l[i + 4], l[i + 5], l[i + 6]});
  }
  return result;
}

}  // namespace bitnet::model
