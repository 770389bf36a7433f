// golden/reference.cpp - JSON and raw numbers into cases.
#include "golden/reference.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "support/files.h"

namespace bitnet::golden_test {
namespace {

using nlohmann::json;

json read_json(const std::string& path) { return json::parse(test::read_text(path)); }

Tolerance tolerance_of(const json& j) {
  return {j.at("strict_rows"), j.at("strict_max_abs"), j.value("loose_max_abs", 0.0), j.value("loose_rms", 0.0)};
}

std::vector<float> logits_of(const json& j, const std::string& folder, size_t tokens, uint32_t n_vocab) {
  const std::string path = folder + "/" + j.at("logits_file").get<std::string>();
  std::vector<float> logits = test::read_numbers<float>(path);
  if (logits.size() != tokens * n_vocab) throw std::runtime_error(path + ": not [tokens, vocab]");
  return logits;
}

Prompt prompt_of(const json& j, const std::string& folder, uint32_t n_vocab) {
  Prompt p;
  p.name = j.at("name");
  if (j.contains("text") && !j.at("text").is_null()) p.text = j.at("text").get<std::string>();
  p.tokens = j.at("tokens").get<std::vector<int32_t>>();
  p.logits = logits_of(j, folder, p.tokens.size(), n_vocab);
  p.tolerance = tolerance_of(j.at("tolerance"));
  if (p.tolerance.strict_rows < p.tokens.size() && p.tolerance.loose_max_abs <= 0) {
    throw std::runtime_error(folder + ", prompt " + p.name + ": no tolerance for the rows behind the strict ones");
  }
  p.nll = j.at("nll").get<std::vector<double>>();
  p.nll_sum = j.at("nll_sum");
  p.nll_sum_max_abs = j.at("nll_sum_max_abs");
  p.greedy = j.at("greedy").get<std::vector<int32_t>>();
  p.greedy_margin = j.at("greedy_margin").get<std::vector<double>>();
  p.greedy_sure = j.at("greedy_sure");
  p.greedy_limit = j.at("greedy_limit");
  p.greedy_text = j.value("greedy_text", "");
  if (p.nll.size() + 1 != p.tokens.size() || p.greedy_margin.size() != p.greedy.size() || p.greedy_sure > p.greedy.size()) {
    throw std::runtime_error(folder + ", prompt " + p.name + ": counts do not fit each other");
  }
  return p;
}

PooledText::Vector vector_of(const json& j, const std::string& folder) {
  return {test::read_numbers<float>(folder + "/" + j.at("file").get<std::string>()), j.at("max_abs"), j.at("cosine_at_least")};
}

EmbeddingCase read_embedding_case(const std::string& name) {
  const std::string folder = data_path("families/" + name);
  const json j = read_json(folder + "/expected.json");
  EmbeddingCase c{name, folder + "/" + j.at("model").get<std::string>(), j.at("dim"), {}};
  for (const json& p : j.at("prompts")) {
    PooledText text;
    text.name = p.at("name");
    text.tokens = p.at("tokens").get<std::vector<int32_t>>();
    text.hidden = test::read_numbers<float>(folder + "/" + p.at("hidden_file").get<std::string>());
    text.tolerance = tolerance_of(p.at("tolerance"));
    text.last = vector_of(p.at("embedding_last"), folder);
    text.mean = vector_of(p.at("embedding_mean"), folder);
    if (text.hidden.size() != text.tokens.size() * c.dim || text.last.values.size() != c.dim ||
        text.mean.values.size() != c.dim) {
      throw std::runtime_error(folder + ", text " + text.name + ": counts do not fit each other");
    }
    c.texts.push_back(std::move(text));
  }
  return c;
}

Case read_case(const std::string& name) {
  const bool story = name == kStory;
  const std::string folder = data_path(story ? "story" : "families/" + name);
  const json j = read_json(folder + (story ? "/prompts.json" : "/expected.json"));
  Case c;
  c.name = name;
  c.model = story ? BITNET_STORY_MODEL : folder + "/" + j.at("model").get<std::string>();
  c.model_sha256 = j.at("model_sha256");
  c.n_vocab = j.at("vocab");
  for (const json& prompt : j.at("prompts")) c.prompts.push_back(prompt_of(prompt, folder, c.n_vocab));
  const json& f16 = j.at("difference_with_f16_kv_cache");
  c.f16_kv_prompt = f16.at("prompt");
  c.f16_kv_max_abs = f16.at("max_abs");
  c.f16_kv_rms = f16.at("rms");
  return c;
}

}  // namespace

const Prompt& Case::prompt(const std::string& prompt_name) const {
  for (const Prompt& p : prompts) {
    if (p.name == prompt_name) return p;
  }
  throw std::runtime_error(name + " has no prompt " + prompt_name);
}

const std::vector<std::string>& family_names() {
  static const std::vector<std::string> names = {"bitnet_silu_hd96",    "bitnet_silu_hd100", "bitnet_b158_relu2",
                                                 "bitnet_25_relu2",     "bitnet_relu2_key",  "llama_rope_freqs",
                                                 "llama_falcon3_hd256", "llama_row_scales"};
  return names;
}

const std::vector<std::string>& embedding_names() {
  static const std::vector<std::string> names = {"qwen3_embedding", "gemma3_embedding"};
  return names;
}

const EmbeddingCase& load_embedding_case(const std::string& name) {
  static std::map<std::string, EmbeddingCase> loaded;
  const auto at = loaded.find(name);
  return at != loaded.end() ? at->second : loaded.emplace(name, read_embedding_case(name)).first->second;
}

std::vector<std::string> case_names() {
  std::vector<std::string> names = family_names();
  names.push_back(kStory);
  return names;
}

const Case& load_case(const std::string& name) {
  static std::map<std::string, Case> loaded;
  const auto at = loaded.find(name);
  return at != loaded.end() ? at->second : loaded.emplace(name, read_case(name)).first->second;
}

Case load_story_format(const std::string& format) {
  const json j = read_json(data_path("story/formats.json")).at(format);
  Case c;
  c.name = "story-" + format;
  c.model = data_path("story/" + j.at("model").get<std::string>());
  c.model_sha256 = j.at("sha256");
  c.n_vocab = load_case(kStory).n_vocab;
  Prompt p;
  p.name = j.at("prompt");
  p.tokens = j.at("tokens").get<std::vector<int32_t>>();
  p.logits = logits_of(j, data_path("story"), p.tokens.size(), c.n_vocab);
  p.tolerance = tolerance_of(j.at("tolerance"));
  c.prompts.push_back(std::move(p));
  return c;
}

std::vector<std::string> reading_options(const std::string& model) {
  const std::filesystem::path path(model);
  std::vector<std::string> options;
  for (const std::filesystem::path& ini :
       {path.parent_path() / "kernel_config.ini", std::filesystem::path(path).replace_extension(".ini")}) {
    if (std::filesystem::exists(ini)) options = {"--kernel-config", ini.string()};
  }
  const std::string stem = path.stem().string();
  if (stem.starts_with("i2s-")) options.insert(options.end(), {"--i2s-layout", stem.substr(4)});
  return options;
}

std::string data_path(const std::string& name) { return std::string(BITNET_TEST_DATA) + "/" + name; }

}  // namespace bitnet::golden_test
