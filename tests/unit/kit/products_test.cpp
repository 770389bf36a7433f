// unit/kit/products_test.cpp - quantisation, ternary products and dense rows against recorded results of another program.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bitnet/kit/ops.hpp"

namespace bitnet::kit_test {
namespace {

using nlohmann::json;

constexpr char kFolder[] = BITNET_TEST_DATA "/products/";

std::string read(const std::string& name) {
  std::ifstream in(kFolder + name, std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return std::string((std::istreambuf_iterator<char>(in)), {});
}

// n values of T at a byte offset.
template <class T>
std::vector<T> slice(const std::string& file, const json& offset, size_t n) {
  const size_t at = offset.get<size_t>();
  EXPECT_LE(at + n * sizeof(T), file.size());
  std::vector<T> v(n);
  std::memcpy(v.data(), file.data() + at, n * sizeof(T));
  return v;
}

// How many floats lie between two finite ones.
int64_t ulps_between(float a, float b) {
  const auto place = [](float x) {
    const int64_t u = bn::kit::bits_of(x) & 0x7FFFFFFFu;
    return std::signbit(x) ? -u : u;
  };
  return std::abs(place(a) - place(b));
}

class Product {
 public:
  Product(const json& p, const std::string& file, const std::string& trits_file)
      : m(p["M"]),
        k(p["K"]),
        rows(p["rows"]),
        scale(p["scale"].get<float>()),
        x(slice<float>(file, p["x_f32"], rows * k)),
        q(slice<int8_t>(file, p["q_i8"], rows * k)),
        act_scale(slice<float>(file, p["act_scale_f32"], rows)),
        acc(slice<int32_t>(file, p["acc_i32"], rows * m)),
        y(slice<float>(file, p["y_f32"], rows * m)),
        trits(slice<int8_t>(trits_file, p["trits_i8"], size_t{m} * k)) {}
  uint32_t m, k, rows;
  float scale;
  std::vector<float> x;
  std::vector<int8_t> q;
  std::vector<float> act_scale;
  std::vector<int32_t> acc;
  std::vector<float> y;
  std::vector<int8_t> trits;
};

class Products : public testing::Test {
 protected:
  void SetUp() override {
    index_ = json::parse(read("products.json"));
    const std::string file = read("products.bin"), trits = read("trits.bin");
    for (const json& p : index_["products"]) products_.emplace(p["matrix"], Product(p, file, trits));
    ASSERT_EQ(products_.size(), 8u);
  }
  json index_;
  std::map<std::string, Product> products_;
};

// The kit's codes, scales and sums for the recorded activations.
struct Quantised {
  explicit Quantised(const Product& p) : q(p.q.size()), scale(p.rows), sum(p.rows) {
    const bn_norm op = {sizeof(bn_norm), p.k,     -1.0f,   p.k,      p.k,          p.k,
                        p.x.data(),      nullptr, nullptr, q.data(), scale.data(), sum.data()};
    bn::kit::norm(op, 0, p.rows);
  }
  std::vector<int8_t> q;
  std::vector<float> scale;
  std::vector<int32_t> sum;
};

// y of the kit's matmul for one layout; x_scale and w_scale of 1 give the integer sums.
std::vector<float> product(const Product& p, bn::kit::Layout layout, const std::vector<int8_t>& q,
                           const std::vector<float>& x_scale, float w_scale) {
  const uint8_t t2[] = BN_FINGERPRINT_T2, i2s128[] = BN_FINGERPRINT_I2S128;
  bn_format format = {};
  std::memcpy(format.fingerprint, layout == bn::kit::Layout::kT2 ? t2 : i2s128, 16);
  const size_t row = bn::kit::row_bytes(layout, p.k);
  std::vector<uint8_t> packed(row * p.m);
  for (uint32_t r = 0; r < p.m; ++r) {
    (layout == bn::kit::Layout::kT2 ? bn::kit::write_row_t2 : bn::kit::write_row_i2s128)(&p.trits[r * p.k], p.k,
                                                                                         &packed[r * row]);
  }
  bn_tensor w = {};
  w.rows = p.m;
  w.cols = p.k;
  w.n_scales = 1;
  w.scales = &w_scale;
  w.format = &format;
  std::vector<float> y(p.rows * p.m);
  const bn_matmul op = {sizeof(bn_matmul), p.rows, &w, packed.data(), q.data(), x_scale.data(), nullptr, y.data(), p.k, p.m};
  std::vector<int8_t> scratch(p.k);
  bn::kit::matmul(op, 0, p.m, scratch.data());
  return y;
}

TEST_F(Products, CodesAreExact) {
  for (const auto& [name, p] : products_) {
    const Quantised ours(p);
    for (size_t i = 0; i < p.q.size(); ++i) {
      ASSERT_EQ(ours.q[i], p.q[i]) << name << " row " << i / p.k << " column " << i % p.k << " x=" << p.x[i];
    }
  }
}

TEST_F(Products, ScalesAreInverse) {
  for (const auto& [name, p] : products_) {
    const Quantised ours(p);
    for (uint32_t r = 0; r < p.rows; ++r)
      EXPECT_LE(ulps_between(ours.scale[r], 1.0f / p.act_scale[r]), 2) << name << " row " << r;
  }
}

TEST_F(Products, SumsAreExactInBothLayouts) {
  for (const auto& [name, p] : products_) {
    for (const bn::kit::Layout layout : {bn::kit::Layout::kT2, bn::kit::Layout::kI2s128}) {
      if (layout == bn::kit::Layout::kI2s128 && p.k % 128 != 0) continue;
      const std::vector<float> sums = product(p, layout, p.q, std::vector<float>(p.rows, 1.0f), 1.0f);
      for (size_t i = 0; i < sums.size(); ++i) ASSERT_EQ(static_cast<int32_t>(sums[i]), p.acc[i]) << name << " element " << i;
    }
  }
}

TEST_F(Products, ResultsAreWithinTwoUlp) {
  for (const auto& [name, p] : products_) {
    const Quantised ours(p);
    const std::vector<float> y = product(p, bn::kit::Layout::kT2, ours.q, ours.scale, p.scale);
    for (size_t i = 0; i < y.size(); ++i) ASSERT_LE(ulps_between(y[i], p.y[i]), 2) << name << " element " << i;
  }
}

TEST_F(Products, DenseRowsDecode) {
  const std::map<std::string, uint32_t> dtypes = {{"F32", BN_DT_F32},   {"F16", BN_DT_F16},   {"BF16", BN_DT_BF16},
                                                  {"Q8_0", BN_DT_Q8_0}, {"Q4_0", BN_DT_Q4_0}, {"Q4_K", BN_DT_Q4_K},
                                                  {"Q5_K", BN_DT_Q5_K}, {"Q6_K", BN_DT_Q6_K}};
  const std::string stored = read("dense_stored.bin"), values = read("dense_values.bin");
  ASSERT_EQ(index_["dense"].size(), dtypes.size());
  for (const json& t : index_["dense"]) {
    const std::string format = t["format"];
    const uint32_t dtype = dtypes.at(format), rows = t["rows"], cols = t["cols"];
    const std::vector<float> expected = slice<float>(values, t["values_f32"], size_t{rows} * cols);
    const auto* data = reinterpret_cast<const uint8_t*>(stored.data()) + t["stored"].get<size_t>();
    // Q4_K and Q5_K subtract two rounded products, so an element may differ by the rounding of the larger one; the others
    // have one rounding.
    const bool differs = dtype == BN_DT_Q4_K || dtype == BN_DT_Q5_K;
    for (uint32_t r = 0; r < rows; ++r) {
      std::vector<float> w(cols);
      bn::kit::decode_dense(dtype, data + r * bn::kit::dense_row_bytes(dtype, cols), 0, cols, w.data());
      float largest = 0.0f;
      for (uint32_t c = 0; c < cols; ++c) largest = std::max(largest, std::fabs(w[c]));
      for (uint32_t c = 0; c < cols; ++c) {
        const float wanted = expected[r * cols + c];
        if (differs) {
          ASSERT_NEAR(w[c], wanted, largest * 2.4e-7f) << format << " row " << r << " column " << c;
        } else {
          ASSERT_EQ(w[c], wanted) << format << " row " << r << " column " << c;
        }
      }
    }
  }
}

}  // namespace
}  // namespace bitnet::kit_test
