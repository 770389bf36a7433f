// engine/upload.cpp - from the file's rows to tiles on the device.
#include "upload.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "../device/t2.h"
#include "bitnet/kit/model_description.hpp"

namespace bn_cuda {
namespace {

using bn::kit::Layout;
using bn::kit::set_error;
using bn::kit::tensor_at;

constexpr uint32_t kNoRow = 0xFFFFFFFFu;

// Tiles of 16 rows of one matrix, [first, first + n), packed by several threads.
struct Packing {
  const bn_model_desc* desc;
  const MatrixCopy* matrix;
  uint8_t* to;
  uint32_t first;
  std::atomic<bn_status> status{BN_OK};
  std::atomic<uint32_t> bad_row{kNoRow};  // one in which a code 3 was found

  uint64_t tile_bytes() const { return t2_bytes(kTileRows, matrix->to.cols); }
};

bool put_row(const Packing& p, const bn_tensor& t, uint64_t tensor, uint32_t row, uint8_t* tiles, uint32_t r, bn_status* bad) {
  const uint32_t cols = t.cols;
  if (!bn::kit::has_known_layout(t)) {
    std::vector<uint8_t> t2(bn::kit::row_bytes(Layout::kT2, cols));
    *bad = p.desc->read_t2(p.desc->read_ctx, tensor, row, row + 1, t2.data(), t2.size());
    return *bad != BN_OK || t2_put_row(tiles, r, cols, t2.data());
  }
  const Layout layout = bn::kit::layout_of(t.format);
  const uint8_t* stored = static_cast<const uint8_t*>(t.data) + row * bn::kit::row_bytes(layout, cols);
  return layout == Layout::kT2 ? t2_put_row(tiles, r, cols, stored) : t2_put_row_i2s128(tiles, r, cols, stored);
}

void pack_tiles(Packing& p, uint32_t i) {
  uint8_t* const tiles = p.to + i * p.tile_bytes();
  std::memset(tiles, 0x55, p.tile_bytes());
  for (uint32_t r = 0; r < kTileRows; ++r) {
    const uint32_t row = (p.first + i) * kTileRows + r;
    const RowSource source = row_source(*p.desc, *p.matrix, row);
    if (source.part == p.matrix->tensors.size()) continue;
    const uint64_t tensor = p.matrix->tensors[source.part];
    bn_status bad = BN_OK;
    if (!put_row(p, tensor_at(*p.desc, tensor), tensor, source.row, tiles, r, &bad)) p.bad_row = source.row;
    if (bad != BN_OK) p.status = bad;
  }
}

// bn_host.parallel_for takes no exceptions.
void pack_tiles_of(void* packing, uint32_t i) {
  Packing& p = *static_cast<Packing*>(packing);
  try {
    pack_tiles(p, i);
  } catch (...) {
    p.status = BN_E_NO_MEMORY;
  }
}

struct Slices {
  uint8_t* to;
  const uint8_t* from;
  uint64_t bytes;
  static constexpr uint64_t kBytes = uint64_t{1} << 20;
};
void copy_slice(void* slices, uint32_t i) {
  const Slices& s = *static_cast<const Slices*>(slices);
  const uint64_t begin = i * Slices::kBytes;
  std::memcpy(s.to + begin, s.from + begin, std::min(Slices::kBytes, s.bytes - begin));
}

}  // namespace

Uploader::Uploader(Stream& stream, const bn_host& host, const bn_model_desc& desc, bn::kit::CallWatch& watch)
    : stream_(stream), host_(host), desc_(desc), watch_(watch) {
  for (Chunk& c : chunks_) c.block = HostBlock(stream.gpu(), kChunkBytes);
}

bn_status Uploader::next_chunk(bn_error* error) {
  Chunk& full = chunks_[current_];
  full.sent = stream_.record();
  full.in_flight = true;
  current_ = 1 - current_;
  Chunk& next = chunks_[current_];
  if (next.in_flight) {
    if (const bn_status stop = stream_.wait(next.sent, &watch_, error); stop != BN_OK) return stop;
  }
  next.in_flight = false;
  next.used = 0;
  return watch_.poll(error);
}

bn_status Uploader::reserve(uint64_t bytes, uint8_t** room, bn_error* error) {
  if (chunks_[current_].used + bytes > kChunkBytes) {
    if (const bn_status stop = next_chunk(error); stop != BN_OK) return stop;
  }
  Chunk& c = chunks_[current_];
  *room = c.block.data() + c.used;
  c.used += (bytes + 255) / 256 * 256;
  return BN_OK;
}

bn_status Uploader::copy(const PlainCopy& c, bn_error* error) {
  for (uint64_t done = 0; done < c.bytes;) {
    const uint64_t n = std::min(kChunkBytes, c.bytes - done);
    uint8_t* room = nullptr;
    if (const bn_status stop = reserve(n, &room, error); stop != BN_OK) return stop;
    Slices slices{room, static_cast<const uint8_t*>(c.from) + done, n};
    host_.parallel_for(host_.ctx, static_cast<uint32_t>((n + Slices::kBytes - 1) / Slices::kBytes), copy_slice, &slices);
    stream_.upload(static_cast<uint8_t*>(c.to) + done, room, n);
    done += n;
  }
  return BN_OK;
}

bn_status Uploader::copy(const MatrixCopy& m, bn_error* error) {
  const uint32_t n_tiles = (m.to.rows + kTileRows - 1) / kTileRows;
  const uint64_t tile = t2_bytes(kTileRows, m.to.cols);  // at most 512 KB, for BN_K_MAX columns
  const uint32_t most = static_cast<uint32_t>(std::max<uint64_t>(1, kChunkBytes / 2 / tile));
  for (uint32_t first = 0; first < n_tiles; first += most) {
    const uint32_t n = std::min(most, n_tiles - first);
    uint8_t* room = nullptr;
    if (const bn_status stop = reserve(n * tile, &room, error); stop != BN_OK) return stop;
    Packing packing{&desc_, &m, room, first};
    host_.parallel_for(host_.ctx, n, pack_tiles_of, &packing);
    if (packing.status != BN_OK) {
      return set_error(error, packing.status, "model: rows of %s could not be read", m.name);
    }
    if (packing.bad_row != kNoRow) {
      return set_error(error, BN_E_DATA, "model: row %u of %s holds the code 3, which is no weight", packing.bad_row.load(),
                       m.name);
    }
    stream_.upload(m.to.w + first * tile, room, n * tile);
  }
  return vectors(m, error);
}

// Scales and biases, one for every row. A row without a bias gets -0: adding that changes nothing, not even a -0.
bn_status Uploader::vectors(const MatrixCopy& m, bn_error* error) {
  const uint64_t bytes = 4ull * m.to.rows;
  uint8_t *scale_room = nullptr, *bias_room = nullptr;
  if (const bn_status stop = reserve(bytes, &scale_room, error); stop != BN_OK) return stop;
  float* const scale = reinterpret_cast<float*>(scale_room);
  for (uint32_t r = 0; r < m.to.rows; ++r) {
    const RowSource source = row_source(desc_, m, r);
    const bool padding = source.part == m.tensors.size();
    scale[r] = padding ? 0.0f : bn::kit::row_scale(tensor_at(desc_, m.tensors[source.part]), source.row);
  }
  stream_.upload(m.to.scale, scale, bytes);
  if (m.to.bias == nullptr) return BN_OK;
  if (const bn_status stop = reserve(bytes, &bias_room, error); stop != BN_OK) return stop;
  float* const bias = reinterpret_cast<float*>(bias_room);
  for (uint32_t r = 0; r < m.to.rows; ++r) {
    const RowSource source = row_source(desc_, m, r);
    const bool none = source.part == m.tensors.size() || m.biases[source.part] == desc_.n_tensors;
    bias[r] = none ? -0.0f : static_cast<const float*>(tensor_at(desc_, m.biases[source.part]).data)[source.row];
  }
  stream_.upload(m.to.bias, bias, bytes);
  return BN_OK;
}

bn_status Uploader::run(const Copies& copies, bn_error* error) {
  for (const PlainCopy& c : copies.plain) {
    if (const bn_status stop = copy(c, error); stop != BN_OK) return stop;
  }
  for (const MatrixCopy& m : copies.matrices) {
    if (const bn_status stop = copy(m, error); stop != BN_OK) return stop;
  }
  return stream_.wait(stream_.record(), &watch_, error);
}

}  // namespace bn_cuda
