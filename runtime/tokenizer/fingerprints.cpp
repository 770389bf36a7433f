// tokenizer/fingerprints.cpp - the table of known byte-level vocabularies.
#include "tokenizer/fingerprints.h"

#include <array>
#include <cstddef>

namespace bitnet {
namespace {

struct Landmark {
  size_t id;
  std::string_view text;
};

struct Fingerprint {
  KnownVocabulary vocabulary;
  size_t least, most;  // tokens; files may fill up to the rows of the embeddings
  std::array<Landmark, 3> landmarks;
};

constexpr Fingerprint kFingerprints[] = {
    {{"Llama 3", "llama-bpe"}, 128256, 128256, {{{128000, "<|begin_of_text|>"}}}},
    {{"Qwen2", "qwen2"}, 151646, 152064, {{{151643, "<|endoftext|>"}, {151644, "<|im_start|>"}, {151645, "<|im_end|>"}}}},
    {{"GPT-2", "gpt-2"}, 50257, 50257, {{{0, "!"}, {256, "Ġt"}, {50256, "<|endoftext|>"}}}},
    {{"Falcon", "falcon"}, 65024, 65024, {{{0, ">>TITLE<<"}, {1, ">>ABSTRACT<<"}, {11, "<|endoftext|>"}}}},
    {{"Falcon3", "falcon3"}, 131072, 131072, {{{0, ">>TITLE<<"}, {1, ">>ABSTRACT<<"}, {11, "<|endoftext|>"}}}},
    {{"DeepSeek LLM", "deepseek-llm"},
     102400,
     102400,
     {{{100000, "<｜begin▁of▁sentence｜>"}, {100001, "<｜end▁of▁sentence｜>"}}}},
};

bool fits(const Fingerprint& fingerprint, std::span<const std::string_view> tokens) {
  if (tokens.size() < fingerprint.least || tokens.size() > fingerprint.most) return false;
  for (const Landmark& landmark : fingerprint.landmarks) {
    if (!landmark.text.empty() && tokens[landmark.id] != landmark.text) return false;
  }
  return true;
}

}  // namespace

const KnownVocabulary* find_known_vocabulary(std::span<const std::string_view> tokens) {
  for (const Fingerprint& fingerprint : kFingerprints) {
    if (fits(fingerprint, tokens)) return &fingerprint.vocabulary;
  }
  return nullptr;
}

}  // namespace bitnet
