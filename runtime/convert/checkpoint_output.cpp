// convert/checkpoint_output.cpp - the packing and the folder.
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
#include <system_error>

#include "base/error.h"
#include "checkpoint/pooling_config.h"
#include "checkpoint/safetensors.h"
#include "convert/checkpoint_config.h"
#include "convert/checkpoint_plan.h"
#include "convert/tokenizer_output.h"
#include "convert/weight_comparison.h"
#include "gguf/float_formats.h"
#include "model/config.h"

namespace bitnet::convert {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kPieceBytes = 1 << 22;  // worked on before it is written

std::string system_text() { return std::generic_category().message(errno); }

class CheckpointWriter {
 public:
  CheckpointWriter(const Source& source, const OutputSettings& output)
      : source_(source),
        output_(output),
        model_config_(model::read_config(source.file())),
        made_of_(checkpoint_config(model_config_, source.file())),
        config_(made_of_.config),
        partial_(output.path + ".partial") {}

  ~CheckpointWriter() {
    std::error_code ignored;
    if (!partial_.empty() && made_) fs::remove_all(partial_, ignored);
  }

  WrittenCheckpoint run() {
    planned_ = plan_checkpoint(source_, config_);
    for (const CheckpointTensor& p : planned_) total_ += p.bytes;
    std::error_code error;
    if (!fs::create_directory(partial_, error)) {
      fail(ErrorKind::kFailure, "{}: cannot make the folder: {}", printable(partial_),
           error ? error.message() : "it is there already; remove it");
    }
    made_ = true;
    write_config();
    WrittenCheckpoint written;
    written.bytes = write_weights();
    compare_config();
    written.without_tokenizer = write_tokenizer(source_, partial_);
    if (output_.verify) verify();
    publish();
    return written;
  }

 private:
  void write_json(const std::string& name, const json& content) const {
    const fs::path path = fs::path(partial_) / name;
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    std::ofstream out(path);
    out << content.dump(2) << "\n";
    if (!out.flush()) fail(ErrorKind::kFailure, "{}: cannot be written", printable(path.string()));
  }

  void write_config() const {
    write_json("config.json", checkpoint::config_json(config_, made_of_.numbers));
    if (!made_of_.pooling) return;
    for (const auto& [name, content] : checkpoint::pooling_files(*made_of_.pooling, config_.n_embd)) write_json(name, content);
  }

  // The folder is read as any other, and has to be the model that it was.
  void compare_config() const {
    const Source written(partial_);
    const std::string difference = config_difference(model_config_, model::read_config(written.file()));
    if (!difference.empty()) refuse_checkpoint(difference);
  }

  std::string header() const {
    json entries = {{"__metadata__", {{"format", "pt"}}}};
    uint64_t at = 0;
    for (const CheckpointTensor& p : planned_) {
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
    for (const CheckpointTensor& p : planned_) write(p);
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

  void write(const CheckpointTensor& p) {
    if (p.only_scale) return put_data(&*p.only_scale, sizeof(float));
    if (p.role == checkpoint::Role::kMatrix) {
      write_matrix(p);
    } else if (p.convert) {
      write_numbers(p);
    } else {
      copy(p);
    }
    source_.release(p.source);
  }

  void copy(const CheckpointTensor& p) {
    std::vector<uint8_t> piece(std::min(kPieceBytes, p.bytes));
    for (uint64_t at = 0; at < p.bytes; at += piece.size()) {
      const uint64_t n = std::min<uint64_t>(piece.size(), p.bytes - at);
      source_.read_bytes(p.source, at, n, piece.data());
      put_data(piece.data(), n);
    }
  }

  void write_numbers(const CheckpointTensor& p) {
    const gguf::TensorInfo& tensor = source_.tensor(p.source);
    std::vector<float> row(tensor.columns()), out(row.size());
    for (uint64_t r = 0; r < tensor.rows(); ++r) {
      gguf::dequantize_rows(tensor, r, r + 1, row.data());
      for (uint64_t i = 0; i < row.size(); ++i) out[i] = row[source_row(p, i)] - (p.less_one ? 1.0f : 0.0f);
      put_data(out.data(), out.size() * sizeof(float));
    }
  }

  // The row of the source, or the number of its bias, that stands in a row of the checkpoint.
  uint64_t source_row(const CheckpointTensor& p, uint64_t row) const {
    if (!p.pairs) return row;
    const uint64_t d = config_.head_dim, at = row % d;
    return row - at + 2 * (at % (d / 2)) + at / (d / 2);
  }

  void write_matrix(const CheckpointTensor& p) {
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
  CheckpointConfig made_of_;
  const checkpoint::HfConfig& config_;
  std::string partial_;  // folder; empty when it has its name
  bool made_ = false;
  std::vector<CheckpointTensor> planned_;
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
