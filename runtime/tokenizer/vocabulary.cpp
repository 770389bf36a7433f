// tokenizer/vocabulary.cpp - checks the token lists of a file and indexes them.
#include "tokenizer/vocabulary.h"

#include <bit>
#include <functional>

#include "base/error.h"
#include "tokenizer/spelling.h"

namespace bitnet {
namespace {

bool has_control_form(std::string_view text) { return text.size() > 4 && text.starts_with("<|") && text.ends_with("|>"); }

}  // namespace

Vocabulary::Vocabulary(const TokenizerData& data, Spelling spelling, std::vector<std::string>& warnings)
    : spelling_(spelling), key_prefix_(data.key_prefix) {
  check_limits(data);
  read_types(data);
  read_roles(data);
  read_texts(data);
  index_texts(warnings);
  index_bytes();
}

void Vocabulary::check_limits(const TokenizerData& data) const {
  if (data.tokens.empty())
    fail(ErrorKind::kInvalidModel, "{}tokens is missing or empty; a model needs its vocabulary", key_prefix_);
  if (data.tokens.size() > kMaxTokens) {
    fail(ErrorKind::kInvalidModel, "{}tokens has {} tokens, expected at most {}", key_prefix_, data.tokens.size(), kMaxTokens);
  }
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    if (data.tokens[i].size() <= kMaxTokenBytes) continue;
    fail(ErrorKind::kInvalidModel, "{}tokens[{}] has {} bytes, expected at most {}", key_prefix_, i, data.tokens[i].size(),
         kMaxTokenBytes);
  }
}

void Vocabulary::read_types(const TokenizerData& data) {
  types_.assign(data.tokens.size(), TokenType::kNormal);
  if (!data.types.empty() && data.types.size() != data.tokens.size()) {
    fail(ErrorKind::kInvalidModel, "{0}token_type has {1} elements, expected {2} as {0}tokens", key_prefix_, data.types.size(),
         data.tokens.size());
  }
  for (size_t i = 0; i < data.types.size(); ++i) {
    if (data.types[i] < 1 || data.types[i] > 6) {
      fail(ErrorKind::kInvalidModel, "{}token_type[{}] is {}, expected 1 to 6", key_prefix_, i, data.types[i]);
    }
    types_[i] = static_cast<TokenType>(data.types[i]);
  }
  control_.resize(types_.size());
  for (size_t i = 0; i < types_.size(); ++i) {
    control_[i] = types_[i] == TokenType::kControl || types_[i] == TokenType::kUnknown || has_control_form(data.tokens[i]);
  }
}

void Vocabulary::read_roles(const TokenizerData& data) {
  const auto read = [&](const char* key, const std::optional<int64_t>& id) -> std::optional<int32_t> {
    if (!id) return std::nullopt;
    if (!contains(*id)) {
      fail(ErrorKind::kInvalidModel, "{}{} is {}, expected the id of one of {} tokens", key_prefix_, key, *id, size());
    }
    // A file without types cannot mark them otherwise.
    if (data.types.empty()) control_[static_cast<size_t>(*id)] = true;
    return static_cast<int32_t>(*id);
  };
  bos_ = read("bos_token_id", data.bos);
  eos_ = read("eos_token_id", data.eos);
  eot_ = read("eot_token_id", data.eot);
  eom_ = read("eom_token_id", data.eom);
  unk_ = read("unknown_token_id", data.unk);
  pad_ = read("padding_token_id", data.pad);
}

void Vocabulary::read_texts(const TokenizerData& data) {
  uint64_t total = 0;  // at most 2^30, by the limits
  for (const std::string_view token : data.tokens) total += token.size();
  arena_.reserve(total);
  ends_.reserve(data.tokens.size());
  for (size_t i = 0; i < data.tokens.size(); ++i) {
    const std::string_view spelled = data.tokens[i];
    const bool plain = types_[i] == TokenType::kUserDefined && spelling_ == Spelling::kByteLevel;
    if (control_[i] || plain) {
      arena_.append(spelled);
    } else if (spelling_ == Spelling::kByteLevel) {
      if (!append_byte_level_spelling(spelled, arena_)) arena_.append(spelled);
    } else if (types_[i] == TokenType::kByte) {
      const int byte = byte_of_sentencepiece_name(spelled);
      if (byte < 0) {
        fail(ErrorKind::kInvalidModel, "{}tokens[{}] is \"{}\" of type 6 (byte), expected <0x00> to <0xFF>", key_prefix_, i,
             printable(spelled));
      }
      arena_.push_back(static_cast<char>(byte));
    } else {
      append_sentencepiece_spelling(spelled, arena_);
    }
    ends_.push_back(static_cast<uint32_t>(arena_.size()));
  }
}

bool Vocabulary::is_mergeable(int32_t id) const {
  if (is_control(id) || type(id) == TokenType::kUserDefined) return false;
  return spelling_ == Spelling::kByteLevel || type(id) != TokenType::kByte;
}

void Vocabulary::index_texts(std::vector<std::string>& warnings) {
  table_.assign(std::bit_ceil(size() * 2), -1);
  const size_t mask = table_.size() - 1;
  size_t duplicates = 0;
  int32_t example = -1;
  for (int32_t id = 0; contains(id); ++id) {
    const std::string_view bytes = text(id);
    if (!is_mergeable(id)) continue;
    size_t slot = std::hash<std::string_view>{}(bytes)&mask;
    while (table_[slot] >= 0 && text(table_[slot]) != bytes) slot = (slot + 1) & mask;
    if (table_[slot] < 0) {
      table_[slot] = id;
    } else {
      ++duplicates;
      example = id;
    }
  }
  if (duplicates > 0) {
    warnings.push_back(
        fmt::format("{}tokens: {} tokens have the text of an earlier one (for example {} and {}); the earlier "
                    "one is used for encoding",
                    key_prefix_, duplicates, find(text(example)), example));
  }
}

int32_t Vocabulary::find(std::string_view bytes) const {
  const size_t mask = table_.size() - 1;
  size_t slot = std::hash<std::string_view>{}(bytes)&mask;
  while (table_[slot] >= 0 && text(table_[slot]) != bytes) slot = (slot + 1) & mask;
  return table_[slot];
}

void Vocabulary::index_bytes() {
  byte_tokens_.fill(-1);
  if (spelling_ == Spelling::kByteLevel) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      byte_tokens_[byte] = find({&c, 1});
    }
    return;
  }
  for (int32_t id = 0; contains(id); ++id) {
    if (type(id) != TokenType::kByte || is_control(id)) continue;
    int32_t& slot = byte_tokens_[static_cast<uint8_t>(text(id)[0])];
    if (slot < 0) slot = id;
  }
}

int32_t Vocabulary::byte_token_or_unknown(uint8_t byte) const {
  if (byte_tokens_[byte] >= 0) return byte_tokens_[byte];
  if (unk_) return *unk_;
  fail(ErrorKind::kUsage,
       "this model's vocabulary has no token for the byte 0x{:02x} of the text, and no unknown token; remove it", byte);
}

}  // namespace bitnet
