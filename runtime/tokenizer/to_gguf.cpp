// tokenizer/to_gguf.cpp - data to keys.
#include "tokenizer/to_gguf.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/character_bpe.h"

namespace bitnet {
namespace {

constexpr const char* kInstead =
    "; put the model's tokenizer.model in its place, or run the checkpoint as it is, or the new file with --tokenizer and this "
    "one";

class Keys {
 public:
  explicit Keys(const TokenizerData& data) : data_(data) {}

  gguf::KeyValues write() {
    const std::vector<float> scores = this->scores();
    keys_.add_string(name("model"), data_.model);
    if (data_.pre) keys_.add_string(name("pre"), *data_.pre);
    keys_.add_string_array(name("tokens"), data_.tokens);
    if (!scores.empty()) keys_.add_array<float>(name("scores"), scores);
    if (!data_.types.empty()) {
      const std::vector<int32_t> types(data_.types.begin(), data_.types.end());
      keys_.add_array<int32_t>(name("token_type"), types);
    }
    if (!data_.merges.empty() && !merges_characters()) keys_.add_string_array(name("merges"), data_.merges);
    add_role("bos_token_id", data_.bos);
    add_role("eos_token_id", data_.eos);
    add_role("eot_token_id", data_.eot ? data_.eot : end_besides_eos());
    add_role("eom_token_id", data_.eom);
    add_role("unknown_token_id", data_.unk);
    add_role("padding_token_id", data_.pad);
    add_flag("add_bos_token", data_.add_bos);
    add_flag("add_eos_token", data_.add_eos);
    if (data_.space_prefix) keys_.add<bool>(name("add_space_prefix"), *data_.space_prefix != SpacePrefix::kNever);
    return std::move(keys_);
  }

 private:
  static std::string name(const char* key) { return std::string("tokenizer.ggml.") + key; }

  bool merges_characters() const { return data_.model == "llama" && !data_.merges.empty(); }

  // Vocabularies whose characters are merged by rules get scores; that these give the same tokens is proven token by token.
  std::vector<float> scores() const {
    if (!merges_characters()) return data_.scores;
    refuse_other_spaces();
    std::vector<std::string> ignored;
    const Vocabulary vocabulary(data_, Spelling::kSentencePiece, ignored);
    try {
      return CharacterBpe(data_, vocabulary, SpacePrefix::kNever).scores();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUsage) throw;
      throw Error(ErrorKind::kUsage, error.what() + std::string(kInstead));
    }
  }

  // add_space_prefix stands for a space at the start of a text and behind control tokens.
  void refuse_other_spaces() const {
    const auto user_defined = static_cast<int64_t>(TokenType::kUserDefined);
    const SpacePrefix prefix = data_.space_prefix.value_or(SpacePrefix::kOpenings);
    const bool has_user_defined = std::find(data_.types.begin(), data_.types.end(), user_defined) != data_.types.end();
    if (prefix == SpacePrefix::kStart || (prefix == SpacePrefix::kAlways && has_user_defined)) {
      fail(ErrorKind::kUsage,
           "GGUF keys put a space at the start of a text and behind control tokens; this file puts it {}, so that texts would "
           "get other "
           "tokens{}",
           prefix == SpacePrefix::kStart ? "at the start alone" : "behind user-defined tokens too", kInstead);
    }
  }

  // Of the further ends of a generation the first that has no key yet.
  std::optional<int64_t> end_besides_eos() const {
    const auto at = std::find_if(data_.more_ends.begin(), data_.more_ends.end(),
                                 [&](int64_t id) { return id != data_.eos && id != data_.eom; });
    return at == data_.more_ends.end() ? std::nullopt : std::optional(*at);
  }
  void add_role(const char* key, const std::optional<int64_t>& id) {
    if (id) keys_.add<uint32_t>(name(key), static_cast<uint32_t>(*id));
  }
  void add_flag(const char* key, const std::optional<bool>& flag) {
    if (flag) keys_.add<bool>(name(key), *flag);
  }

  const TokenizerData& data_;
  gguf::KeyValues keys_;
};

}  // namespace

gguf::KeyValues to_keys(const TokenizerData& data) { return Keys(data).write(); }

}  // namespace bitnet
