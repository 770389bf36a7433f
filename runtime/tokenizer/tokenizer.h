// tokenizer/tokenizer.h - text to token ids and back, as the model file describes it.
//
// Models  "gpt2" and "bpe" (byte-level BPE), "llama" and "sentencepiece" (SentencePiece BPE). Others: Error{kInvalidModel}.
// Exact   decode(encode(text)) == text for every byte sequence that the vocabulary can express, with the default options.
// Memory  nothing refers to the file once the tokenizer is built. token_bytes() and find_special() views live as long as it.
// Threads const functions are safe from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gguf/reader.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/text_encoder.h"
#include "tokenizer/vocabulary.h"

namespace bitnet {

struct TokenizerOptions {
  bool strict = false;  // whatever would have to be guessed is an Error instead of a warning (BITNET_STRICT_TOKENIZERS=1)
};

struct EncodeOptions {
  bool add_special = true;     // BOS in front and EOS behind, as far as the file asks for them
  bool parse_special = false;  // texts of control tokens become those tokens; never for text that a user wrote
  size_t max_tokens = std::numeric_limits<size_t>::max();  // the result is cut here, and the rest of the text is not encoded
  // With parse_special: empty, or one byte per byte of text. Where it is not 0 a user wrote, and no control token counts that
  // has a byte there.
  std::string_view user_marks = {};
};

struct DecodeOptions {
  bool control_tokens = false;  // show control tokens by their names instead of leaving them out
  bool text_start = true;       // the ids begin a text: drop the space that SentencePiece put in front of it
};

class Tokenizer {
 public:
  // Reads the tokenizer.ggml.* keys. Error{kInvalidModel} naming file and key when they are missing or contradict each other.
  static Tokenizer from_gguf(const gguf::File& file, const TokenizerOptions& options = {});
  // From a file beside the model: tokenizer.json, tokenizer.model (SentencePiece, BPE), the vocabulary of another GGUF file, or
  // a folder with one of the first two. Roles come from it, from tokenizer_config.json and generation_config.json in its
  // folder, and last from the keys of `model`, where there is one. Error{kInvalidModel} naming file and field.
  static Tokenizer from_file(const std::string& path, const TokenizerOptions& options = {}, const gguf::File* model = nullptr);
  // The tokenizer that belongs to an opened model: of the file `named`, of the model's own keys, or of the tokenizer.json or
  // tokenizer.model beside it. Error{kInvalidModel} when there is none.
  static Tokenizer of_model(const gguf::File& model, const std::optional<std::string>& named,
                            const TokenizerOptions& options = {});
  // The same from values in memory; messages then name no file.
  static Tokenizer from_data(const TokenizerData& data, const TokenizerOptions& options = {});

  // Error{kUsage} when the text holds bytes that the vocabulary cannot express, or a single word beyond 2 GiB.
  // Without parse_special no control token comes out of text, whatever it says.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  // The bytes of the ids, which need not be UTF-8. Error{kUsage} for an id outside the vocabulary.
  std::string decode(std::span<const int32_t> ids, const DecodeOptions& options = {}) const;

  // The bytes one token adds to a text; empty for control tokens. Error{kUsage} for an id outside the vocabulary.
  std::string_view token_bytes(int32_t id) const;
  // The name of a control token, the bytes of any other. Error as above.
  std::string_view token_text(int32_t id) const;

  size_t size() const { return vocabulary_->size(); }
  std::optional<int32_t> bos() const { return vocabulary_->bos(); }
  std::optional<int32_t> eos() const { return vocabulary_->eos(); }
  std::optional<int32_t> eot() const { return eot_; }  // by key, else by its name in known vocabularies
  std::optional<int32_t> eom() const { return vocabulary_->eom(); }
  std::optional<int32_t> unk() const { return vocabulary_->unk(); }
  std::optional<int32_t> pad() const { return vocabulary_->pad(); }
  bool add_bos() const { return add_bos_; }
  bool add_eos() const { return add_eos_; }

  // The control or user-defined token with this text, for example "<|eot_id|>".
  std::optional<int32_t> find_special(std::string_view text) const;

  // False for ids outside the vocabulary.
  bool is_control(int32_t id) const { return vocabulary_->contains(id) && vocabulary_->is_control(id); }
  bool is_end_of_generation(int32_t id) const;
  const std::vector<int32_t>& end_of_generation_ids() const { return end_of_generation_; }

  const std::string& model() const { return model_; }  // as in the file
  const std::string& pre() const { return pre_; }      // name of the pre-tokenizer; empty for SentencePiece
  bool pre_inferred() const { return pre_inferred_; }  // the file does not name it
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  Tokenizer() = default;
  void build_byte_level(const TokenizerData& data, const TokenizerOptions& options);
  void build_sentencepiece(const TokenizerData& data);
  void find_special_tokens();
  void find_end_of_generation(const TokenizerData& data);

  std::string model_, pre_;
  bool pre_inferred_ = false;
  bool add_bos_ = false, add_eos_ = false;
  SpacePrefix space_prefix_ = SpacePrefix::kNever;
  std::vector<std::string> warnings_;
  std::unique_ptr<const Vocabulary> vocabulary_;
  std::unique_ptr<const TextEncoder> encoder_;
  std::unique_ptr<const SpecialTokens> all_special_, user_defined_;
  std::vector<int32_t> end_of_generation_;  // ascending
  std::optional<int32_t> eot_;
};

// The tokenizer.json, else the tokenizer.model in the folder of a model file or in a model's folder; empty when there is
// neither.
std::string find_tokenizer_beside(const std::string& path);

}  // namespace bitnet
