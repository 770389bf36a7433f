// tokenizer/vocabulary.h - the tokens of a model: their bytes, their types, and the ids with a role.
//
// Source  the tokenizer.ggml.* keys of GGUF; tokenizer.json and tokenizer.model are brought into the same form.
// Limits  2^20 tokens of 1024 bytes.
// Errors  Error{kInvalidModel} naming the key, expected and found.
// Threads const functions are safe from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitnet {

// Where a space is put in front of a text, which decoding takes away again.
enum class SpacePrefix {
  kNever,
  kStart,     // at the start of the text
  kOpenings,  // there and behind control tokens
  kAlways,    // there and behind user-defined tokens too
};

// Which tokens have a role, and whether they stand around every text.
struct TokenizerRoles {
  std::optional<int64_t> bos, eos, eot, eom, unk, pad;
  std::optional<bool> add_bos, add_eos;
};

// What a file says about its tokenizer, unchecked. The views must live until the tokenizer is built, not longer.
struct TokenizerData : TokenizerRoles {
  std::string model;                                // "gpt2", "llama", ...
  std::optional<std::string> pre;                   // pre-tokenizer
  std::vector<std::string_view> tokens;             // id = index
  std::vector<float> scores;                        // empty, or one per token
  std::vector<int64_t> types;                       // empty, or one per token: TokenType
  std::vector<std::string_view> merges;             // "left right", most frequent first
  std::optional<SpacePrefix> space_prefix;          // SentencePiece spelling only
  std::optional<bool> ignore_merges;                // a piece that is a token is emitted at once; else by the pre-tokenizer
  bool split_at_spaces = false;                     // SentencePiece spelling only: merging never crosses the front of a space
  std::vector<int64_t> more_ends;                   // further ids that end a generation
  std::vector<std::string> notes;                   // to be said, though nothing is wrong
  std::vector<std::string> doubts;                  // said too, and errors where guesses are forbidden
  std::string_view key_prefix = "tokenizer.ggml.";  // what messages put in front of tokens, merges, bos_token_id, ...
};

enum class TokenType : uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

// How the file spells the bytes of a token.
enum class Spelling {
  kByteLevel,      // every byte is one of 256 printable characters, as GPT-2 does
  kSentencePiece,  // a space is U+2581, single bytes are <0x00> to <0xFF>
};

class Vocabulary {
 public:
  static constexpr size_t kMaxTokens = size_t{1} << 20;
  static constexpr size_t kMaxTokenBytes = 1024;

  // Doubts that do not stop a load are appended to warnings.
  Vocabulary(const TokenizerData& data, Spelling spelling, std::vector<std::string>& warnings);
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  Spelling spelling() const { return spelling_; }
  size_t size() const { return types_.size(); }
  bool contains(int64_t id) const { return id >= 0 && static_cast<uint64_t>(id) < size(); }

  // The functions with an id require contains(id).
  // The bytes a token stands for; of control and unknown tokens: the text as the file has it.
  std::string_view text(int32_t id) const {
    const auto i = static_cast<size_t>(id);
    const uint32_t begin = i == 0 ? 0 : ends_[i - 1];
    return {arena_.data() + begin, ends_[i] - begin};
  }
  TokenType type(int32_t id) const { return types_[static_cast<size_t>(id)]; }
  // Tokens that steer the model and are no text: type 3, the unknown token, and any token of the form <|...|>.
  bool is_control(int32_t id) const { return control_[static_cast<size_t>(id)]; }
  // Tokens that are cut out of a text before anything else, even where special tokens are not parsed.
  bool is_user_defined(int32_t id) const { return type(id) == TokenType::kUserDefined && !is_control(id); }
  // Tokens that merging may yield: all but control, user-defined and byte tokens of SentencePiece.
  bool is_mergeable(int32_t id) const;

  // The mergeable token with these bytes, -1 when there is none; of several the lowest id.
  int32_t find(std::string_view bytes) const;

  // The token of a single byte, -1 when the vocabulary has none.
  int32_t byte_token(uint8_t byte) const { return byte_tokens_[byte]; }
  // The same, or the unknown token; Error{kUsage} when there is neither.
  int32_t byte_token_or_unknown(uint8_t byte) const;

  std::optional<int32_t> bos() const { return bos_; }
  std::optional<int32_t> eos() const { return eos_; }
  std::optional<int32_t> eot() const { return eot_; }
  std::optional<int32_t> eom() const { return eom_; }
  std::optional<int32_t> unk() const { return unk_; }
  std::optional<int32_t> pad() const { return pad_; }

 private:
  void check_limits(const TokenizerData& data) const;
  void read_roles(const TokenizerData& data);
  void read_types(const TokenizerData& data);
  void read_texts(const TokenizerData& data);
  void index_texts(std::vector<std::string>& warnings);
  void index_bytes();

  Spelling spelling_;
  std::string key_prefix_;        // for messages
  std::string arena_;             // all texts, one behind the other
  std::vector<uint32_t> ends_;    // end of each text in arena_
  std::vector<TokenType> types_;  //
  std::vector<bool> control_;     //
  std::vector<int32_t> table_;    // open addressing by text; -1 = free; a power of two long
  std::array<int32_t, 256> byte_tokens_{};
  std::optional<int32_t> bos_, eos_, eot_, eom_, unk_, pad_;
};

}  // namespace bitnet
