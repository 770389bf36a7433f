// tokenizer/sentencepiece_file.cpp - the fields of a SentencePiece model that tokenizing needs.
#include "tokenizer/sentencepiece_file.h"

#include <bit>
#include <cstring>
#include <optional>

#include "base/error.h"

namespace bitnet {
namespace {

// One field of a message: a number (varint, or the bits of a fixed one) or bytes.
struct Field {
  uint32_t number;
  uint64_t value;
  std::string_view bytes;  // of length-delimited fields
  bool is_bytes;
};

// Goes through the fields of one message. Offsets in errors count from the start of the file.
class Message {
 public:
  Message(std::string_view bytes, size_t offset, const std::string& label) : bytes_(bytes), offset_(offset), label_(label) {}

  // The next field; empty at the end.
  std::optional<Field> next() {
    if (at_ == bytes_.size()) return std::nullopt;
    const uint64_t tag = varint();
    if (tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) fault("expected a field, found the tag {}", tag);
    Field field{static_cast<uint32_t>(tag >> 3), 0, {}, false};
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.value = fixed<uint64_t>();
        break;
      case 2:
        field.bytes = take(varint());
        field.is_bytes = true;
        break;
      case 5:
        field.value = fixed<uint32_t>();
        break;
      default:
        fault("the wire type {} is not known", tag & 7);
    }
    return field;
  }

  // A message inside this one.
  Message inside(const Field& field) const {
    if (!field.is_bytes) fault("field {} is to be a message", field.number);
    return {field.bytes, offset_ + static_cast<size_t>(field.bytes.data() - bytes_.data()), label_};
  }

  template <class... Args>
  [[noreturn]] void fault(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorKind::kInvalidModel, "{}: not a readable SentencePiece model: at byte {}: {}", printable(label_, 4096),
         offset_ + at_, fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == bytes_.size()) fault("the file ends inside a number");
      const auto byte = static_cast<uint8_t>(bytes_[at_++]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    fault("a number has more than ten bytes");
  }
  std::string_view take(uint64_t length) {
    if (length > bytes_.size() - at_) fault("{} bytes are announced, {} are left", length, bytes_.size() - at_);
    const std::string_view taken = bytes_.substr(at_, length);
    at_ += length;
    return taken;
  }
  template <class T>
  T fixed() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view bytes_;
  size_t offset_;  // of bytes_ in the file
  size_t at_ = 0;
  const std::string& label_;
};

void read_piece(Message piece, TokenizerData& data) {
  std::string_view text;
  float score = 0;
  int64_t type = static_cast<int64_t>(TokenType::kNormal);
  while (const auto field = piece.next()) {
    if (field->number == 1) text = field->bytes;
    if (field->number == 2) score = std::bit_cast<float>(static_cast<uint32_t>(field->value));
    if (field->number == 3) type = static_cast<int64_t>(field->value);  // numbered as TokenType; checked by Vocabulary
  }
  if (data.tokens.size() == Vocabulary::kMaxTokens) piece.fault("more than {} pieces", Vocabulary::kMaxTokens);
  data.tokens.push_back(text);
  data.scores.push_back(score);
  data.types.push_back(type);
}

void read_trainer(Message trainer, TokenizerData& data, const std::string& label) {
  constexpr uint64_t kUnigram = 1, kBpe = 2;
  uint64_t model_type = kUnigram;
  const auto role = [](uint64_t value) -> std::optional<int64_t> {
    const auto id = static_cast<int32_t>(value);  // -1: there is none
    return id < 0 ? std::nullopt : std::optional<int64_t>(id);
  };
  bool space_behind = false;
  data.unk = 0, data.bos = 1, data.eos = 2, data.pad = std::nullopt;  // what the format says when fields are absent
  while (const auto field = trainer.next()) {
    if (field->number == 3) model_type = field->value;
    if (field->number == 24) space_behind = field->value != 0;
    if (field->number == 40) data.unk = role(field->value);
    if (field->number == 41) data.bos = role(field->value);
    if (field->number == 42) data.eos = role(field->value);
    if (field->number == 43) data.pad = role(field->value);
  }
  const std::string path = printable(label, 4096);
  if (model_type == kUnigram) {
    fail(ErrorKind::kInvalidModel, "{}: a unigram model of SentencePiece, which is not supported; expected BPE", path);
  }
  if (model_type != kBpe) {
    fail(ErrorKind::kInvalidModel, "{}: a SentencePiece model of type {}, expected 2 (BPE)", path, model_type);
  }
  if (space_behind) fail(ErrorKind::kInvalidModel, "{}: spaces are put behind words, which is not supported", path);
}

void read_normalizer(Message normalizer, TokenizerData& data, const std::string& label) {
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
  std::string_view name, rules;
  while (const auto field = normalizer.next()) {
    if (field->number == 1) name = field->bytes;
    if (field->number == 2) rules = field->bytes;
    if (field->number == 3) add_dummy_prefix = field->value != 0;
    if (field->number == 4) remove_extra_whitespaces = field->value != 0;
    if (field->number == 5) escape_whitespaces = field->value != 0;
  }
  if (!rules.empty() || remove_extra_whitespaces || !escape_whitespaces) {
    fail(ErrorKind::kInvalidModel,
         "{}: its normalizer \"{}\" changes texts ({}), which is not supported; expected identity, with all spaces kept",
         printable(label, 4096), printable(name),
         !rules.empty()             ? "by a table of characters"
         : remove_extra_whitespaces ? "removing spaces"
                                    : "leaving spaces unmarked");
  }
  data.space_prefix = add_dummy_prefix ? SpacePrefix::kOpenings : SpacePrefix::kNever;
}

// Meta publishes Llama 3's ranks under the same name.
bool is_rank_file(std::string_view bytes) { return bytes.starts_with("IQ== 0\n"); }

}  // namespace

TokenizerData read_sentencepiece_file(std::string_view bytes, const std::string& label) {
  if (is_rank_file(bytes)) {
    fail(
        ErrorKind::kInvalidModel,
        "{}: a list of ranks (tiktoken), not a SentencePiece model; it names no special tokens: use the tokenizer.json instead",
        printable(label, 4096));
  }
  TokenizerData data;
  data.model = "llama";
  data.key_prefix = "";
  Message file(bytes, 0, label);
  bool has_trainer = false, has_normalizer = false;
  while (const auto field = file.next()) {
    if (field->number == 1) read_piece(file.inside(*field), data);
    if (field->number == 2) read_trainer(file.inside(*field), data, label), has_trainer = true;
    if (field->number == 3) read_normalizer(file.inside(*field), data, label), has_normalizer = true;
  }
  if (!has_trainer || !has_normalizer) {
    file.fault("the {} is missing", has_trainer ? "normalizer_spec" : "trainer_spec");
  }
  return data;
}

}  // namespace bitnet
