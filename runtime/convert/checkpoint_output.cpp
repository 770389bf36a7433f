// convert/checkpoint_output.cpp - the plan by names, the packing, the folder.
#include "convert/checkpoint_output.h"

#include <fcntl.h>
#include <tbb/parallel_for.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "base/error.h"
#include "checkpoint/config_json.h"
#include "checkpoint/hf_names.h"
#include "checkpoint/safetensors.h"
#include "convert/tokenizer_output.h"
#include "convert/weight_comparison.h"
#include "gguf/float_formats.h"
#include "model/config.h"

namespace bitnet::convert {
namespace {

namespace fs = std::filesystem;
using checkpoint::Place;
using checkpoint::Role;
using nlohmann::json;

constexpr uint64_t kPieceBytes = 1 << 22;  // worked on before it is written

std::string system_text() { return std::generic_category().message(errno); }

[[noreturn]] void refuse(const std::string& what) {
  fail(ErrorKind::kUsage, "this model cannot be written as a checkpoint: {}", what);
}

// What the reader of checkpoints would have to find to give this model back.
checkpoint::HfConfig hf_config(const model::Config& config, const gguf::File& file) {
  const bn_arch& a = config.arch;
  const uint64_t known = BN_M_ATTN_SUB_NORM | BN_M_FFN_SUB_NORM | BN_M_TIED_HEAD;
  const bool bitnet = config.architecture.starts_with("bitnet");
  if (!bitnet && config.architecture != "llama") refuse(fmt::format("its architecture is {}", printable(config.architecture)));
  if ((a.must & ~known) != 0) refuse("its graph has parts that configurations of bitnet and llama do not name");
  if (a.rope_dim != a.head_dim) refuse(fmt::format("{} of {} dimensions are rotated", a.rope_dim, a.head_dim));
  if (file.find_tensor("rope_freqs.weight") != nullptr) refuse("it has the tensor rope_freqs.weight");
  checkpoint::HfConfig out;
  out.architecture = config.architecture;
  out.n_layers = a.n_layers;
  out.n_embd = a.n_embd;
  out.n_ff = a.n_ff;
  out.n_heads = a.n_heads;
  out.n_kv_heads = a.n_kv_heads;
  out.head_dim = a.head_dim;
  out.n_vocab = a.n_vocab;
  out.tied = (a.must & BN_M_TIED_HEAD) != 0;
  out.sub_norms = bitnet;
  out.pairs = !bitnet;
  return out;
}

// One tensor of the output.
struct Planned {
  std::string name;
  const char* dtype = nullptr;
  std::vector<uint64_t> shape;
  uint64_t bytes = 0;
  size_t source = 0;
  Role role = Role::kGain;
  bool pairs = false;
  bool convert = false;                  // numbers written as f32
  std::optional<float> only_scale = {};  // this is a weight_scale
};

class CheckpointWriter {
 public:
  CheckpointWriter(const Source& source, const OutputSettings& output)
      : source_(source),
        output_(output),
        model_config_(model::read_config(source.file())),
        config_(hf_config(model_config_, source.file())),
        partial_(output.path + ".partial") {}

  ~CheckpointWriter() {
    std::error_code ignored;
    if (!partial_.empty() && made_) fs::remove_all(partial_, ignored);
  }

  WrittenCheckpoint run() {
    plan();
    std::error_code error;
    if (!fs::create_directory(partial_, error)) {
      fail(ErrorKind::kFailure, "{}: cannot make the folder: {}", printable(partial_),
           error ? error.message() : "it is there already; remove it");
    }
    made_ = true;
    write_config();
    WrittenCheckpoint written;
    written.bytes = write_weights();
    written.without_tokenizer = write_tokenizer(source_, partial_);
    if (output_.verify) verify();
    publish();
    return written;
  }

 private:
  void plan() {
    std::set<std::string> used;
    for (const Place& place : checkpoint::places(config_)) {
      const gguf::TensorInfo* tensor = source_.file().find_tensor(place.name);
      if (tensor == nullptr) fail(ErrorKind::kInvalidModel, "tensor {} is missing", place.name);
      const size_t at = static_cast<size_t>(tensor - source_.tensors().data());
      used.insert({place.name, scale_name(place.name)});
      if (tensor->columns() != place.cols || tensor->rows() != place.rows) {
        fail(ErrorKind::kInvalidModel, "tensor {} is {{{}, {}}}, expected {{{}, {}}}", place.name, tensor->columns(),
             tensor->rows(), place.cols, place.rows);
      }
      if (place.role == Role::kMatrix) {
        plan_matrix(place, at);
      } else {
        plan_numbers(place, at);
      }
    }
    for (const gguf::TensorInfo& tensor : source_.tensors()) {
      if (!used.contains(tensor.name)) refuse(fmt::format("tensor {} has no place in one", printable(tensor.name)));
    }
    for (const Planned& p : planned_) total_ += p.bytes;
  }

  void plan_matrix(const Place& place, size_t at) {
    if (!Source::is_ternary(source_.tensor(at))) refuse(fmt::format("{} is not ternary", place.name));
    const uint64_t quarter = (place.rows + 3) / 4;
    planned_.push_back(
        {place.candidates[0], "U8", {quarter, place.cols}, quarter * place.cols, at, Role::kMatrix, place.pairs});
    Planned scale{place.candidates[0] + "_scale", "F32", {1}, 4, at};
    scale.only_scale = one_scale(at);
    planned_.push_back(std::move(scale));
  }

  void plan_numbers(const Place& place, size_t at) {
    const gguf::TypeInfo& type = *source_.tensor(at).type;
    Planned p{place.candidates[0], type.name, {place.rows, place.cols}, source_.tensor(at).bytes, at, place.role};
    if (place.role == Role::kGain) p.shape = {place.cols};
    if (type.type != gguf::Type::kF32 && type.type != gguf::Type::kF16 && type.type != gguf::Type::kBF16) {
      p.convert = true;
      p.dtype = "F32";
      p.bytes = place.rows * place.cols * 4;
    }
    planned_.push_back(std::move(p));
  }

  // The scale that all rows with a weight other than 0 share, times the tensor .scale.
  float one_scale(size_t at) const {
    const gguf::TensorInfo& tensor = source_.tensor(at);
    std::vector<float> scales(tensor.rows());
    source_.read_scales(at, 0, tensor.rows(), scales.data());
    std::vector<int8_t> trits(tensor.columns());
    float common = 0;
    for (uint64_t row = 0; row < tensor.rows(); ++row) {
      if (scales[row] == common || scales[row] == 0) continue;
      source_.read_trits(at, row, row + 1, trits.data());
      if (std::all_of(trits.begin(), trits.end(), [](int8_t t) { return t == 0; })) continue;
      if (common != 0) {
        refuse(fmt::format("{} has several scales ({} and {} in row {})", printable(tensor.name), common, scales[row], row));
      }
      common = scales[row];
    }
    float factor = 1;
    if (const gguf::TensorInfo* beside = source_.file().find_tensor(scale_name(tensor.name))) {
      gguf::dequantize_rows(*beside, 0, 1, &factor);
    }
    const float scale = common == 0 ? 1.0f : common * factor;
    if (!(scale > 0)) refuse(fmt::format("{} has the scale {}", printable(tensor.name), scale));
    return scale;
  }

  void write_config() {
    checkpoint::ModelNumbers numbers;
    numbers.context_length = model_config_.arch.n_ctx_max;
    numbers.norm_eps = model_config_.arch.norm_eps;
    numbers.rope_base = model_config_.arch.rope_base;
    numbers.rope_scale = model_config_.rope_scale;
    numbers.relu2 = model_config_.arch.act == BN_ACT_RELU2;
    std::ofstream out(fs::path(partial_) / "config.json");
    out << checkpoint::config_json(config_, numbers).dump(2) << "\n";
    if (!out.flush()) fail(ErrorKind::kFailure, "{}/config.json: cannot be written", printable(partial_));
  }

  std::string header() const {
    json entries = {{"__metadata__", {{"format", "pt"}}}};
    uint64_t at = 0;
    for (const Planned& p : planned_) {
      entries[p.name] = {{"dtype", p.dtype}, {"shape", p.shape}, {"data_offsets", {at, at + p.bytes}}};
      at += p.bytes;
    }
    std::string text = entries.dump();
    text.append((8 - text.size() % 8) % 8, ' ');
    return text;
  }

  uint64_t write_weights() {
    const std::string path = (fs::path(partial_) / checkpoint::kWeightsFile).string();
    file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file_ < 0) fail(ErrorKind::kFailure, "{}: cannot be written: {}", printable(path), system_text());
    const struct Closer {
      int file;
      ~Closer() { ::close(file); }
    } closer{file_};
    const std::string text = header();
    const uint64_t length = text.size();
    put(&length, sizeof length);
    put(text.data(), text.size());
    for (const Planned& p : planned_) write(p);
    if (::fsync(file_) != 0) fail(ErrorKind::kFailure, "{}: cannot be written: {}", printable(path), system_text());
    return 8 + length + total_;
  }

  void put(const void* data, uint64_t bytes) {
    const char* at = static_cast<const char*>(data);
    while (bytes != 0) {
      const ssize_t n = ::write(file_, at, bytes);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail(ErrorKind::kFailure, "{}: cannot be written: {}", printable(partial_), system_text());
      at += n;
      bytes -= static_cast<uint64_t>(n);
    }
  }

  void put_data(const void* data, uint64_t bytes) {
    put(data, bytes);
    done_ += bytes;
    if (output_.on_progress) output_.on_progress("write", done_, total_);
  }

  void write(const Planned& p) {
    if (p.only_scale) return put_data(&*p.only_scale, sizeof(float));
    if (p.role == Role::kMatrix) {
      write_matrix(p);
    } else if (p.convert) {
      write_numbers(p);
    } else {
      copy(p);
    }
    source_.release(p.source);
  }

  void copy(const Planned& p) {
    std::vector<uint8_t> piece(std::min(kPieceBytes, p.bytes));
    for (uint64_t at = 0; at < p.bytes; at += piece.size()) {
      const uint64_t n = std::min<uint64_t>(piece.size(), p.bytes - at);
      source_.read_bytes(p.source, at, n, piece.data());
      put_data(piece.data(), n);
    }
  }

  void write_numbers(const Planned& p) {
    const gguf::TensorInfo& tensor = source_.tensor(p.source);
    std::vector<float> row(tensor.columns());
    for (uint64_t r = 0; r < tensor.rows(); ++r) {
      gguf::dequantize_rows(tensor, r, r + 1, row.data());
      put_data(row.data(), row.size() * sizeof(float));
    }
  }

  // The row of the source that stands in a row of the checkpoint.
  uint64_t source_row(const Planned& p, uint64_t row) const {
    if (!p.pairs) return row;
    const uint64_t d = config_.head_dim, at = row % d;
    return row - at + 2 * (at % (d / 2)) + at / (d / 2);
  }

  void write_matrix(const Planned& p) {
    const gguf::TensorInfo& tensor = source_.tensor(p.source);
    const uint64_t columns = tensor.columns(), quarter = p.shape[0], step = std::max<uint64_t>(1, kPieceBytes / columns);
    std::vector<uint8_t> piece(std::min(step, quarter) * columns);
    for (uint64_t first = 0; first < quarter; first += step) {
      const uint64_t rows = std::min(step, quarter - first);
      tbb::parallel_for(uint64_t{0}, rows, [&](uint64_t r) {
        std::vector<int8_t> trits(columns);
        uint8_t* out = piece.data() + r * columns;
        std::memset(out, 0, columns);
        for (uint64_t i = 0; i < 4; ++i) {
          const uint64_t row = i * quarter + first + r;
          if (row >= tensor.rows()) continue;
          const uint64_t from = source_row(p, row);
          source_.read_trits(p.source, from, from + 1, trits.data());
          for (uint64_t c = 0; c < columns; ++c) out[c] |= static_cast<uint8_t>((trits[c] + 1) << (2 * i));
        }
      });
      put_data(piece.data(), rows * columns);
    }
  }

  void verify() const {
    const Source written(partial_);
    const WeightComparison comparison = compare_weights(source_, written, 0.0, [&](uint64_t done, uint64_t total) {
      if (output_.on_progress) output_.on_progress("verify", done, total);
    });
    for (const TensorComparison& t : comparison.tensors) {
      if (t.passed() || t.name.ends_with(".scale")) continue;  // folded into weight_scale
      fail(ErrorKind::kFailure, "{}: verification failed: tensor {}: {}; nothing was kept", printable(output_.path), t.name,
           t.problem.empty() ? fmt::format("differs by up to {}", t.max_error) : t.problem);
    }
  }

  void publish() {
    if (::rename(partial_.c_str(), output_.path.c_str()) != 0) {
      fail(ErrorKind::kFailure, "{}: cannot be given its name: {}", printable(output_.path), system_text());
    }
    partial_.clear();
  }

  const Source& source_;
  const OutputSettings& output_;
  model::Config model_config_;
  checkpoint::HfConfig config_;
  std::string partial_;  // folder; empty when it has its name
  bool made_ = false;
  std::vector<Planned> planned_;
  uint64_t total_ = 0, done_ = 0;  // bytes of weights
  int file_ = -1;
};

}  // namespace

WrittenCheckpoint write_checkpoint(const Source& source, const OutputSettings& output) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(output.path, error))) {
    fail(ErrorKind::kUsage, "output {}: exists; a checkpoint is written to a new folder", printable(output.path));
  }
  return CheckpointWriter(source, output).run();
}

}  // namespace bitnet::convert
