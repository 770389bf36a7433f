// kernel/cuda/t2_test.cpp - packing to T2: bytes worked out by an independent program, every weight, tails, the forbidden code.
#include "device/t2.h"

#include <gtest/gtest.h>

#include "packed_matrix.h"

namespace bn_cuda {
namespace {

uint64_t fnv1a64(const std::vector<uint8_t>& bytes) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const uint8_t b : bytes) hash = (hash ^ b) * 0x100000001b3u;
  return hash;
}

TEST(CudaT2, BytesThatAnotherProgramGave) {
  const PackedMatrix one = mixed_matrix(16, 128), tails = mixed_matrix(40, 200);
  EXPECT_EQ(one.tiles.size(), 512u);
  EXPECT_EQ(fnv1a64(one.tiles), 0x17437115a4dcc594u);
  EXPECT_EQ(tails.tiles.size(), 3072u);
  EXPECT_EQ(fnv1a64(tails.tiles), 0x8dced6d73d77208au);
}

TEST(CudaT2, EveryWeightIsWhereTheDefinitionSays) {
  for (const uint32_t rows : {8u, 16u, 40u}) {
    for (const uint32_t cols : {1u, 15u, 17u, 100u, 128u, 200u, 2560u, 6912u, 8640u}) {
      const PackedMatrix a = mixed_matrix(rows, cols);
      for (uint32_t r = 0; r < (rows + 15) / 16 * 16; ++r) {
        for (uint32_t k = 0; k < t2_col_tiles(cols) * 128; ++k) {
          const int want = r < rows && k < cols ? a.trits[uint64_t{r} * cols + k] : 0;
          ASSERT_EQ(t2_weight(a.tiles.data(), cols, r, k), want) << rows << "x" << cols << " at " << r << "," << k;
        }
      }
    }
  }
}

TEST(CudaT2, BothSourceLayoutsGiveTheSameBytes) {
  for (const uint32_t cols : {128u, 2560u, 6912u}) {
    const PackedMatrix a = mixed_matrix(40, cols);
    std::vector<uint8_t> tiles(a.tiles.size(), 0x55), row(cols / 4);
    for (uint32_t r = 0; r < a.rows; ++r) {
      bn::kit::write_row_i2s128(&a.trits[uint64_t{r} * cols], cols, row.data());
      ASSERT_TRUE(t2_put_row_i2s128(tiles.data(), r, cols, row.data()));
    }
    EXPECT_EQ(tiles, a.tiles) << cols;
  }
}

TEST(CudaT2, PaddingOfTheSourceDoesNotMatter) {
  const uint32_t cols = 101;
  const PackedMatrix a = mixed_matrix(1, cols);
  std::vector<uint8_t> row = a.t2_rows, tiles(a.tiles.size(), 0x55);
  row.back() |= 0xFC;  // column 100 is the last
  EXPECT_TRUE(t2_put_row(tiles.data(), 0, cols, row.data()));
  EXPECT_EQ(tiles, a.tiles);
}

TEST(CudaT2, Code3IsFound) {
  const uint32_t cols = 256;
  std::vector<uint8_t> tiles(t2_bytes(1, cols), 0x55);
  for (const uint32_t k : {0u, 77u, 255u}) {
    std::vector<uint8_t> row(cols / 4, 0x55);
    EXPECT_TRUE(t2_put_row(tiles.data(), 0, cols, row.data()));
    EXPECT_TRUE(t2_put_row_i2s128(tiles.data(), 0, cols, row.data()));
    row[k / 4] = static_cast<uint8_t>(row[k / 4] | 2 << (2 * (k % 4)));
    EXPECT_FALSE(t2_put_row(tiles.data(), 0, cols, row.data())) << k;
    EXPECT_FALSE(t2_put_row_i2s128(tiles.data(), 0, cols, row.data())) << k;
  }
}

}  // namespace
}  // namespace bn_cuda
