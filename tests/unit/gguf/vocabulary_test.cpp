// unit/gguf/vocabulary_test.cpp - real vocabularies open, and the largest one opens quickly.
#include <gtest/gtest.h>

#include <chrono>

#include "gguf/reader.h"
#include "unit/gguf/files.h"

namespace bitnet::gguf {
namespace {

std::string vocabulary(const std::string& name) { return std::string(BITNET_SHARED_DIR) + "/data/tokenizers/" + name; }

#define SKIP_WITHOUT(path) \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << (path) << " is not there; see BITNET_SHARED_DIR"

TEST(GgufVocabulary, F18_the_published_2b4t_vocabulary_has_24_keys_and_is_complete) {
  const std::string path = vocabulary("vocab-2b4t-as-published.gguf");
  SKIP_WITHOUT(path);
  const File file(path);
  EXPECT_EQ(file.keys().size(), 24u);
  EXPECT_EQ(file.find_string_array("tokenizer.ggml.tokens")->size(), 128256u);
  EXPECT_EQ(file.find_string_array("tokenizer.ggml.merges")->size(), 280147u);
  EXPECT_EQ(file.find_float_array("tokenizer.ggml.scores")->size(), 128256u);
  EXPECT_EQ(file.find_int_array("tokenizer.ggml.token_type")->size(), 128256u);
  EXPECT_EQ(file.find_string_array("tokenizer.ggml.tokens")->at(128009), "<|eot_id|>");
}

TEST(GgufVocabulary, llama_3_opens_quickly) {
  const std::string path = vocabulary("ggml-vocab-llama-bpe.gguf");
  SKIP_WITHOUT(path);
  double best = 1e9;
  for (int round = 0; round < 3; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const File file(path);
    ASSERT_EQ(file.find_string_array("tokenizer.ggml.tokens")->size(), 128256u);
    ASSERT_EQ(file.find_string_array("tokenizer.ggml.merges")->size(), 280147u);
    best = std::min(best, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  RecordProperty("milliseconds", std::to_string(best));
  EXPECT_LT(best, 500) << "ms; about 10 on a current machine, here with a margin for sanitizers";
}

}  // namespace
}  // namespace bitnet::gguf
