// tokenizer/to_files.cpp - keys to JSON and to SentencePiece's message.
#include "tokenizer/to_files.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "tokenizer/from_gguf.h"
#include "tokenizer/json_splitting.h"
#include "tokenizer/pre_tokenizer.h"

namespace bitnet {
namespace {

using nlohmann::json;

// Fields of a protocol buffer, one behind the other.
class MessageBytes {
 public:
  MessageBytes& number(uint32_t field, int64_t value) { return varint(field << 3).varint(static_cast<uint64_t>(value)); }
  MessageBytes& real(uint32_t field, float value) {
    varint(field << 3 | 5);
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes_.push_back(static_cast<char>(bits >> shift & 0xFF));
    return *this;
  }
  MessageBytes& text(uint32_t field, std::string_view value) {
    varint(field << 3 | 2).varint(value.size());
    bytes_ += value;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  MessageBytes& varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>((value & 0x7F) | 0x80));
    bytes_.push_back(static_cast<char>(value));
    return *this;
  }
  std::string bytes_;
};

class Writing {
 public:
  explicit Writing(const gguf::File& model) : data_(read_tokenizer_data(model)), tokenizer_(Tokenizer::from_gguf(model)) {
    chat_template_ = model.find_string("tokenizer.chat_template").value_or("");
  }

  TokenizerFiles files() {
    std::set<std::string_view> texts;
    for (const std::string_view token : data_.tokens) {
      if (!texts.insert(token).second) return {{}, fmt::format("two tokens have the text \"{}\"", printable(token))};
    }
    TokenizerFiles out;
    try {
      if (tokenizer_.pre().empty()) {
        out.files.push_back({"tokenizer.model", sentencepiece()});
      } else {
        const auto splitting = json_splitting_of(find_pre_tokenizer_rule(tokenizer_.pre())->names[0]);
        if (!splitting) return {{}, fmt::format("tokenizer.json has no known form of its pre-tokenizer, {}", tokenizer_.pre())};
        out.files.push_back({"tokenizer.json", tokenizer_json(*splitting).dump() + "\n"});
      }
      out.files.push_back({"tokenizer_config.json", config().dump(2) + "\n"});
      out.files.push_back({"generation_config.json", generation().dump(2) + "\n"});
    } catch (const json::exception&) {
      return {{}, "a token is no UTF-8 text"};
    }
    return out;
  }

 private:
  int64_t type(size_t id) const { return data_.types.empty() ? 1 : data_.types[id]; }
  bool is(size_t id, TokenType wanted) const { return type(id) == static_cast<int64_t>(wanted); }
  bool is_added(size_t id) const { return is(id, TokenType::kUserDefined) || tokenizer_.is_control(static_cast<int32_t>(id)); }
  json name_of(const std::optional<int32_t>& id) const {
    return id ? json(std::string(data_.tokens[static_cast<size_t>(*id)])) : json(nullptr);
  }

  json tokenizer_json(const json& splitting) const {
    json vocabulary = json::object(), added = json::array();
    for (size_t id = 0; id < data_.tokens.size(); ++id) {
      const std::string text(data_.tokens[id]);
      if (!is_added(id)) {
        vocabulary[text] = id;
        continue;
      }
      added.push_back({{"id", id},
                       {"content", text},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", !is(id, TokenType::kUserDefined)}});
    }
    const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
    return {{"version", "1.0"},
            {"truncation", nullptr},
            {"padding", nullptr},
            {"added_tokens", added},
            {"normalizer", nullptr},
            {"pre_tokenizer", splitting},
            {"post_processor", around_texts(byte_level)},
            {"decoder", byte_level},
            {"model",
             {{"type", "BPE"},
              {"dropout", nullptr},
              {"unk_token", name_of(tokenizer_.unk())},
              {"continuing_subword_prefix", nullptr},
              {"end_of_word_suffix", nullptr},
              {"fuse_unk", false},
              {"byte_fallback", false},
              {"ignore_merges", find_pre_tokenizer_rule(tokenizer_.pre())->whole_piece_first},
              {"vocab", vocabulary},
              {"merges", data_.merges}}}};
  }

  // Which tokens stand around a text.
  json around_texts(const json& byte_level) const {
    json single = json::array(), tokens = json::object();
    const auto add = [&](const std::optional<int32_t>& id) {
      const json name = name_of(id);
      single.push_back({{"SpecialToken", {{"id", name}, {"type_id", 0}}}});
      tokens[name.get<std::string>()] = {{"id", name}, {"ids", json::array({*id})}, {"tokens", json::array({name})}};
    };
    if (tokenizer_.add_bos()) add(tokenizer_.bos());
    single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
    if (tokenizer_.add_eos()) add(tokenizer_.eos());
    if (single.size() == 1) return byte_level;
    const json around = {{"type", "TemplateProcessing"}, {"single", single}, {"pair", single}, {"special_tokens", tokens}};
    return {{"type", "Sequence"}, {"processors", json::array({byte_level, around})}};
  }

  std::string sentencepiece() const {
    MessageBytes out;
    int64_t unknown = tokenizer_.unk().value_or(-1);
    for (size_t id = 0; id < data_.tokens.size(); ++id) {
      MessageBytes piece;
      piece.text(1, data_.tokens[id]).real(2, data_.scores.empty() ? 0.0f : data_.scores[id]).number(3, type(id));
      out.text(1, piece.bytes());
      if (unknown < 0 && is(id, TokenType::kUnknown)) unknown = static_cast<int64_t>(id);
    }
    constexpr int64_t kBpe = 2, kIdentity = 0;
    const auto role = [](const std::optional<int32_t>& id) { return id ? int64_t{*id} : int64_t{-1}; };
    MessageBytes trainer, normalizer;
    trainer.number(3, kBpe).number(4, static_cast<int64_t>(data_.tokens.size())).number(35, 1).number(40, unknown);
    trainer.number(41, role(tokenizer_.bos())).number(42, role(tokenizer_.eos())).number(43, role(tokenizer_.pad()));
    const bool prefix = data_.space_prefix.value_or(SpacePrefix::kOpenings) != SpacePrefix::kNever;
    normalizer.text(1, "identity").number(3, prefix ? 1 : 0).number(4, kIdentity).number(5, 1);
    return out.text(2, trainer.bytes()).text(3, normalizer.bytes()).bytes();
  }

  json config() const {
    json out = {{"tokenizer_class", tokenizer_.pre().empty() ? "LlamaTokenizer" : "PreTrainedTokenizerFast"},
                {"bos_token", name_of(tokenizer_.bos())},
                {"eos_token", name_of(tokenizer_.eos())},
                {"unk_token", name_of(tokenizer_.unk())},
                {"pad_token", name_of(tokenizer_.pad())},
                {"add_bos_token", tokenizer_.add_bos()},
                {"add_eos_token", tokenizer_.add_eos()},
                {"clean_up_tokenization_spaces", false}};
    if (!chat_template_.empty()) out["chat_template"] = chat_template_;
    return out;
  }

  json generation() const {
    json out = {{"eos_token_id", tokenizer_.end_of_generation_ids()}};
    if (tokenizer_.bos()) out["bos_token_id"] = *tokenizer_.bos();
    if (tokenizer_.pad()) out["pad_token_id"] = *tokenizer_.pad();
    return out;
  }

  TokenizerData data_;
  Tokenizer tokenizer_;
  std::string chat_template_;
};

std::string role_text(const std::optional<int32_t>& id) { return id ? std::to_string(*id) : "none"; }

// The texts of tokens all over the vocabulary, one behind the other.
std::string probe_text(const Tokenizer& tokenizer) {
  constexpr size_t kTokens = 8192;
  std::string text = "Hello world, it's 12345 o'clock.\n\n\tTwo  spaces;   three. \xC3\xA9\xE4\xB8\xAD\xF0\x9F\x99\x82 ";
  const size_t step = std::max<size_t>(1, tokenizer.size() / kTokens);
  for (size_t id = 0; id < tokenizer.size(); id += step) text += tokenizer.token_bytes(static_cast<int32_t>(id));
  return text;
}

}  // namespace

TokenizerFiles tokenizer_files(const gguf::File& model) { return Writing(model).files(); }

std::string difference(const Tokenizer& a, const Tokenizer& b) {
  if (a.size() != b.size()) return fmt::format("{} tokens become {}", a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (a.token_text(id) != b.token_text(id) || a.token_bytes(id) != b.token_bytes(id) ||
        a.is_control(id) != b.is_control(id)) {
      return fmt::format("token {}, \"{}\", would be another", id, printable(a.token_text(id)));
    }
  }
  const auto differs = [](const char* role, const std::optional<int32_t>& x, const std::optional<int32_t>& y) {
    return x == y ? std::string() : fmt::format("the {} token would be {}, not {}", role, role_text(y), role_text(x));
  };
  for (const std::string& text :
       {differs("bos", a.bos(), b.bos()), differs("eos", a.eos(), b.eos()), differs("eot", a.eot(), b.eot()),
        differs("pad", a.pad(), b.pad()), a.unk() ? differs("unknown", a.unk(), b.unk()) : ""}) {
    if (!text.empty()) return text;
  }
  if (a.add_bos() != b.add_bos() || a.add_eos() != b.add_eos()) return "other tokens would stand around texts";
  if (a.end_of_generation_ids() != b.end_of_generation_ids()) return "other tokens would end an answer";
  const std::string text = probe_text(a);
  for (const bool special : {false, true}) {
    const EncodeOptions options{.parse_special = special};
    if (a.encode(text, options) != b.encode(text, options)) return "texts would be cut into other tokens";
  }
  return {};
}

}  // namespace bitnet
