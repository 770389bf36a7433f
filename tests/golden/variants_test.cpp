// golden/variants_test.cpp - files of a known family with another name, or with biases.
#include <gtest/gtest.h>

#include <cstring>

#include "gguf/reader.h"
#include "golden/model_run.h"
#include "golden/reference.h"
#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::golden_test {
namespace {

constexpr const char* kModel = "bitnet_b158_relu2";

template <class T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void pad(std::string& bytes) { bytes.resize((bytes.size() + 31) / 32 * 32); }

struct Vector {
  std::string name;
  std::vector<float> values;
};

// The model with F32 vectors more, behind everything that was there.
std::string with_vectors(const std::string& model, const std::vector<Vector>& vectors) {
  const gguf::File file(model);
  const std::string bytes = test::read_text(model);
  std::string header = bytes.substr(0, file.header_bytes()), data = bytes.substr(file.data_start());
  const uint64_t n_tensors = file.tensors().size() + vectors.size();
  std::memcpy(header.data() + 8, &n_tensors, sizeof n_tensors);
  for (const Vector& v : vectors) {
    pad(data);
    append<uint64_t>(header, v.name.size());
    header += v.name;
    append<uint32_t>(header, 1);
    append<uint64_t>(header, v.values.size());
    append<int32_t>(header, 0);  // F32
    append<uint64_t>(header, data.size());
    data.append(reinterpret_cast<const char*>(v.values.data()), v.values.size() * sizeof(float));
  }
  pad(header), pad(data);
  return header + data;
}

// Biases for every second projection of every layer, all this large.
std::vector<Vector> biases(float size) {
  const gguf::File file(load_case(kModel).model);
  std::vector<Vector> list;
  bool wanted = true;
  for (const gguf::TensorInfo& t : file.tensors()) {
    if (!t.name.starts_with("blk.") || t.rows() == 1) continue;
    if (wanted) {
      Vector& v = list.emplace_back(Vector{t.name.substr(0, t.name.size() - 6) + "bias", {}});
      for (uint64_t i = 0; i < t.rows(); ++i) v.values.push_back(size * static_cast<float>(static_cast<int>(i * 37 % 11) - 5));
    }
    wanted = !wanted;
  }
  return list;
}

ModelRun run(const std::string& path, const std::string& backend, const std::vector<std::string>& more = {}) {
  return run_model({.model = path, .backend = backend, .ids = load_case(kModel).prompt("strict").tokens, .more = more});
}

using Variant = BackendTest<std::tuple<std::string>>;

TEST_P(Variant, BiasesAreAdded) {
  const test::TempFolder folder;
  ASSERT_GE(biases(1).size(), 7u);
  test::write_text(folder / "zero.gguf", with_vectors(load_case(kModel).model, biases(0)));
  test::write_text(folder / "some.gguf", with_vectors(load_case(kModel).model, biases(0.05f)));
  const std::vector<float> plain = run(load_case(kModel).model, backend()).logits;
  EXPECT_TRUE(same_bits(run(folder / "zero.gguf", backend()).logits, plain)) << "adding zero changes nothing";
  const std::vector<float> biased = run(folder / "some.gguf", backend()).logits;
  EXPECT_FALSE(same_bits(biased, plain));
  const ModelRun engine = run(folder / "some.gguf", "mock", {"--mock-mode", "faithful", "--mock-tier", "engine"});
  EXPECT_TRUE(same_bits(engine.logits, biased)) << "the SDK's reference engine";
}

TEST_P(Variant, ANewNameOfTheSameTensors) {
  const test::TempFolder folder;
  std::string bytes = test::read_text(load_case(kModel).model);
  for (size_t at = 0; (at = bytes.find("bitnet-b1.58", at)) != std::string::npos;) bytes.replace(at, 12, "bitnet-b9.58");
  test::write_text(folder / "new.gguf", bytes);
  const ModelRun renamed = run(folder / "new.gguf", backend());
  EXPECT_TRUE(same_bits(renamed.logits, run(load_case(kModel).model, backend()).logits));
  EXPECT_NE(renamed.report.at("warnings").dump().find("architecture 'bitnet-b9.58' is not known"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Backends, Variant, testing::ValuesIn(one_by_one(backends())), parameter_name<std::tuple<std::string>>);

TEST(Variants, ABiasOfTheWrongLengthIsRefused) {
  const test::TempFolder folder;
  test::write_text(folder / "model.gguf",
                   with_vectors(load_case(kModel).model, {{"blk.0.attn_q.bias", std::vector<float>(3)}}));
  const test::ProgramResult result = test::run_program({"-m", folder / "model.gguf", "--prompt-ids", "1,2", "-n", "1"});
  EXPECT_EQ(result.exit_code, 3) << result;
  EXPECT_NE(result.err.find("blk.0.attn_q.bias is {3, 1}, expected {"), std::string::npos) << result;
}

}  // namespace
}  // namespace bitnet::golden_test
