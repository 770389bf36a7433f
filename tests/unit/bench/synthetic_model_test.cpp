// unit/bench/synthetic_model_test.cpp - generated files are what their shape says, and they run like models.
#include "synthetic_model.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <set>

#include "bitnet.h"
#include "gguf/ternary_formats.h"
#include "support/files.h"
#include "support/program.h"
#include "support/temp_folder.h"

namespace bitnet::bench {
namespace {

using gguf::Type;
using test::TempFolder;

SyntheticModel tiny(const char* shape = "tiny") {
  SyntheticModel model;
  model.shape = *find_shape(shape);
  return model;
}

const backend::Registry& registry() {
  static const backend::Registry found = [] {
    backend::DiscoveryOptions options;
    options.program_path = BITNET_RUN;
    return backend::Registry::discover(options);
  }();
  return found;
}

// Logits [n][n_vocab] of a sequence.
std::vector<float> logits_of(const std::string& path, const std::string& backend, const std::vector<int32_t>& tokens) {
  const model::Model model(path);
  engine::SessionOptions options;
  options.engine.n_ctx = static_cast<uint32_t>(tokens.size());
  options.strict = true;
  engine::Session session(model, registry(), backend::order_candidates(registry().facts(), {backend}, {.strict = true}),
                          options);
  std::vector<float> logits(tokens.size() * session.n_vocab());
  session.append(tokens, 0, logits.data(), engine::Session::Stage::kPrefill);
  return logits;
}

std::vector<int32_t> some_tokens(size_t n) {
  std::vector<int32_t> tokens(n);
  for (size_t i = 0; i < n; ++i) tokens[i] = static_cast<int32_t>((i * i * 7 + i * 13 + 5) % 300);
  return tokens;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), 4 * a.size()) == 0;
}

TEST(Shapes, HaveThePublishedNumbersOfParameters) {
  EXPECT_EQ(parameter_count(*find_shape("2b-4t")), 2'412'820'480u);
  const auto billions = [](const char* name) { return 1e-9 * static_cast<double>(parameter_count(*find_shape(name))); };
  EXPECT_NEAR(billions("large"), 0.73, 0.01);
  EXPECT_NEAR(billions("3b"), 3.32, 0.01);
  EXPECT_NEAR(billions("llama3-8b"), 8.03, 0.01);
  EXPECT_NEAR(billions("falcon3-1b"), 1.67, 0.01);
  EXPECT_NEAR(billions("falcon3-3b"), 3.23, 0.01);
  EXPECT_NEAR(billions("falcon3-7b"), 7.46, 0.01);
  EXPECT_NEAR(billions("falcon3-10b"), 10.31, 0.01);
}

TEST(SyntheticModel, IsTheSameForASeedAndAnotherForAnother) {
  const TempFolder folder;
  SyntheticModel model = tiny();
  write_model(model, folder / "a");
  write_model(model, folder / "b");
  model.seed = 2;
  write_model(model, folder / "c");
  const std::string a = test::read_text(folder / "a");
  EXPECT_EQ(a, test::read_text(folder / "b"));
  const std::string c = test::read_text(folder / "c");
  ASSERT_EQ(a.size(), c.size());
  EXPECT_NE(a.substr(a.size() / 2), c.substr(c.size() / 2)) << "not only the name";
}

TEST(SyntheticModel, HasTheSameLogitsInEveryTernaryFormatAndOnEveryBackend) {
  const TempFolder folder;
  const std::vector<int32_t> tokens = some_tokens(40);
  const std::vector<Type> all = {Type::kI2_S, Type::kTQ1_0, Type::kTQ2_0, Type::kIQ2_BN};
  const std::vector<Type> any_columns = {Type::kI2_S};  // the others need multiples of 64 and 256
  for (const char* shape : {"tiny", "tiny-llama", "tiny-odd"}) {
    SyntheticModel model = tiny(shape);
    std::vector<float> expected;
    for (const Type type : shape == std::string("tiny-odd") ? any_columns : all) {
      model.ternary = type;
      write_model(model, folder / "model");
      for (const char* backend : {"cpu_portable", "cpu_avx2", "cpu_avx512", "cpu_neon"}) {
        const backend::Plugin* plugin = registry().find(backend);
        if (plugin == nullptr || !plugin->usable) continue;  // the other one runs everywhere
        const std::vector<float> logits = logits_of(folder / "model", backend, tokens);
        if (expected.empty()) expected = logits;
        EXPECT_TRUE(same_bits(logits, expected)) << shape << " " << gguf::type_info(type).name << " " << backend;
      }
    }
    EXPECT_FALSE(expected.empty());
  }
}

TEST(SyntheticModel, HasFiniteLogitsThatDependOnEveryToken) {
  const TempFolder folder;
  for (const char* shape : {"tiny", "tiny-llama"}) {
    const SyntheticModel model = tiny(shape);
    write_model(model, folder / "model");
    std::vector<int32_t> tokens = some_tokens(model.shape.n_ctx);
    const std::vector<float> logits = logits_of(folder / "model", "cpu_portable", tokens);
    const size_t n = model.shape.n_vocab;
    std::set<size_t> best;
    for (size_t t = 0; t < tokens.size(); ++t) {
      const auto row = logits.begin() + static_cast<ptrdiff_t>(t * n), end = row + static_cast<ptrdiff_t>(n);
      const double squares = std::inner_product(row, end, row, 0.0);
      ASSERT_NEAR(std::sqrt(squares / static_cast<double>(n)), 1, 0.3) << shape << " token " << t;
      best.insert(static_cast<size_t>(std::max_element(row, end) - row));
    }
    EXPECT_GT(best.size(), n / 4) << shape << ": the likeliest token varies";
    // Another first token changes the last logits: attention reaches back over the whole context.
    tokens.resize(100);
    tokens[0] ^= 1;
    const std::vector<float> other = logits_of(folder / "model", "cpu_portable", tokens);
    EXPECT_FALSE(
        std::equal(other.end() - static_cast<ptrdiff_t>(n), other.end(), logits.begin() + static_cast<ptrdiff_t>(99 * n)));
  }
}

TEST(SyntheticModel, HasNearlyTheSameLogitsWithEveryHead) {
  const TempFolder folder;
  SyntheticModel model = tiny("tiny-llama");
  const std::vector<int32_t> tokens = some_tokens(8);
  model.head = Type::kF32;
  write_model(model, folder / "model");
  const std::vector<float> expected = logits_of(folder / "model", "cpu_portable", tokens);
  for (const Type head : {Type::kF16, Type::kBF16, Type::kQ8_0, Type::kQ6_K}) {
    model.head = head;
    write_model(model, folder / "model");
    const std::vector<float> logits = logits_of(folder / "model", "cpu_portable", tokens);
    EXPECT_FALSE(same_bits(logits, expected)) << gguf::type_info(head).name << ": the head is as asked";
    double squares = 0;
    for (size_t i = 0; i < logits.size(); ++i) squares += std::pow(logits[i] - expected[i], 2);
    EXPECT_LT(std::sqrt(squares / static_cast<double>(logits.size())), 0.25) << gguf::type_info(head).name;
  }
}

TEST(SyntheticModel, WithAHoleHasTensorsBeyond4GbAndTheSameLogits) {
  const TempFolder folder;
  SyntheticModel model = tiny();
  write_model(model, folder / "dense");
  model.gap = 5'000'000'000;
  const uint64_t bytes = write_model(model, folder / "sparse");
  EXPECT_GT(bytes, model.gap);
  struct stat status {};
  ASSERT_EQ(::stat((folder / "sparse").c_str(), &status), 0);
  EXPECT_EQ(static_cast<uint64_t>(status.st_size), bytes);
  if (static_cast<uint64_t>(status.st_blocks) * 512 > 100'000'000) {
    GTEST_SKIP() << "the file system of " << folder.path() << " stores holes";
  }
  {
    const gguf::File file(folder / "sparse");
    EXPECT_LT(file.find_tensor("token_embd.weight")->offset, 1u << 20);
    EXPECT_GT(file.find_tensor("blk.0.attn_q.weight")->offset, uint64_t{1} << 32);
  }
  const std::vector<int32_t> tokens = some_tokens(5);
  EXPECT_TRUE(
      same_bits(logits_of(folder / "sparse", "cpu_portable", tokens), logits_of(folder / "dense", "cpu_portable", tokens)));
}

TEST(SyntheticModel, RowsOfI2sMayBeginInsideAGroup) {
  const TempFolder folder;
  SyntheticModel model = tiny();
  model.shape.n_ff = 5460;  // as xl
  write_model(model, folder / "i2_s");
  const gguf::File file(folder / "i2_s");
  const gguf::TensorInfo& down = *file.find_tensor("blk.1.ffn_down.weight");
  std::vector<int8_t> trits(down.columns() * down.rows());
  gguf::decode_rows(down, 0, down.rows(), trits.data());
  const auto zeros = std::count(trits.begin(), trits.end(), 0);
  EXPECT_NEAR(static_cast<double>(zeros), static_cast<double>(trits.size()) / 3, 0.01 * static_cast<double>(trits.size()));
  float scale = 0;
  gguf::row_scales(down, 0, 1, &scale);
  EXPECT_NEAR(scale, 1 / std::sqrt(5460 * 2.0 / 3), 0.25 * scale);
}

TEST(SyntheticModel, RefusesFormatsThatDoNotSuitTheShape) {
  const TempFolder folder;
  SyntheticModel model = tiny();
  model.shape.n_ff = 640;
  model.ternary = Type::kTQ2_0;
  try {
    write_model(model, folder / "model");
    FAIL() << "640 columns are no multiple of 256";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(e.what()).find("blk.0.ffn_down.weight: 640 columns are no multiple of 256"), std::string::npos)
        << e.what();
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(MakeModel, WritesWhatItsOptionsSay) {
  const TempFolder folder;
  test::ProgramOptions options;
  options.program = BITNET_BINARY_DIR "/bin/bitnet-make-model";
  const auto result = test::run_program({"--shape", "tiny", "--layers", "3", "--vocab", "300", "--seed", "9", "--format",
                                         "tq1_0", "--head", "q8_0", "-o", folder / "model"},
                                        options);
  EXPECT_EQ(result.exit_code, 0) << result;
  EXPECT_NE(result.out.find("parameters"), std::string::npos) << result;
  const model::Model model(folder / "model");
  EXPECT_EQ(model.config.arch.n_layers, 3u);
  EXPECT_EQ(model.config.arch.n_vocab, 300u);
  EXPECT_EQ(model.config.name, "synthetic tiny (seed 9)");
  EXPECT_EQ(model.weights.quantization, "TQ1_0");
  EXPECT_EQ(model.weights.output.dtype, static_cast<uint32_t>(BN_DT_Q8_0));
}

TEST(MakeModel, RefusesInOneLineWhatItDoesNotKnow) {
  const TempFolder folder;
  test::ProgramOptions options;
  options.program = BITNET_BINARY_DIR "/bin/bitnet-make-model";
  const std::string out = folder / "model";
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"--shape", "7b", "-o", out},
                                             {"--shape", "tiny"},
                                             {"--shape", "tiny", "--format", "q4_0", "-o", out},
                                             {"--shape", "tiny", "--layers", "0", "-o", out},
                                             {"--shape", "tiny", "--layers", "-1", "-o", out},
                                             {"--shape", "tiny", "--vocab", "100", "-o", out},
                                             {"--shape", "tiny", "--sparse-pad", "-1", "-o", out},
                                             {"--no-such-option"}}) {
    const auto result = test::run_program(args, options);
    EXPECT_EQ(result.exit_code, 2) << result;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result;
    EXPECT_FALSE(std::filesystem::exists(out));
  }
}

TEST(SyntheticModel, AMemorylessOneSaysTheSameBehindTheSameToken) {
  TempFolder folder;
  SyntheticModel model = tiny();
  const auto last_row = [&](const std::string& name, const std::vector<int32_t>& tokens) {
    const std::vector<float> all = logits_of(folder / name, "cpu_portable", tokens);
    return std::vector<float>(all.end() - model.shape.n_vocab, all.end());
  };
  write_model(model, folder / "with.gguf");
  model.memoryless = true;
  write_model(model, folder / "without.gguf");
  EXPECT_TRUE(same_bits(last_row("without.gguf", {5, 90, 33, 7}), last_row("without.gguf", {7})));
  EXPECT_FALSE(same_bits(last_row("without.gguf", {5, 90, 33, 7}), last_row("without.gguf", {5, 90, 7, 33})));
  EXPECT_FALSE(same_bits(last_row("with.gguf", {5, 90, 33, 7}), last_row("with.gguf", {7})));
}

}  // namespace
}  // namespace bitnet::bench
