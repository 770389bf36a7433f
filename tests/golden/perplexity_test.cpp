// golden/perplexity_test.cpp - mean NLL of a held-out text in the reference's recipes, window by window through the program.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "golden/compare.h"
#include "golden/model_run.h"
#include "golden/reference.h"
#include "support/files.h"

namespace bitnet::golden_test {
namespace {

using Tokens = std::vector<int32_t>;
struct Window {
  Tokens ids;
  size_t first_scored;  // position of the first token that is scored; it and all behind it are
};

// Consecutive pieces of n tokens; the last one may be shorter.
std::vector<Tokens> cut(const Tokens& text, size_t n) {
  std::vector<Tokens> pieces;
  for (size_t i = 0; i < text.size(); i += n) {
    pieces.emplace_back(text.begin() + static_cast<std::ptrdiff_t>(i),
                        text.begin() + static_cast<std::ptrdiff_t>(std::min(i + n, text.size())));
  }
  return pieces;
}

std::vector<Window> plain(const Tokens& text, size_t n) {
  std::vector<Window> windows;
  for (Tokens& piece : cut(text, n)) windows.push_back({std::move(piece), 1});
  return windows;
}

std::vector<Window> bos_each_window(const Tokens& text, int32_t bos) {
  std::vector<Window> windows;
  for (Tokens& piece : cut(text, 511)) {
    piece.insert(piece.begin(), bos);
    windows.push_back({std::move(piece), 1});
  }
  return windows;
}

std::vector<Window> second_half(Tokens text, int32_t bos) {
  text.insert(text.begin(), bos);
  std::vector<Window> windows;
  for (Tokens& piece : cut(text, 512)) {
    if (piece.size() < 512) continue;
    piece.front() = bos;
    windows.push_back({std::move(piece), 257});
  }
  return windows;
}

std::vector<Window> windows_of(const std::string& recipe) {
  const Tokens text = test::read_numbers<int32_t>(data_path("story/heldout_tokens.i32.bin"));
  const int32_t bos = load_case(kStory).prompt("bos").tokens.front();
  const std::map<std::string, std::function<std::vector<Window>()>> recipes = {
      {"plain", [&] { return plain(text, 512); }},
      {"plain_256", [&] { return plain(text, 256); }},
      {"bos_each_window", [&] { return bos_each_window(text, bos); }},
      {"second_half", [&] { return second_half(text, bos); }},
  };
  return recipes.at(recipe)();
}

double nll_sum(const Window& window, const std::vector<float>& logits, uint32_t n_vocab) {
  double sum = 0;
  for (size_t i = window.first_scored; i < window.ids.size(); ++i) {
    sum += negative_log_likelihood({logits.data() + (i - 1) * n_vocab, n_vocab}, window.ids[i]);
  }
  return sum;
}

size_t scored_of(const std::vector<Window>& windows) {
  size_t tokens = 0;
  for (const Window& window : windows) tokens += window.ids.size() - window.first_scored;
  return tokens;
}

const nlohmann::json& expectations() {
  static const nlohmann::json j = nlohmann::json::parse(test::read_text(data_path("story/perplexity.json")));
  return j;
}

using Parameter = std::tuple<std::string, std::string>;  // backend, recipe
class Perplexity : public BackendTest<Parameter> {
 protected:
  struct Score {
    double sum = 0;
    size_t tokens = 0;
    double mean() const { return sum / static_cast<double>(tokens); }
  };
  Score score(const std::string& model, const std::string& recipe, const std::vector<double>& expected_sums) const {
    const uint32_t n_vocab = load_case(kStory).n_vocab;
    const std::vector<Window> windows = windows_of(recipe);
    const double max_abs = expectations().at("mean_nll_max_abs");
    EXPECT_EQ(windows.size(), expected_sums.size());
    Score total;
    const size_t all_scored = scored_of(windows);
    double worst = 0;
    for (size_t w = 0; w < windows.size(); ++w) {
      const Window& window = windows[w];
      const ModelRun run = run_model({.model = model, .backend = backend(), .ids = window.ids});
      if (run.logits.size() != window.ids.size() * n_vocab) throw std::runtime_error("wrong number of logits");
      const double sum = nll_sum(window, run.logits, n_vocab);
      const size_t scored = window.ids.size() - window.first_scored;
      // The limit of the whole text's mean; of fewer tokens the mean scatters more.
      const double limit = max_abs * std::sqrt(static_cast<double>(all_scored) / static_cast<double>(scored));
      const double off = std::fabs(sum - expected_sums[w]) / static_cast<double>(scored);
      EXPECT_LE(off, limit) << "mean NLL of window " << w;
      worst = std::max(worst, off / limit);
      total.sum += sum;
      total.tokens += scored;
    }
    std::cout << "worst window " << worst << " of its limit\n";
    return total;
  }
};

TEST_P(Perplexity, MeanNllOfHeldOutText) {
  const std::string& recipe = std::get<1>(GetParam());
  const nlohmann::json& expected = expectations().at("recipes").at(recipe);
  const Score total = score(load_case(kStory).model, recipe, expected.at("window_nll_sums").get<std::vector<double>>());
  ASSERT_EQ(total.tokens, expected.at("scored_tokens"));
  const double limit = expectations().at("mean_nll_max_abs"), mean = expected.at("mean_nll");
  EXPECT_NEAR(total.mean(), mean, limit);
  EXPECT_NEAR(std::exp(total.mean()), expected.at("perplexity").get<double>(), std::exp(mean) * limit * 1.01);
  std::cout << "mean NLL " << total.mean() << ", difference " << total.mean() - mean << ", limit " << limit << "\n";
}

// The portable kernels are an order of magnitude slower and give the same bits (identity_test): one recipe is enough for them.
std::vector<Parameter> backends_and_recipes() {
  std::vector<Parameter> list;
  for (const std::string& name : backends()) {
    if (name == "cpu_portable") {
      list.emplace_back(name, "plain_256");
      continue;
    }
    for (const auto& [recipe, unused] : expectations().at("recipes").items()) list.emplace_back(name, recipe);
  }
  return list;
}
INSTANTIATE_TEST_SUITE_P(Recipes, Perplexity, testing::ValuesIn(backends_and_recipes()), parameter_name<Parameter>);

class OtherFormat : public Perplexity {};

TEST_P(OtherFormat, MeanNllOfHeldOutText) {
  const Case c = load_story_format(std::get<1>(GetParam()));
  const std::string file = c.model.substr(c.model.rfind('/') + 1);
  const std::vector<double> sums = expectations().at("recipes").at("plain").at("window_nll_sums");
  const Score total = score(c.model, "plain", sums);
  EXPECT_NEAR(total.mean(), expectations().at("other_formats").at(file).at("plain_mean_nll").get<double>(),
              expectations().at("mean_nll_max_abs").get<double>());
}
INSTANTIATE_TEST_SUITE_P(Formats, OtherFormat,
                         testing::Combine(testing::Values(backends().back()), testing::Values("iq2_bn", "tq1_0", "tq2_0")),
                         parameter_name<Parameter>);

}  // namespace
}  // namespace bitnet::golden_test
