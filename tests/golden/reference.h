// golden/reference.h - the independent reference results: one case per model, as its expected.json or prompts.json tells.
//
// Errors  std::runtime_error, or an nlohmann exception, naming what is missing: the test fails.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bitnet::golden_test {

// What a correct program's logits may differ by; tests/data/families/README.md.
struct Tolerance {
  uint32_t strict_rows = 0;
  double strict_max_abs = 0;
  double loose_max_abs = 0, loose_rms = 0;  // of the rows behind; 0 when all rows are strict

  double limit_of_row(uint32_t row) const { return row < strict_rows ? strict_max_abs : loose_max_abs; }
};

struct Prompt {
  std::string name;
  std::optional<std::string> text;  // gives tokens through the tokenizer with the beginning-of-text token added
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // [tokens][n_vocab]
  Tolerance tolerance;
  std::vector<double> nll;  // of tokens[1:], in nats
  double nll_sum = 0, nll_sum_max_abs = 0;
  std::vector<int32_t> greedy;  // what follows
  std::vector<double> greedy_margin;
  uint32_t greedy_sure = 0;
  double greedy_limit = 0;
  std::string greedy_text;  // empty: not given
};

struct Case {
  std::string name;
  std::string model;         // path
  std::string model_sha256;  // of the file the results were computed from
  uint32_t n_vocab = 0;
  std::vector<Prompt> prompts;
  std::string f16_kv_prompt;  // what an f16 KV cache changed in this prompt's logits:
  double f16_kv_max_abs = 0, f16_kv_rms = 0;

  const Prompt& prompt(const std::string& prompt_name) const;
};

// An embedding model's text: rows behind the last norm, and the vectors of length 1 made of them.
struct PooledText {
  std::string name;
  std::vector<int32_t> tokens;
  std::vector<float> hidden;  // [tokens][dim]
  Tolerance tolerance;        // of hidden
  struct Vector {
    std::vector<float> values;  // [dim]
    double max_abs = 0, cosine_at_least = 0;
  };
  Vector last, mean;
};

struct EmbeddingCase {
  std::string name;
  std::string model;  // path
  uint32_t dim = 0;
  std::vector<PooledText> texts;
};

const std::vector<std::string>& embedding_names();
const EmbeddingCase& load_embedding_case(const std::string& name);  // loaded once per name

inline constexpr const char* kStory = "story";
const std::vector<std::string>& family_names();
std::vector<std::string> case_names();  // the families and the story model

// Loaded once per name.
const Case& load_case(const std::string& name);

// The story model in another format: a case whose only prompt has tokens, logits and a tolerance. format: "iq2_bn", ...
Case load_story_format(const std::string& format);

// What has to be said to read the model: tile parameters that lie beside it (kernel_config.ini, or the model's name with .ini),
// the layout that its name tells ("i2s-arm64.gguf").
std::vector<std::string> reading_options(const std::string& model);

std::string data_path(const std::string& name);  // below tests/data

}  // namespace bitnet::golden_test
