// unit/bench/random_weights_test.cpp - the distribution of what is drawn, and packers against the runtime's decoders.
#include "random_weights.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <vector>

#include "gguf/float_formats.h"
#include "gguf/reader.h"

namespace bitnet::bench {
namespace {

using gguf::Type;

gguf::TensorInfo tensor_of(Type type, uint64_t columns, uint64_t rows, const std::vector<uint8_t>& bytes) {
  gguf::TensorInfo tensor;
  tensor.name = "w";
  tensor.type = &gguf::type_info(type);
  tensor.extents = {columns, rows, 1, 1};
  tensor.bytes = bytes.size();
  tensor.data = bytes.data();
  return tensor;
}

TEST(Random, IsTheSameForSeedAndNameAndElseAnother) {
  EXPECT_EQ(Random(1, "a").next(), Random(1, "a").next());
  EXPECT_NE(Random(1, "a").next(), Random(2, "a").next());
  EXPECT_NE(Random(1, "a").next(), Random(1, "b").next());
  EXPECT_EQ(Random(1, "blk.0.attn_q.weight").next(), 13590868020383046921u) << "the generator changed: so did every model";
}

TEST(Random, NormalHasMean0AndVariance1) {
  Random random(1, "normal");
  constexpr int kN = 200000;
  double sum = 0, squares = 0;
  for (int i = 0; i < kN; ++i) {
    const float x = random.normal();
    ASSERT_LE(std::fabs(x), 3.5f);
    sum += x, squares += x * x;
  }
  EXPECT_NEAR(sum / kN, 0, 0.01);
  EXPECT_NEAR(squares / kN, 1, 0.02);
}

TEST(Random, TritsAreAThirdEachAndIndependentOfTheirNeighbour) {
  Random random(1, "codes");
  std::vector<int8_t> trits(300000);
  draw_trits(random, trits.size(), trits.data());
  std::map<std::array<int, 2>, int> pairs;
  for (size_t i = 0; i + 1 < trits.size(); ++i) ++pairs[{trits[i], trits[i + 1]}];
  EXPECT_EQ(pairs.size(), 9u);
  for (const auto& [pair, count] : pairs) {
    EXPECT_LE(std::abs(pair[0]), 1);
    EXPECT_NEAR(count, trits.size() / 9.0, 0.02 * trits.size() / 9.0) << pair[0] << pair[1];
  }
}

TEST(Packing, ScalesAreValuesOfF16) {
  EXPECT_EQ(f16_value(1.0f / 3), 0x1.554p-2f);
  EXPECT_EQ(f16_value(f16_value(0.0317f)), f16_value(0.0317f));
}

TEST(Packing, FloatsComeBackWithinTheStepOfEveryFormat) {
  constexpr uint64_t kN = 512;
  Random random(7, "floats");
  std::vector<float> values(kN);
  for (float& v : values) v = 0.02f * random.normal();
  values[256] = 0.5f;  // an outlier in the second block of Q6_K
  struct Case {
    Type type;
    double absolute, relative;  // largest error
  };
  for (const Case& c : {Case{Type::kF32, 0, 0}, Case{Type::kF16, 1e-7, 0x1p-11}, Case{Type::kBF16, 0, 0x1p-8},
                        Case{Type::kQ8_0, 0.5 * 0.5 / 127 * 1.01, 0}, Case{Type::kQ6_K, 0.5 * 0.5 / 31 * 1.05, 0}}) {
    const gguf::TypeInfo& info = gguf::type_info(c.type);
    ASSERT_TRUE(can_pack_floats(c.type));
    std::vector<uint8_t> bytes(*gguf::tensor_bytes(info, {kN, 1, 1, 1}));
    EXPECT_EQ(pack_floats(c.type, values.data(), kN, bytes.data()), bytes.size()) << info.name;
    std::vector<float> decoded(kN);
    gguf::dequantize_rows(tensor_of(c.type, kN, 1, bytes), 0, 1, decoded.data());
    double squares = 0;
    for (size_t i = 0; i < kN; ++i) {
      const double error = std::fabs(decoded[i] - values[i]);
      ASSERT_LE(error, c.absolute + c.relative * std::fabs(values[i])) << info.name << " at " << i;
      if (i < 256) squares += error * error;
    }
    EXPECT_LT(std::sqrt(squares / 256), 0.02 * 0.02) << info.name << ": far from the outlier the step is small";
  }
}

TEST(Packing, BlocksOfZerosStayZeros) {
  const std::vector<float> values(256);
  for (const Type type : {Type::kQ8_0, Type::kQ6_K}) {
    std::vector<uint8_t> bytes(*gguf::tensor_bytes(gguf::type_info(type), {256, 1, 1, 1}));
    pack_floats(type, values.data(), 256, bytes.data());
    std::vector<float> decoded(256, 1.0f);
    gguf::dequantize_rows(tensor_of(type, 256, 1, bytes), 0, 1, decoded.data());
    for (float v : decoded) ASSERT_EQ(v, 0.0f) << gguf::type_info(type).name;
  }
}

}  // namespace
}  // namespace bitnet::bench
