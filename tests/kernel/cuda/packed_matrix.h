// kernel/cuda/packed_matrix.h - a ternary matrix of a test in three shapes: trits, rows of bn.t2, tiles of T2.
#pragma once

#include <cstdint>
#include <vector>

#include "bitnet/kit/ternary.hpp"
#include "device/t2.h"

namespace bn_cuda {

struct PackedMatrix {
  uint32_t rows, cols;
  std::vector<int8_t> trits;
  std::vector<uint8_t> t2_rows;  // bn.t2
  std::vector<uint8_t> tiles;

  template <class F>  // trit(r, k)
  PackedMatrix(uint32_t rows_, uint32_t cols_, F&& trit) : rows(rows_), cols(cols_), tiles(t2_bytes(rows_, cols_), 0x55) {
    const uint64_t bytes = bn::kit::row_bytes(bn::kit::Layout::kT2, cols);
    t2_rows.resize(rows * bytes);
    for (uint32_t r = 0; r < rows; ++r) {
      for (uint32_t k = 0; k < cols; ++k) trits.push_back(trit(r, k));
      bn::kit::write_row_t2(&trits[uint64_t{r} * cols], cols, &t2_rows[r * bytes]);
      t2_put_row(tiles.data(), r, cols, &t2_rows[r * bytes]);
    }
  }
};

// The weights of the golden bytes in tests.
inline int8_t mixed_trit(uint32_t r, uint32_t k, uint32_t cols) {
  return static_cast<int8_t>(static_cast<int>(((r * cols + k) * 2654435761u >> 16) % 3u) - 1);
}
inline PackedMatrix mixed_matrix(uint32_t rows, uint32_t cols) {
  return PackedMatrix(rows, cols, [cols](uint32_t r, uint32_t k) { return mixed_trit(r, k, cols); });
}

}  // namespace bn_cuda
