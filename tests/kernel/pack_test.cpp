// kernel/pack_test.cpp - accepts(), pack_size() and pack(): who takes which layout, and that packing is a pure function.
#include <cstring>
#include <vector>

#include "kernel/compare.h"
#include "kernel/plugin_under_test.h"
#include "kernel/ternary_matrix.h"

namespace bitnet::kernel_test {
namespace {

class PackTest : public KernelTest {
 protected:
  // Bytes of pack_size(), or 0 after a failure.
  uint64_t packed_bytes(const bn_tensor& w) {
    bn_error error = {};
    error.struct_size = sizeof error;
    bn_format layout = {};
    layout.struct_size = sizeof layout;
    uint64_t bytes = 0;
    EXPECT_EQ(plugin().pack_size(device(), &w, &bytes, &layout, &error), BN_OK) << error.message;
    return bytes;
  }
};

TEST_P(PackTest, AcceptsT2OfAnyShape) {
  for (const uint32_t cols : {1u, 7u, 100u, 128u, 320u, 8640u, 131072u}) {
    for (const uint32_t rows : {1u, 3u, 130u}) {
      const TernaryMatrix w(Layout::kT2, rows, cols, Trits::kAllZero, 1, 1, Edge::kEnd);
      const bn_tensor shape = w.shape_only();
      const int32_t answer = plugin().accepts(device(), &shape);
      EXPECT_TRUE(answer == BN_PACK || answer == BN_NATIVE) << rows << "x" << cols << ": " << answer;
      EXPECT_EQ(plugin().accepts(device(), &w.tensor), answer) << "the answer depends on more than format and shape";
    }
  }
}

TEST_P(PackTest, RefusesUnknownLayouts) {
  const TernaryMatrix w(Layout::kT2, 4, 128, Trits::kRandom, 1, 1, Edge::kEnd);
  for (const char* id : {"bn.t2", "bn.i2s128", "i2_s"}) {  // the name does not count, the fingerprint does
    bn_format format = format_of(Layout::kT2);
    std::strcpy(format.id, id);
    format.fingerprint[15] ^= 1;
    bn_tensor other = w.tensor;
    other.format = &format;
    EXPECT_EQ(plugin().accepts(device(), &other), BN_NO) << id;
  }
}

TEST_P(PackTest, RefusesTensorsThatAreNotTernary) {
  const TernaryMatrix w(Layout::kT2, 4, 128, Trits::kRandom, 1, 1, Edge::kEnd);
  for (const uint32_t dtype : {static_cast<uint32_t>(BN_DT_F16), 999u}) {
    bn_tensor other = w.tensor;
    other.dtype = dtype;
    other.format = nullptr;
    EXPECT_EQ(plugin().accepts(device(), &other), BN_NO) << dtype;
  }
}

TEST_P(PackTest, PiecesEqualTheWhole) {
  for (const Layout layout : {Layout::kT2, Layout::kI2s128}) {
    for (const auto& [rows, cols] : std::vector<std::pair<uint32_t, uint32_t>>{{1, 128}, {7, 384}, {33, 256}, {130, 2560}}) {
      const TernaryMatrix w(layout, rows, cols, Trits::kRandom, 1, rows * cols, Edge::kEnd);
      if (plugin().accepts(device(), &w.tensor) != BN_PACK) continue;
      const uint64_t bytes = packed_bytes(w.tensor);
      ASSERT_GT(bytes, 0u);
      GuardedBytes whole(bytes, Edge::kEnd, 64);
      std::memset(whole.data(), 0x11, bytes);
      ASSERT_EQ(plugin().pack(device(), &w.tensor, 0, rows, whole.data(), nullptr), BN_OK);
      for (const std::vector<Range>& cut : ways_to_cut(rows, plugin().row_granule)) {
        if (cut.front().first != 0 || cut.back().second != rows) continue;  // not the whole matrix
        GuardedBytes pieces(bytes, Edge::kStart, 64);
        std::memset(pieces.data(), 0xEE, bytes);
        for (auto piece = cut.rbegin(); piece != cut.rend(); ++piece) {
          ASSERT_EQ(plugin().pack(device(), &w.tensor, piece->first, piece->second, pieces.data(), nullptr), BN_OK);
        }
        ASSERT_TRUE(same_bits(whole.data(), pieces.data(), bytes)) << rows << "x" << cols << " in " << cut.size();
        ASSERT_TRUE(pieces.slack_intact()) << "pack wrote outside its buffer";
      }
    }
  }
}

TEST_P(PackTest, TakesNoErrorStruct) {
  const TernaryMatrix w(Layout::kT2, 3, 100, Trits::kRandom, 1, 1, Edge::kEnd);
  uint64_t bytes = 0;
  bn_format layout = {};
  layout.struct_size = sizeof layout;
  const bn_status status = plugin().pack_size(device(), &w.tensor, &bytes, &layout, nullptr);
  const bool packs = plugin().accepts(device(), &w.tensor) == BN_PACK;
  EXPECT_TRUE(status == BN_OK || (!packs && status == BN_E_UNSUPPORTED)) << status;
}

BITNET_FOR_EVERY_PLUGIN(PackTest);

}  // namespace
}  // namespace bitnet::kernel_test
