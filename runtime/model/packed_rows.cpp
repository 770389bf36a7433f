// model/packed_rows.cpp - finds out which bytes of a packed matrix belong to a row without knowing the layout.
#include "model/packed_rows.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "backend/device.h"
#include "base/error.h"
#include "base/sha256.h"
#include "bitnet/kit/ternary.hpp"

namespace bitnet::model {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint32_t kRowsChecked = 16;

// Zero bytes that take memory only where they are written, and can tell where that was.
class SparseMemory {
 public:
  explicit SparseMemory(uint64_t bytes) : bytes_((bytes + kPage) / kPage * kPage) {
    void* map = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) fail(ErrorKind::kNoMemory, "cannot map {} bytes", bytes_);
    data_ = static_cast<uint8_t*>(map);
    ::madvise(data_, bytes_, MADV_NOHUGEPAGE);
  }
  ~SparseMemory() { ::munmap(data_, bytes_); }
  SparseMemory(const SparseMemory&) = delete;
  SparseMemory& operator=(const SparseMemory&) = delete;

  uint8_t* data() const { return data_; }
  // Offsets of the pages that were written.
  std::vector<uint64_t> touched() const {
    std::vector<unsigned char> resident(bytes_ / kPage);
    std::vector<uint64_t> offsets;
    if (::mincore(data_, bytes_, resident.data()) != 0) return offsets;
    for (size_t i = 0; i < resident.size(); ++i) {
      if ((resident[i] & 1) != 0) offsets.push_back(i * kPage);
    }
    return offsets;
  }

 private:
  uint64_t bytes_;
  uint8_t* data_;
};

struct RowRange {
  uint32_t begin, end;
};

// Ranges of `granule` rows: the first, the last, and random ones in between until there are enough rows.
std::vector<RowRange> sample(uint32_t rows, uint32_t granule) {
  static thread_local std::minstd_rand random(std::random_device{}());
  const uint32_t last = (rows - 1) / granule;
  std::vector<uint32_t> granules = {0, last};
  while (granules.size() * granule < kRowsChecked && granules.size() < last)
    granules.push_back(static_cast<uint32_t>(random() % last));
  std::sort(granules.begin(), granules.end());
  granules.erase(std::unique(granules.begin(), granules.end()), granules.end());
  std::vector<RowRange> ranges;
  for (const uint32_t g : granules)
    ranges.push_back({g * granule, static_cast<uint32_t>(std::min<uint64_t>((uint64_t{g} + 1) * granule, rows))});
  return ranges;
}

void pack_ranges(const bn_tensor& w, const backend::Ops& ops, const std::vector<RowRange>& ranges, void* dst) {
  for (const RowRange& r : ranges) {
    bn_error error{};
    error.struct_size = sizeof error;
    const bn_status status = ops.table().pack(ops.device(), &w, r.begin, r.end, dst, &error);
    if (status != BN_OK) throw backend::BackendError(status, backend::error_text(status, error));
  }
}

// A byte that has one value on a ground of 0x00 and on one of 0xFF was written by pack().
bool same_where_written(const SparseMemory& zeros, const SparseMemory& ones, const std::vector<uint64_t>& pages,
                        std::span<const uint8_t> stored) {
  for (const uint64_t page : pages) {
    const uint64_t end = std::min<uint64_t>(page + kPage, stored.size());
    for (uint64_t i = page; i < end; ++i) {
      if (zeros.data()[i] == ones.data()[i] && zeros.data()[i] != stored[i]) return false;
    }
  }
  return true;
}

}  // namespace

std::string layout_fingerprint(const backend::Ops& ops, const bn_format& from) {
  constexpr uint32_t kRows = 256, kCols = 1024;
  const bool i2s128 = bn::kit::layout_of(&from) == bn::kit::Layout::kI2s128;
  std::vector<uint8_t> codes(kRows * kCols / 4);
  std::vector<int8_t> trits(kCols);
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t c = 0; c < kCols; ++c) trits[c] = bn::kit::canonical_trit(r, c);
    uint8_t* row = codes.data() + r * (kCols / 4);
    if (i2s128) {
      bn::kit::write_row_i2s128(trits.data(), kCols, row);
    } else {
      bn::kit::write_row_t2(trits.data(), kCols, row);
    }
  }
  const float scale = 1.0f;
  bn_tensor w{};
  w.struct_size = sizeof w;
  w.role = BN_T_ATTN_Q;
  w.dtype = BN_DT_TERNARY;
  w.rows = kRows;
  w.cols = kCols;
  w.n_scales = 1;
  w.scales = &scale;
  w.data = codes.data();
  w.bytes = codes.size();
  w.format = &from;
  uint64_t bytes = 0;
  bn_format layout{};
  layout.struct_size = sizeof layout;
  bn_error error{};
  error.struct_size = sizeof error;
  const bn_status status = ops.table().pack_size(ops.device(), &w, &bytes, &layout, &error);
  if (status != BN_OK) throw backend::BackendError(status, backend::error_text(status, error));
  const SparseMemory packed(bytes);  // zero, so that gaps in the layout are the same every time
  pack_ranges(w, ops, {{0, kRows}}, packed.data());
  return sha256_hex({packed.data(), static_cast<size_t>(bytes)}).substr(0, 32);
}

bool rows_are_packed(const Matrix& matrix, const bn_tensor& source, const backend::Ops& ops, std::span<const uint8_t> stored) {
  const std::vector<RowRange> ranges = sample(source.rows, ops.table().row_granule);
  const uint64_t row_bytes = (static_cast<uint64_t>(source.cols) + 3) / 4;
  bn_tensor w = source;
  const SparseMemory t2(w.data == nullptr ? row_bytes * w.rows : 0);
  if (w.data == nullptr) {
    for (const RowRange& r : ranges) matrix.read_t2(r.begin, r.end, t2.data() + r.begin * row_bytes);
    w.data = t2.data();
    w.bytes = row_bytes * w.rows;
  }
  const SparseMemory zeros(stored.size()), ones(stored.size());
  pack_ranges(w, ops, ranges, zeros.data());
  const std::vector<uint64_t> pages = zeros.touched();
  for (const uint64_t page : pages) std::memset(ones.data() + page, 0xFF, kPage);
  pack_ranges(w, ops, ranges, ones.data());
  return !pages.empty() && same_where_written(zeros, ones, pages, stored);
}

bool rows_are_t2(const Matrix& matrix, std::span<const uint8_t> stored) {
  const uint64_t row_bytes = (static_cast<uint64_t>(matrix.tensor.cols) + 3) / 4;
  std::vector<uint8_t> row(row_bytes);
  for (const RowRange& range : sample(matrix.tensor.rows, 1)) {
    for (uint32_t r = range.begin; r < range.end; ++r) {
      matrix.read_t2(r, r + 1, row.data());
      if (std::memcmp(row.data(), stored.data() + r * row_bytes, row_bytes) != 0) return false;
    }
  }
  return true;
}

}  // namespace bitnet::model
