// tokenizer/tokenizer.cpp - puts vocabulary, special tokens and merging scheme together.
#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "tokenizer/byte_level_bpe.h"
#include "tokenizer/character_bpe.h"
#include "tokenizer/fingerprints.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/sentencepiece_bpe.h"

namespace bitnet {
namespace {

// Tokens that end an answer wherever they exist, since files often name only one of those their template uses.
constexpr std::array<std::string_view, 7> kEndNames{
    "<|eot_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>", "<end_of_turn>", "</s>", "<|eom_id|>"};

// Those among them that end a turn, for files that give no token that role.
constexpr std::array<std::string_view, 3> kEndOfTurnNames{"<|eot_id|>", "<|im_end|>", "<end_of_turn>"};

// A guess about the file: a warning, or an error where guesses are forbidden.
void guess(const TokenizerOptions& options, std::vector<std::string>& warnings, const std::string& message) {
  if (options.strict) fail(ErrorKind::kInvalidModel, "{}; strict tokenizers forbid guessing", message);
  warnings.push_back(message);
}

// Special tokens of a text one after the other. Control tokens count only where the options let them.
class Cuts {
 public:
  Cuts(const SpecialTokens& all, const SpecialTokens& user_defined, std::string_view text, const EncodeOptions& options)
      : all_(all), user_defined_(user_defined), text_(text), options_(options) {}

  SpecialTokens::Cut next(size_t from) {
    if (!options_.parse_special) return user_defined_.next(text_, from);
    if (options_.user_marks.empty()) return all_.next(text_, from);
    // Looked for again only behind it: a text without user-defined tokens is searched once.
    if (!anywhere_ || anywhere_->begin < from) anywhere_ = user_defined_.next(text_, from);
    if (!unmarked_ || unmarked_->begin < from) unmarked_ = all_.next_unmarked(text_, options_.user_marks, from);
    return unmarked_->begin <= anywhere_->begin ? *unmarked_ : *anywhere_;
  }

 private:
  const SpecialTokens& all_;
  const SpecialTokens& user_defined_;
  std::string_view text_;
  const EncodeOptions& options_;
  std::optional<SpecialTokens::Cut> anywhere_, unmarked_;
};

}  // namespace

Tokenizer Tokenizer::from_data(const TokenizerData& data, const TokenizerOptions& options) {
  Tokenizer result;
  result.model_ = data.model;
  const bool byte_level = data.model == "gpt2" || data.model == "bpe";
  if (!byte_level && data.model != "llama" && data.model != "sentencepiece") {
    fail(ErrorKind::kInvalidModel, "tokenizer.ggml.model is \"{}\", expected gpt2, bpe, llama or sentencepiece",
         printable(data.model));
  }
  result.warnings_ = data.notes;
  for (const std::string& doubt : data.doubts) guess(options, result.warnings_, doubt);
  const Spelling spelling = byte_level ? Spelling::kByteLevel : Spelling::kSentencePiece;
  result.vocabulary_ = std::make_unique<Vocabulary>(data, spelling, result.warnings_);
  if (data.types.empty()) {
    guess(options, result.warnings_,
          "tokenizer.ggml.token_type is missing: only tokens of the form <|...|> and those with a role are taken for control "
          "tokens");
  }
  if (byte_level) {
    result.build_byte_level(data, options);
  } else {
    result.build_sentencepiece(data);
  }
  result.add_bos_ = data.add_bos.value_or(result.add_bos_);
  result.add_eos_ = data.add_eos.value_or(false);
  const auto require_role = [&](bool& add, const std::optional<int32_t>& id, const char* name) {
    if (!add || id) return;
    guess(options, result.warnings_,
          fmt::format("texts are to begin or end with {0}, but {1}{0}_token_id is missing: left out", name, data.key_prefix));
    add = false;
  };
  require_role(result.add_bos_, result.bos(), "bos");
  require_role(result.add_eos_, result.eos(), "eos");
  result.find_special_tokens();
  result.find_end_of_generation(data);
  return result;
}

void Tokenizer::build_byte_level(const TokenizerData& data, const TokenizerOptions& options) {
  pre_ = data.pre.value_or("");
  pre_inferred_ = !data.pre || *data.pre == "default";
  if (pre_inferred_) {
    if (const KnownVocabulary* known = find_known_vocabulary(data.tokens)) {
      pre_ = known->pre;
      warnings_.push_back(fmt::format("tokenizer.ggml.pre is missing: {} inferred from the vocabulary, which is that of {}",
                                      known->pre, known->name));
    } else {
      pre_ = "gpt-2";
      guess(options, warnings_,
            "tokenizer.ggml.pre is missing and the vocabulary is not a known one: gpt-2 assumed, texts may be cut wrongly");
    }
  }
  const PreTokenizerRule* rule = find_pre_tokenizer_rule(pre_);
  if (rule == nullptr) {
    fail(ErrorKind::kInvalidModel, "tokenizer.ggml.pre is \"{}\", expected one of {}", printable(pre_), known_pre_tokenizers());
  }
  add_bos_ = rule->add_bos;
  encoder_ = std::make_unique<ByteLevelBpe>(data, *vocabulary_, *rule);
}

void Tokenizer::build_sentencepiece(const TokenizerData& data) {
  add_bos_ = true;
  space_prefix_ = data.space_prefix.value_or(SpacePrefix::kOpenings);
  if (data.scores.empty() && !data.merges.empty()) {
    encoder_ = std::make_unique<CharacterBpe>(data, *vocabulary_, space_prefix_);
  } else {
    encoder_ = std::make_unique<SentencePieceBpe>(data, *vocabulary_, space_prefix_);
  }
}

void Tokenizer::find_special_tokens() {
  std::vector<SpecialToken> all, user_defined;
  for (int32_t id = 0; vocabulary_->contains(id); ++id) {
    const SpecialToken token{vocabulary_->text(id), id};
    if (token.text.empty() || vocabulary_->type(id) == TokenType::kUnknown) continue;
    if (vocabulary_->is_user_defined(id)) user_defined.push_back(token);
    if (vocabulary_->is_user_defined(id) || vocabulary_->is_control(id)) all.push_back(token);
  }
  all_special_ = std::make_unique<SpecialTokens>(std::move(all));
  user_defined_ = std::make_unique<SpecialTokens>(std::move(user_defined));
}

void Tokenizer::find_end_of_generation(const TokenizerData& data) {
  eot_ = vocabulary_->eot();
  for (const std::string_view name : kEndOfTurnNames) {
    if (!eot_) eot_ = find_special(name);
  }
  for (const int64_t id : data.more_ends) {
    if (!vocabulary_->contains(id)) {
      fail(ErrorKind::kInvalidModel, "eos_token_id has {}, expected the id of one of {} tokens", id, size());
    }
    end_of_generation_.push_back(static_cast<int32_t>(id));
  }
  for (const std::optional<int32_t>& id : {eos(), eot(), eom()}) {
    if (id) end_of_generation_.push_back(*id);
  }
  for (const std::string_view name : kEndNames) {
    // An ordinary token that happens to be spelled so ("</s>" in a vocabulary for source code) ends nothing.
    if (const auto id = find_special(name)) end_of_generation_.push_back(*id);
    if (data.types.empty() && vocabulary_->find(name) >= 0) end_of_generation_.push_back(vocabulary_->find(name));
  }
  std::sort(end_of_generation_.begin(), end_of_generation_.end());
  end_of_generation_.erase(std::unique(end_of_generation_.begin(), end_of_generation_.end()), end_of_generation_.end());
}

std::optional<int32_t> Tokenizer::find_special(std::string_view text) const {
  const int32_t id = all_special_->find(text);
  return id < 0 ? std::nullopt : std::optional(id);
}

bool Tokenizer::is_end_of_generation(int32_t id) const {
  return std::binary_search(end_of_generation_.begin(), end_of_generation_.end(), id);
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> out;
  if (options.add_special && add_bos_) out.push_back(*bos());
  Cuts cuts(*all_special_, *user_defined_, text, options);
  TextPosition position = TextPosition::kStart;
  for (size_t at = 0; at < text.size() && out.size() < options.max_tokens;) {
    const SpecialTokens::Cut cut = cuts.next(at);
    encoder_->encode(text.substr(at, cut.begin - at), position, options.max_tokens, out);
    if (cut.id >= 0) {
      out.push_back(cut.id);
      position = vocabulary_->is_control(cut.id) ? TextPosition::kBehindControl : TextPosition::kBehindUserDefined;
    }
    at = cut.end;
  }
  if (options.add_special && add_eos_) out.push_back(*eos());
  if (out.size() > options.max_tokens) out.resize(options.max_tokens);
  return out;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, const DecodeOptions& options) const {
  std::string out;
  bool at_start = options.text_start && space_prefix_ != SpacePrefix::kNever;
  for (const int32_t id : ids) {
    std::string_view bytes = options.control_tokens ? token_text(id) : token_bytes(id);
    if (is_control(id)) {
      out.append(bytes);
      continue;
    }
    if (at_start && bytes.starts_with(' ') && !vocabulary_->is_user_defined(id)) bytes.remove_prefix(1);
    at_start = false;
    out.append(bytes);
  }
  return out;
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  const std::string_view text = token_text(id);
  return vocabulary_->is_control(id) ? std::string_view() : text;
}

std::string_view Tokenizer::token_text(int32_t id) const {
  if (!vocabulary_->contains(id)) fail(ErrorKind::kUsage, "token id {} is outside the vocabulary of {} tokens", id, size());
  return vocabulary_->text(id);
}

}  // namespace bitnet
