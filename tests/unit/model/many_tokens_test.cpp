// unit/model/many_tokens_test.cpp - ternary matrices times many tokens, which the members of a team share: the bits of the
// definition, on every backend.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "backend/device.h"
#include "backend/ops.h"
#include "backend/registry.h"
#include "bitnet/kit/ops.hpp"
#include "bitnet/kit/portable.h"
#include "bitnet/kit/ternary.hpp"

namespace bitnet::backend {
namespace {

constexpr uint32_t kCols = 128, kStride = 256;  // columns; of the activations, zero behind them as far as any k_align asks

class Product {
 public:
  Product(uint32_t rows, uint32_t tokens)
      : rows_(rows),
        tokens_(tokens),
        w_(uint64_t{rows} * kCols / 4),
        x_(uint64_t{tokens} * kStride),
        x_scale_(tokens),
        x_sum_(tokens) {
    static const uint8_t fingerprint[16] = BN_FINGERPRINT_I2S128;
    std::memcpy(format_.fingerprint, fingerprint, sizeof fingerprint);
    std::mt19937 generator(11);
    std::vector<int8_t> trits(kCols);
    for (uint32_t r = 0; r < rows; ++r) {
      for (int8_t& t : trits) t = static_cast<int8_t>(static_cast<int>(generator() % 3) - 1);
      bn::kit::write_row_i2s128(trits.data(), kCols, w_.data() + uint64_t{r} * kCols / 4);
      scale_.push_back(0.5f + static_cast<float>(r % 17));
    }
    for (uint32_t t = 0; t < tokens; ++t) {
      for (uint32_t c = 0; c < kCols; ++c) {
        const int x = static_cast<int>(generator() % 255) - 127;
        x_[uint64_t{t} * kStride + c] = static_cast<int8_t>(x);
        x_sum_[t] += x;
      }
      x_scale_[t] = 1.0f / static_cast<float>(1 + t % 13);
    }
    linear_.name = "ffn_up";
    linear_.packed = w_.data();
    linear_.weight.struct_size = sizeof linear_.weight;
    linear_.weight.dtype = BN_DT_TERNARY;
    linear_.weight.format = &format_;
    linear_.weight.rows = rows, linear_.weight.cols = kCols;
    linear_.weight.data = w_.data();
    linear_.weight.scales = scale_.data();
    linear_.weight.n_scales = rows;
  }

  std::vector<float> definition() const {
    std::vector<float> y(uint64_t{rows_} * tokens_);
    const bn_matmul a{sizeof(bn_matmul), tokens_,       &linear_.weight, w_.data(), x_.data(),
                      x_scale_.data(),   x_sum_.data(), y.data(),        kStride,   rows_};
    std::vector<int8_t> trits(kCols);
    bn::kit::matmul(a, 0, rows_, trits.data());
    return y;
  }
  std::vector<float> run(const bn_kernels_v1& table, bn_device* device, uint32_t members, bn_status* status) const {
    std::vector<float> y(uint64_t{rows_} * tokens_, -1.0f);
    ThreadTeam team(members);
    Ops ops(&table, device, team);
    ops.begin(tokens_, nullptr);
    const Quantized x{const_cast<int8_t*>(x_.data()), const_cast<float*>(x_scale_.data()), const_cast<int32_t*>(x_sum_.data()),
                      kStride};
    Linear linear = linear_;
    std::vector<uint8_t> packed;
    if (table.accepts(device, &linear.weight) == BN_PACK) {
      bn_format layout{};
      layout.struct_size = sizeof layout;
      uint64_t bytes = 0;
      EXPECT_EQ(table.pack_size(device, &linear.weight, &bytes, &layout, nullptr), BN_OK);
      packed.resize(bytes + 64);
      uint8_t* place = packed.data() + (64 - reinterpret_cast<uintptr_t>(packed.data()) % 64);
      EXPECT_EQ(table.pack(device, &linear.weight, 0, rows_, place, nullptr), BN_OK);
      linear.packed = place;
      linear.weight.data = nullptr;
    }
    const Ops::LinearCall call{&linear, {y.data(), rows_}};
    team.run([&](uint32_t member) { ops.bit_linear(member, x, {&call, 1}); });
    *status = ops.status();
    return y;
  }

 private:
  uint32_t rows_, tokens_;
  bn_format format_{};
  std::vector<uint8_t> w_;
  std::vector<float> scale_;
  std::vector<int8_t> x_;
  std::vector<float> x_scale_;
  std::vector<int32_t> x_sum_;
  Linear linear_;
};

TEST(ManyTokens, GiveTheBitsOfTheDefinitionOnEveryBackend) {
  DiscoveryOptions options;
  options.program_path = BITNET_RUN;
  const Registry registry = Registry::discover(options);
  uint32_t n_plugins = 0;
  for (const char* name : {"cpu_portable", "cpu_avx2", "cpu_avx512", "cpu_neon"}) {
    const Plugin* plugin = registry.find(name);
    if (plugin == nullptr || !plugin->usable) continue;
    ++n_plugins;
    const OpenDevice device(*plugin, "cpu");
    for (const auto& [rows, tokens] : {std::pair{1300u, 127u}, {1300u, 128u}, {1300u, 161u}, {40u, 300u}}) {
      const Product product(rows, tokens);
      const std::vector<float> expected = product.definition();
      for (const uint32_t members : {1u, 2u, 3u, 7u}) {
        bn_status status = BN_E_INTERNAL;
        EXPECT_TRUE(product.run(*device.kernels(), device.handle(), members, &status) == expected)
            << name << ", " << members << " members, " << rows << " rows, " << tokens << " tokens";
        EXPECT_EQ(status, BN_OK);
      }
    }
  }
  EXPECT_GE(n_plugins, 1u);
}

// Only the piece that has the last two tokens of the first part and the first of the second.
bn_status fails_at_the_last_two(bn_device* device, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  return row0 == 0 && a->m == 2 ? BN_E_TIMEOUT : bn_portable_kernels()->matmul(device, a, row0, row1, scratch);
}

TEST(ManyTokens, AFailureOfAnyPartEndsTheStep) {
  bn_kernels_v1 table = *bn_portable_kernels();
  table.matmul = fails_at_the_last_two;
  bn_status status = BN_OK;
  Product(1024, 130).run(table, nullptr, 2, &status);
  EXPECT_EQ(status, BN_E_TIMEOUT);
}

// So that a slow kernel gives signs of life.
bn_status takes_128_tokens(bn_device* device, const bn_matmul* a, uint32_t row0, uint32_t row1, void* scratch) {
  return a->m > 128 ? BN_E_TIMEOUT : bn_portable_kernels()->matmul(device, a, row0, row1, scratch);
}

TEST(ManyTokens, ACallHasNoMoreThan128) {
  bn_kernels_v1 table = *bn_portable_kernels();
  table.matmul = takes_128_tokens;
  const Product product(40, 300);
  for (const uint32_t members : {1u, 2u}) {
    bn_status status = BN_E_INTERNAL;
    EXPECT_TRUE(product.run(table, nullptr, members, &status) == product.definition());
    EXPECT_EQ(status, BN_OK);
  }
}

}  // namespace
}  // namespace bitnet::backend
