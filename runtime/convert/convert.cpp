// convert/convert.cpp - the loop over tensors and rows, the checks of the output's name, the verification.
#include "convert/convert.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/error.h"
#include "convert/source.h"
#include "gguf/ternary_encoder.h"

namespace bitnet::convert {
namespace {

constexpr uint64_t kCopyBytes = 1 << 20;     // copied at a time
constexpr uint64_t kTaskWeights = 1 << 18;   // encoded by one thread at a time
constexpr uint64_t kChunkWeights = 1 << 22;  // encoded before they are written

uint64_t whole_granules(uint64_t weights, uint64_t columns, uint64_t granule) {
  return std::max<uint64_t>(1, weights / (columns * granule)) * granule;
}

class ModelWriter {
 public:
  ModelWriter(const Source& source, const Plan& plan, const Wanted& wanted, const OutputSettings& output)
      : source_(source), plan_(plan), wanted_(wanted), output_(output), writer_(output.path, source.alignment()) {}

  uint64_t run() {
    source_.add_keys(writer_, plan_.file_type);
    for (const PlannedTensor& p : plan_.tensors) declare(p);
    require_space();
    for (const PlannedTensor& p : plan_.tensors) {
      write(p);
      source_.release(p.source);
    }
    const uint64_t size = writer_.complete(true);
    if (output_.verify) verify();
    writer_.publish();
    return size;
  }

 private:
  const gguf::TensorInfo& tensor(const PlannedTensor& p) const { return source_.tensor(p.source); }

  void declare(const PlannedTensor& p) {
    const gguf::TensorInfo& t = tensor(p);
    const uint64_t bytes = writer_.add_tensor(t.name, *p.type, std::span(t.extents.data(), t.n_dims));
    if (!p.encode && bytes != t.bytes) {
      fail(ErrorKind::kFailure, "tensor '{}': {} bytes expected, {} found", printable(t.name), bytes, t.bytes);
    }
    if (p.scale_tensor) writer_.add_tensor(scale_name(t.name), gguf::Type::kF32, {1});
  }

  void require_space() const {
    struct statvfs disk {};
    const std::string folder = std::filesystem::absolute(output_.path).parent_path().string();
    if (::statvfs(folder.c_str(), &disk) != 0) return;  // the write will tell
    const uint64_t free = static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
    if (free >= writer_.data_bytes()) return;
    fail(ErrorKind::kFailure, "{}: needs {} MB, {} MB are free on that disk", printable(output_.path),
         writer_.data_bytes() >> 20, free >> 20);
  }

  void progress(const char* phase, uint64_t bytes) {
    done_ += bytes;
    if (output_.on_progress) output_.on_progress(phase, std::min(done_, writer_.data_bytes()), writer_.data_bytes());
  }

  void write(const PlannedTensor& p) {
    if (p.encode) {
      encode(p);
    } else {
      copy(p);
    }
    if (p.scale_tensor) writer_.write(&*p.scale_tensor, sizeof(float));
  }

  void copy(const PlannedTensor& p) {
    std::vector<uint8_t> piece(std::min(kCopyBytes, tensor(p).bytes));
    for (uint64_t at = 0; at < tensor(p).bytes; at += piece.size()) {
      const uint64_t n = std::min<uint64_t>(piece.size(), tensor(p).bytes - at);
      source_.read_bytes(p.source, at, n, piece.data());
      writer_.write(piece.data(), n);
      progress("write", n);
    }
  }

  void encode(const PlannedTensor& p) {
    const gguf::TensorInfo& t = tensor(p);
    const gguf::TernaryEncoder encoder(*p.type, t.name, t.extents, {.tiles = wanted_.tiles});
    const uint64_t chunk = whole_granules(kChunkWeights, t.columns(), encoder.granule());
    std::vector<std::vector<uint8_t>> pieces(encoder.parts().size());
    for (size_t i = 0; i < pieces.size(); ++i) pieces[i].resize(encoder.piece_bytes(i, std::min(chunk, t.rows())));
    for (uint64_t row = 0; row < t.rows(); row += chunk) {
      const uint64_t rows = std::min(chunk, t.rows() - row);
      encode_rows(p, encoder, row, rows, pieces);
      for (size_t i = 0; i < pieces.size(); ++i) {
        const uint64_t bytes = encoder.piece_bytes(i, rows);
        if (bytes == 0) continue;  // a TL2 tensor without pairs
        writer_.write_at(encoder.parts()[i].offset + encoder.piece_offset(i, row), pieces[i].data(), bytes);
        progress("write", bytes);
      }
    }
    const std::vector<uint8_t> tail = encoder.tail(p.tensor_scale);
    if (!tail.empty()) writer_.write_at(encoder.tail_offset(), tail.data(), tail.size());
    progress("write", tail.size());
  }

  // Rows [row0, row0 + rows) into pieces, in parallel.
  void encode_rows(const PlannedTensor& p, const gguf::TernaryEncoder& encoder, uint64_t row0, uint64_t rows,
                   std::vector<std::vector<uint8_t>>& pieces) const {
    const uint64_t columns = tensor(p).columns(), step = whole_granules(kTaskWeights, columns, encoder.granule());
    tbb::parallel_for(uint64_t{0}, (rows + step - 1) / step, [&](uint64_t task) {
      const uint64_t first = task * step, n = std::min(step, rows - first);
      std::vector<int8_t> trits(n * columns);
      std::vector<float> scales(n, 1.0f);
      source_.read_trits(p.source, row0 + first, row0 + first + n, trits.data());
      if (!p.scale_tensor) source_.read_scales(p.source, row0 + first, row0 + first + n, scales.data());
      std::vector<uint8_t*> out;
      for (size_t i = 0; i < pieces.size(); ++i) out.push_back(pieces[i].data() + encoder.piece_offset(i, first));
      encoder.encode(trits.data(), scales.data(), n, out.data());
    });
  }

  void verify();
  void verify_encoded(const PlannedTensor& p, const Source& written, size_t in_written);
  void verify_copied(const PlannedTensor& p, const Source& written, size_t in_written);
  [[noreturn]] void differs(const gguf::TensorInfo& t, const std::string& what) const {
    fail(ErrorKind::kFailure, "{}: verification failed: tensor '{}': {}; nothing was kept", printable(output_.path),
         printable(t.name), what);
  }

  const Source& source_;
  const Plan& plan_;
  const Wanted& wanted_;
  const OutputSettings& output_;
  gguf::Writer writer_;
  uint64_t done_ = 0;
};

void ModelWriter::verify() {
  const Source written(writer_.partial_path(), output_.reading);
  done_ = 0;
  size_t at = 0;
  for (const PlannedTensor& p : plan_.tensors) {
    if (at == written.tensors().size() || written.tensor(at).name != tensor(p).name) differs(tensor(p), "it is missing");
    if (p.encode) {
      verify_encoded(p, written, at);
    } else {
      verify_copied(p, written, at);
    }
    written.release(at++);
    source_.release(p.source);
    if (!p.scale_tensor) continue;
    float scale = 0;
    written.read_bytes(at++, 0, sizeof scale, &scale);
    if (scale != *p.scale_tensor) differs(tensor(p), fmt::format("its scale is {}, expected {}", scale, *p.scale_tensor));
  }
}

void ModelWriter::verify_encoded(const PlannedTensor& p, const Source& written, size_t in_written) {
  const gguf::TensorInfo& t = tensor(p);
  const uint64_t step = std::max<uint64_t>(1, kTaskWeights / t.columns());
  const bool exact = wanted_.scales != Scales::kAllowLoss;
  tbb::parallel_for(uint64_t{0}, (t.rows() + step - 1) / step, [&](uint64_t task) {
    const uint64_t first = task * step, last = std::min(first + step, t.rows());
    std::vector<int8_t> a((last - first) * t.columns()), b(a.size());
    std::vector<float> scales_a(last - first), scales_b(last - first);
    source_.read_trits(p.source, first, last, a.data());
    written.read_trits(in_written, first, last, b.data());
    source_.read_scales(p.source, first, last, scales_a.data());
    written.read_scales(in_written, first, last, scales_b.data());
    for (uint64_t row = first; row < last; ++row) {
      const int8_t *ra = a.data() + (row - first) * t.columns(), *rb = b.data() + (row - first) * t.columns();
      if (std::memcmp(ra, rb, t.columns()) != 0) differs(t, fmt::format("row {} has other weights", row));
      const bool zero = std::all_of(ra, ra + t.columns(), [](int8_t w) { return w == 0; });
      const float found = scales_b[row - first] * p.scale_tensor.value_or(1.0f);
      if (exact && !zero && found != scales_a[row - first]) {
        differs(t, fmt::format("row {} has the scale {}, expected {}", row, found, scales_a[row - first]));
      }
    }
  });
  progress("verify", written.tensor(in_written).bytes);
}

void ModelWriter::verify_copied(const PlannedTensor& p, const Source& written, size_t in_written) {
  std::vector<uint8_t> a(std::min(kCopyBytes, tensor(p).bytes)), b(a.size());
  for (uint64_t at = 0; at < tensor(p).bytes; at += a.size()) {
    const uint64_t n = std::min<uint64_t>(a.size(), tensor(p).bytes - at);
    source_.read_bytes(p.source, at, n, a.data());
    written.read_bytes(in_written, at, n, b.data());
    if (std::memcmp(a.data(), b.data(), n) != 0) differs(tensor(p), "copied bytes differ");
    progress("verify", n);
  }
}

}  // namespace

void check_output(const Source& source, const OutputSettings& output) {
  struct stat in {
  }, out{};
  if (::stat(output.path.c_str(), &out) != 0) {
    if (errno == ENOENT) return;
    fail(ErrorKind::kUsage, "output {}: {}", printable(output.path), std::generic_category().message(errno));
  }
  if (::stat(source.path().c_str(), &in) == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino) {
    fail(ErrorKind::kUsage, "output {} is the input; choose another name", printable(output.path));
  }
  if (!S_ISREG(out.st_mode)) fail(ErrorKind::kUsage, "output {}: exists and is no regular file", printable(output.path));
  if (!output.force) fail(ErrorKind::kUsage, "output {}: exists; --force replaces it", printable(output.path));
}

uint64_t write_model(const Source& source, const Plan& plan, const Wanted& wanted, const OutputSettings& output) {
  check_output(source, output);
  return ModelWriter(source, plan, wanted, output).run();
}

}  // namespace bitnet::convert
