// golden/embedding_test.cpp - embedding models: hidden states and vectors against the reference, the same bits everywhere.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <iostream>

#include "golden/compare.h"
#include "golden/model_run.h"
#include "golden/reference.h"
#include "support/program.h"

namespace bitnet::golden_test {
namespace {

using Parameter = std::tuple<std::string, std::string>;  // backend, case

// What `embed` writes for these ids.
std::vector<float> embed(const std::string& model, const std::string& backend, const std::vector<int32_t>& ids,
                         const std::vector<std::string>& more) {
  std::vector<std::string> args = {"embed",         "-m",       model, "--backend",    backend,
                                   "--no-fallback", "--format", "raw", "--prompt-ids", fmt::format("{}", fmt::join(ids, ","))};
  args.insert(args.end(), more.begin(), more.end());
  const test::ProgramResult result = test::run_program(args);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::vector<float> values(result.out.size() / sizeof(float));
  std::memcpy(values.data(), result.out.data(), values.size() * sizeof(float));
  return values;
}

class Embedding : public BackendTest<Parameter> {
 protected:
  const EmbeddingCase& expected() const { return load_embedding_case(std::get<1>(GetParam())); }
  std::vector<float> run(const PooledText& text, const std::vector<std::string>& more) const {
    return embed(expected().model, backend(), text.tokens, more);
  }
};

TEST_P(Embedding, HiddenStatesAreWithinTolerance) {
  for (const PooledText& text : expected().texts) {
    SCOPED_TRACE(text.name);
    const std::vector<float> hidden = run(text, {"--pooling", "none"});
    ASSERT_EQ(hidden.size(), text.hidden.size());
    const LogitsDifference difference = compare_logits(hidden, text.hidden, expected().dim, text.tolerance);
    EXPECT_TRUE(difference.allowed()) << difference.text();
    EXPECT_GE(2 * difference.rows_within_strict, text.tokens.size()) << difference.text();
    std::cout << text.name << ", " << text.tokens.size() << " rows: " << difference.text() << "\n";
  }
}

void expect_vector(const std::vector<float>& found, const PooledText::Vector& expected) {
  ASSERT_EQ(found.size(), expected.values.size());
  double largest = 0, dot = 0, own = 0, other = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double a = static_cast<double>(found[i]), b = static_cast<double>(expected.values[i]);
    ASSERT_TRUE(std::isfinite(a));
    largest = std::max(largest, std::fabs(a - b));
    dot += a * b, own += a * a, other += b * b;
  }
  EXPECT_LE(largest, expected.max_abs);
  EXPECT_GE(dot / std::sqrt(own * other), expected.cosine_at_least);
  EXPECT_NEAR(own, 1, 1e-6) << "not of length 1";
  std::cout << "largest difference " << largest / expected.max_abs << " of the limit\n";
}

TEST_P(Embedding, VectorsAreWithinTolerance) {
  for (const PooledText& text : expected().texts) {
    SCOPED_TRACE(text.name);
    expect_vector(run(text, {"--pooling", "last"}), text.last);
    expect_vector(run(text, {"--pooling", "mean"}), text.mean);
  }
}

// The files say MEAN, as the published converter writes; these models pool the last token.
TEST_P(Embedding, PoolsTheLastTokenUnlessTold) {
  const PooledText& text = expected().texts.front();
  EXPECT_TRUE(same_bits(run(text, {}), run(text, {"--pooling", "last"})));
}

TEST_P(Embedding, SameBitsForAnyThreadsAndSteps) {
  const PooledText& text = expected().texts.at(1);
  for (const std::string pooling : {"none", "mean", "last"}) {
    for (const std::string kv : {"f32", "f16"}) {
      const std::vector<float> plain =
          embed(expected().model, backends().front(), text.tokens, {"--pooling", pooling, "--kv-type", kv});
      for (const char* threads : {"1", "3"}) {
        for (const char* step : {"512", "1", "7"}) {
          const std::vector<float> found = run(text, {"--pooling", pooling, "--kv-type", kv, "-t", threads, "-ub", step});
          EXPECT_TRUE(same_bits(found, plain)) << pooling << ", " << kv << ", " << threads << " threads, steps of " << step;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Embedding,
                         testing::Combine(testing::ValuesIn(backends()), testing::ValuesIn(embedding_names())),
                         parameter_name<Parameter>);

// The SDK's reference engine, reached through the mock, and a backend in a process of its own.
class EmbeddingEngine : public testing::TestWithParam<std::string> {};

TEST_P(EmbeddingEngine, GivesTheBitsOfTheGraph) {
  const EmbeddingCase& c = load_embedding_case(GetParam());
  for (const std::string pooling : {"none", "mean", "last", "cls"}) {
    const std::vector<int32_t>& ids = c.texts.at(1).tokens;
    const std::vector<float> graph = embed(c.model, "cpu_portable", ids, {"--pooling", pooling});
    EXPECT_TRUE(same_bits(embed(c.model, "cpu_portable", ids, {"--pooling", pooling, "--isolate-backend"}), graph)) << pooling;
    const test::ProgramResult engine =
        test::run_program({"embed", "-m", c.model, "--backend", "mock", "--mock-mode", "faithful", "--mock-tier", "engine",
                           "--json", "--pooling", pooling, "--prompt-ids", fmt::format("{}", fmt::join(ids, ","))});
    ASSERT_EQ(engine.exit_code, 0) << engine.err;
    const nlohmann::json j = nlohmann::json::parse(engine.out);
    EXPECT_EQ(j.at("mock"), true);
    std::vector<float> values;
    const nlohmann::json& embedding = j.at("data").at(0).at("embedding");
    if (pooling == "none") {
      for (const auto& row : embedding) values.insert(values.end(), row.begin(), row.end());
    } else {
      values = embedding.get<std::vector<float>>();
    }
    EXPECT_TRUE(same_bits(values, graph)) << pooling;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EmbeddingEngine, testing::ValuesIn(embedding_names()),
                         [](const auto& model) { return model.param; });

}  // namespace
}  // namespace bitnet::golden_test
