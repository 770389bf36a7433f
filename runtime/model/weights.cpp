// model/weights.cpp - finds tensors by name, checks shapes and contents, describes them as bn_tensor.
#include "model/weights.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "backend/layouts.h"
#include "base/error.h"
#include "bitnet/kit/ternary.hpp"
#include "gguf/float_formats.h"
#include "gguf/ternary_formats.h"
#include "model/ordinary_model.h"

namespace bitnet::model {
namespace {

using gguf::Fault;

// Collects what is wrong with the set of tensors, to be told in one message.
class Problems {
 public:
  template <class... Args>
  void add(Fault fault, const std::string& tensor, fmt::format_string<Args...> format, Args&&... args) {
    if (faults_.size() < kMostKept) faults_.push_back({fault, tensor, fmt::format(format, std::forward<Args>(args)...)});
    ++count_;
  }
  void throw_if_any(const gguf::File& file) const {
    if (count_ == 0) return;
    if (const std::string ordinary = ordinary_model_text(file); !ordinary.empty()) {
      throw TensorSetError(faults_, fmt::format("{}: {}", printable(file.path()), ordinary));
    }
    constexpr size_t kMostTold = 12;
    std::vector<std::string> texts;
    for (size_t i = 0; i < std::min(faults_.size(), kMostTold); ++i) texts.push_back(faults_[i].text);
    const std::string more = count_ > texts.size() ? fmt::format("; and {} more", count_ - texts.size()) : "";
    throw TensorSetError(faults_, fmt::format("{}: the tensors do not fit the keys: {}{}", printable(file.path()),
                                              fmt::join(texts, "; "), more));
  }

 private:
  static constexpr size_t kMostKept = 1000;
  std::vector<TensorFault> faults_;
  size_t count_ = 0;
};

// Hands out tensors by name, remembers which were used and notes what does not fit.
class TensorSet {
 public:
  TensorSet(const gguf::File& file, Problems& problems, const gguf::TernaryOptions& reading)
      : file_(file), problems_(problems), reading_(reading) {}

  // Null when absent and not required, or when it does not fit (noted).
  const gguf::TensorInfo* take(const std::string& name, uint64_t cols, uint64_t rows, bool required) {
    const gguf::TensorInfo* tensor = file_.find_tensor(name);
    if (tensor == nullptr) {
      if (required) problems_.add(Fault::kTensorSet, name, "{} is missing", name);
      return nullptr;
    }
    used_.insert(name);
    if (tensor->columns() != cols || tensor->rows() != rows) {
      problems_.add(Fault::kDimensionMismatch, name, "{} is {{{}, {}}}, expected {{{}, {}}}", name, tensor->columns(),
                    tensor->rows(), cols, rows);
      return nullptr;
    }
    return tensor;
  }

  Gain gain(const std::string& name, uint64_t n, bool required = true) {
    const gguf::TensorInfo* tensor = take(name, n, 1, required);
    if (tensor == nullptr) return {};
    const auto dtype = gguf::dense_dtype(*tensor->type);
    if (!dtype || (*dtype != BN_DT_F32 && *dtype != BN_DT_F16 && *dtype != BN_DT_BF16)) {
      problems_.add(Fault::kUnsupportedQuantization, name, "{} is {}, expected F32, F16 or BF16", name, tensor->type->name);
      return {};
    }
    Gain values(n);
    gguf::dequantize_rows(*tensor, 0, 1, values.data());
    for (uint64_t i = 0; i < n; ++i) {
      if (!std::isfinite(values[i])) {
        problems_.add(Fault::kUnusableNumber, name, "{}[{}] is {}", name, i, values[i]);
        break;
      }
    }
    return values;
  }

  // Absent unless `wanted`, and then it must be there.
  Gain gain_if(uint64_t wanted, const std::string& name, uint64_t n) { return wanted != 0 ? gain(name, n) : Gain(); }

  bn_tensor dense(const std::string& name, uint32_t role, const bn_arch& arch) {
    bn_tensor result{};
    const gguf::TensorInfo* tensor = take(name, arch.n_embd, arch.n_vocab, true);
    if (tensor == nullptr) return result;
    const auto dtype = gguf::dense_dtype(*tensor->type);
    if (!dtype) {
      problems_.add(Fault::kUnsupportedQuantization, name, "{} is {}, expected F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q4_K or Q4_0",
                    name, tensor->type->name);
      return result;
    }
    result.struct_size = sizeof result;
    result.role = role;
    result.layer = BN_NO_LAYER;
    result.dtype = *dtype;
    result.rows = arch.n_vocab;
    result.cols = arch.n_embd;
    result.data = tensor->data;
    result.bytes = tensor->bytes;
    result.flags = BN_TENSOR_PERSISTENT;
    return result;
  }

  Matrix matrix(const std::string& stem, uint32_t role, uint32_t layer, uint32_t cols, uint32_t rows, uint64_t must);

  void note_unexpected() {
    for (const gguf::TensorInfo& tensor : file_.tensors()) {
      if (!used_.contains(tensor.name))
        problems_.add(Fault::kTensorSet, tensor.name, "unexpected tensor {}", printable(tensor.name));
    }
  }

 private:
  const gguf::File& file_;
  Problems& problems_;
  gguf::TernaryOptions reading_;
  std::set<std::string> used_;
};

// The tensors of one matrix: NAME.weight; optionally a one-element NAME.scale that multiplies the product, and NAME.bias; in
// some families NAME_norm_in.weight.
Matrix TensorSet::matrix(const std::string& stem, uint32_t role, uint32_t layer, uint32_t cols, uint32_t rows, uint64_t must) {
  Matrix m;
  m.source = take(stem + ".weight", cols, rows, true);
  m.norm_in = gain_if(must & BN_M_IN_NORMS, stem + "_norm_in.weight", cols);
  m.bias = gain(stem + ".bias", rows, false);
  const Gain factor = gain(stem + ".scale", 1, false);
  if (m.source == nullptr) return m;
  if (!gguf::ternary_scale_kind(*m.source->type)) {
    problems_.add(
        Fault::kUnsupportedQuantization, stem + ".weight",
        "{}.weight is {}, expected a ternary type (I2_S, TL1, TL2, TQ1_0, TQ2_0, Q2_0, Q1_0, IQ1_BN, IQ2_BN, IQ2_BN_R4)", stem,
        m.source->type->name);
    m.source = nullptr;
    return m;
  }
  m.scales.assign(1, factor.empty() ? 1.0f : factor[0]);  // multiplied by the stored scales in load_scales()
  m.reading = reading_;
  m.reading.unit_scale_is_right = !factor.empty();
  const bool in_place =
      m.source->type->type == gguf::Type::kI2_S && reading_.i2s_layout == gguf::I2sLayout::kX86 && cols % 128 == 0;
  m.tensor.struct_size = sizeof m.tensor;
  m.tensor.role = role;
  m.tensor.layer = layer;
  m.tensor.dtype = BN_DT_TERNARY;
  m.tensor.rows = rows;
  m.tensor.cols = cols;
  m.tensor.format = in_place ? &backend::format_i2s128() : &backend::format_t2();
  m.tensor.data = in_place ? m.source->data : nullptr;
  m.tensor.bytes = in_place ? static_cast<uint64_t>(rows) * cols / 4 : static_cast<uint64_t>(rows) * ((cols + 3) / 4);
  m.tensor.flags = in_place ? BN_TENSOR_PERSISTENT : 0;
  return m;
}

void load_scales(Matrix& m) {
  const float factor = m.scales[0];
  std::vector<float> scales(m.tensor.rows);
  tbb::parallel_for(tbb::blocked_range<uint64_t>(0, m.tensor.rows, 64), [&](const tbb::blocked_range<uint64_t>& r) {
    gguf::row_scales(*m.source, r.begin(), r.end(), scales.data() + r.begin(), m.reading);
  });
  for (float& scale : scales) scale = scale * factor;
  const bool one = std::all_of(scales.begin(), scales.end(), [&](float s) { return s == scales[0]; });
  if (one) scales.resize(1);
  m.scales = std::move(scales);
  m.tensor.scales = m.scales.data();
  m.tensor.n_scales = static_cast<uint32_t>(m.scales.size());
}

// Matrices used in place go to kernels unread, where the illegal code 3 would count as +2: look for it here, eight bytes at a
// time. Others are checked when they are converted.
void refuse_code_3(const Matrix& m) {
  const uint64_t words = m.tensor.bytes / 8;
  const uint8_t* data = static_cast<const uint8_t*>(m.tensor.data);
  tbb::parallel_for(tbb::blocked_range<uint64_t>(0, words, 1 << 17), [&](const tbb::blocked_range<uint64_t>& r) {
    uint64_t found = 0;
    for (uint64_t i = r.begin(); i < r.end(); ++i) {
      uint64_t v;
      std::memcpy(&v, data + 8 * i, 8);
      found |= v & v >> 1 & 0x5555555555555555u;
    }
    if (found != 0) {  // decode the rows concerned; the decoder names row and column
      std::vector<int8_t> trits(m.tensor.cols);
      const uint64_t row_bytes = m.tensor.cols / 4;
      for (uint64_t row = 8 * r.begin() / row_bytes; row <= (8 * r.end() - 1) / row_bytes; ++row) {
        gguf::decode_rows(*m.source, row, row + 1, trits.data());
      }
    }
  });
}

void check_finite(const gguf::File& file, const char* name) {
  const gguf::TensorInfo* tensor = file.find_tensor(name);
  tbb::parallel_for(tbb::blocked_range<uint64_t>(0, tensor->rows(), 64), [&](const tbb::blocked_range<uint64_t>& r) {
    std::vector<float> row(tensor->columns());
    for (uint64_t i = r.begin(); i < r.end(); ++i) {
      gguf::dequantize_rows(*tensor, i, i + 1, row.data());
      for (size_t c = 0; c < row.size(); ++c) {
        if (!std::isfinite(row[c])) {
          fail(ErrorKind::kInvalidModel, "{}: tensor {}: row {}, column {} is {}", printable(file.path()), name, i, c, row[c]);
        }
      }
    }
  });
}

// Fills weights.reading and weights.warnings.
class ReadingNotes {
 public:
  ReadingNotes(const ReadOptions& options, Weights& weights) : options_(options), weights_(weights) {}

  void note(const Matrix& m) {
    const gguf::TypeInfo& type = *m.source->type;
    const auto say = [&](const std::string& line) {
      if (seen_.insert(line).second) weights_.reading += line + "\n";
    };
    has_i2s_ |= type.type == gguf::Type::kI2_S;
    if (type.type == gguf::Type::kI2_S && m.reading.i2s_layout != gguf::I2sLayout::kX86) {
      say(fmt::format("i2s-layout {}", gguf::i2s_layout_name(m.reading.i2s_layout)));
    }
    if (type.type != gguf::Type::kTL1 && type.type != gguf::Type::kTL2) return;
    has_tiles_ = true;
    const gguf::Tile tile = gguf::find_tile(type, m.source->name, m.source->extents, m.reading.tiles);
    say(fmt::format("{} {}x{} bm {} bk {} bmm {}", type.name, m.tensor.rows, m.tensor.cols, tile.rows, tile.columns,
                    tile.inner));
    if (gguf::tile_is_doubtful(type, m.source->extents, m.reading.tiles) && !doubtful_) {
      doubtful_ = true;
      weights_.warnings.push_back(fmt::format(
          "{} matrices of {} x {} are written with two different tiles and the file does not say which; bm {}, bk {}, "
          "bmm {} is taken. If the text makes no sense, give --kernel-config FILE",
          type.name, m.tensor.rows, m.tensor.cols, tile.rows, tile.columns, tile.inner));
    }
  }

  void finish() {
    if (options_.i2s_layout != gguf::I2sLayout::kX86 && !has_i2s_) {
      weights_.warnings.push_back(
          fmt::format("--i2s-layout {} has no effect: no matrix is I2_S", gguf::i2s_layout_name(options_.i2s_layout)));
    }
    if (!options_.kernel_config.empty() && !has_tiles_) {
      weights_.warnings.push_back("--kernel-config has no effect: no matrix is TL1 or TL2");
    }
  }

 private:
  const ReadOptions& options_;
  Weights& weights_;
  std::set<std::string> seen_;
  bool has_i2s_ = false, has_tiles_ = false, doubtful_ = false;
};

// Scales, and what the matrices' bytes must not hold.
void read_matrices(const ReadOptions& options, Weights& weights) {
  ReadingNotes notes(options, weights);
  for (Layer& layer : weights.layers) {
    for (Matrix* m :
         {&layer.attn_q, &layer.attn_k, &layer.attn_v, &layer.attn_output, &layer.ffn_gate, &layer.ffn_up, &layer.ffn_down}) {
      notes.note(*m);
      load_scales(*m);
      if (m->in_place()) refuse_code_3(*m);
      weights.matrix_bytes += m->source->bytes;
      if (m->source->type->name != weights.quantization && weights.quantization.back() != '+') weights.quantization += "+";
    }
  }
  notes.finish();
}

Layer read_layer(TensorSet& set, uint32_t n, const bn_arch& arch) {
  const uint32_t D = arch.n_embd, F = arch.n_ff, HD = arch.n_heads * arch.head_dim, GD = arch.n_kv_heads * arch.head_dim;
  const uint64_t must = arch.must;
  const auto stem = [&](const char* name) { return fmt::format("blk.{}.{}", n, name); };
  const auto matrix = [&](const char* name, uint32_t role, uint32_t cols, uint32_t rows) {
    return set.matrix(stem(name), role, n, cols, rows, must);
  };
  Layer layer;
  layer.attn_norm = set.gain(stem("attn_norm.weight"), D);
  layer.attn_q = matrix("attn_q", BN_T_ATTN_Q, D, HD);
  layer.attn_k = matrix("attn_k", BN_T_ATTN_K, D, GD);
  layer.attn_v = matrix("attn_v", BN_T_ATTN_V, D, GD);
  layer.attn_q_norm = set.gain_if(must & BN_M_QK_NORM, stem("attn_q_norm.weight"), arch.head_dim);
  layer.attn_k_norm = set.gain_if(must & BN_M_QK_NORM, stem("attn_k_norm.weight"), arch.head_dim);
  layer.attn_sub_norm = set.gain_if(must & BN_M_ATTN_SUB_NORM, stem("attn_sub_norm.weight"), HD);
  layer.attn_output = matrix("attn_output", BN_T_ATTN_OUTPUT, HD, D);
  layer.post_attn_norm = set.gain_if(must & BN_M_POST_NORMS, stem("post_attention_norm.weight"), D);
  layer.ffn_norm = set.gain(stem("ffn_norm.weight"), D);
  layer.ffn_gate = matrix("ffn_gate", BN_T_FFN_GATE, D, F);
  layer.ffn_up = matrix("ffn_up", BN_T_FFN_UP, D, F);
  layer.ffn_sub_norm = set.gain_if(must & BN_M_FFN_SUB_NORM, stem("ffn_sub_norm.weight"), F);
  layer.ffn_down = matrix("ffn_down", BN_T_FFN_DOWN, F, D);
  layer.post_ffn_norm = set.gain_if(must & BN_M_POST_NORMS, stem("post_ffw_norm.weight"), D);
  return layer;
}

}  // namespace

std::vector<backend::MatrixShape> matrix_shapes(const Weights& weights) {
  std::vector<backend::MatrixShape> shapes;
  for (const Layer& l : weights.layers) {
    for (const Matrix* m : {&l.attn_q, &l.attn_k, &l.attn_v, &l.attn_output, &l.ffn_gate, &l.ffn_up, &l.ffn_down}) {
      const bn_tensor& w = m->tensor;
      const auto same = [&](const backend::MatrixShape& s) {
        return s.rows == w.rows && s.cols == w.cols && s.format == w.format;
      };
      const auto at = std::find_if(shapes.begin(), shapes.end(), same);
      if (at == shapes.end()) {
        shapes.push_back({w.rows, w.cols, 1, w.format});
      } else {
        ++at->count;
      }
    }
  }
  return shapes;
}

void Matrix::read_t2(uint32_t row0, uint32_t row1, uint8_t* dst) const {
  std::vector<int8_t> trits(tensor.cols);
  for (uint32_t row = row0; row < row1; ++row) {
    gguf::decode_rows(*source, row, row + 1, trits.data(), reading);
    bn::kit::write_row_t2(trits.data(), tensor.cols, dst + static_cast<uint64_t>(row - row0) * ((tensor.cols + 3) / 4));
  }
}

Weights read_weights(const gguf::File& file, const Config& config, const ReadOptions& options) {
  const bn_arch& arch = config.arch;
  Problems problems;
  Weights weights;
  if (!options.kernel_config.empty()) {
    weights.tiles = std::make_shared<const gguf::TileTable>(gguf::read_kernel_config(options.kernel_config));
  }
  TensorSet set(file, problems, {.i2s_layout = options.i2s_layout, .tiles = weights.tiles.get()});
  weights.token_embd = set.dense("token_embd.weight", BN_T_TOKEN_EMBD, arch);
  if (arch.must & BN_M_TIED_HEAD) weights.output = weights.token_embd;
  if (!(arch.must & (BN_M_TIED_HEAD | BN_M_NO_HEAD))) weights.output = set.dense("output.weight", BN_T_OUTPUT, arch);
  weights.output_norm = set.gain("output_norm.weight", arch.n_embd);
  weights.rope_factors = set.gain("rope_freqs.weight", arch.rope_dim / 2, false);
  for (float factor : weights.rope_factors) {
    if (!(factor > 0))
      problems.add(Fault::kUnusableNumber, "rope_freqs.weight", "rope_freqs.weight holds {}, expected positive divisors",
                   factor);
  }
  for (uint32_t n = 0; n < arch.n_layers; ++n) weights.layers.push_back(read_layer(set, n, arch));
  set.note_unexpected();
  problems.throw_if_any(file);

  weights.head_bytes = weights.output.bytes;
  weights.quantization = weights.layers[0].attn_q.source->type->name;
  try {
    read_matrices(options, weights);
  } catch (const gguf::FormatError& e) {  // knows the tensor, not the file
    throw gguf::FormatError(e.fault(), e.place(), fmt::format("{}: {}", printable(file.path()), e.what()));
  }
  if (options.check_tensors) {
    check_finite(file, "token_embd.weight");
    if (!(arch.must & (BN_M_TIED_HEAD | BN_M_NO_HEAD))) check_finite(file, "output.weight");
  }
  return weights;
}

}  // namespace bitnet::model
