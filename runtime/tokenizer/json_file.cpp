// tokenizer/json_file.cpp - vocabulary, added tokens, merges and template of a tokenizer.json.
#include "tokenizer/json_file.h"

#include <algorithm>

#include "base/json_input.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/json_splitting.h"
#include "tokenizer/spelling.h"

namespace bitnet {
namespace {

using nlohmann::json;

constexpr int64_t kHole = 0;  // no TokenType: the id has no token yet
constexpr auto kNormal = static_cast<int64_t>(TokenType::kNormal);
constexpr auto kUnknown = static_cast<int64_t>(TokenType::kUnknown);
constexpr auto kControl = static_cast<int64_t>(TokenType::kControl);
constexpr auto kUserDefined = static_cast<int64_t>(TokenType::kUserDefined);
constexpr auto kByte = static_cast<int64_t>(TokenType::kByte);

std::string_view text_of(const json& value) { return value.get_ref<const std::string&>(); }

}  // namespace

JsonTokenizerFile::JsonTokenizerFile(std::string_view text, const std::string& label)
    : label_(label), document_(parse_json(text, {label, ErrorKind::kInvalidModel, 32, kMaxBytes})) {
  data_.key_prefix = "model.";
  read_splitting();
  read_model();
  read_template();
}

void JsonTokenizerFile::read_splitting() {
  JsonSplitting splitting = read_json_splitting(JsonFields(document_, label_, "file"), label_);
  if (splitting.spelling == Spelling::kByteLevel) {
    data_.model = "gpt2";
    data_.pre = splitting.pre;
  } else {
    data_.model = "llama";
    data_.space_prefix = splitting.space_prefix;
    data_.split_at_spaces = splitting.split_at_spaces;
  }
  data_.notes = std::move(splitting.notes);
}

void JsonTokenizerFile::read_model() {
  const JsonFields file(document_, label_, "file");
  const JsonFields model(file.object("model"), label_, "model");
  const std::string_view type = model.text("type");
  if (type != "BPE") model.refuse("type \"{}\" is not supported, expected BPE", printable(type));
  if (const json* dropout = model.find("dropout"); dropout != nullptr && *dropout != 0.0) {
    model.refuse("dropout is set: encoding would depend on chance");
  }
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.text(affix, "").empty()) model.refuse("{} is not supported, expected none", affix);
  }
  const bool byte_fallback = model.flag("byte_fallback", false);
  if (byte_fallback != (data_.model == "llama")) {
    model.refuse("byte_fallback is {}, expected {} for such a vocabulary; without bytes characters would be lost",
                 byte_fallback, !byte_fallback);
  }
  data_.ignore_merges = model.flag("ignore_merges", false);
  read_vocabulary(*file.find("model"));
  read_added_tokens();
  read_unknown(*file.find("model"));
  fill_holes();
  read_merges(*file.find("model"));
}

void JsonTokenizerFile::place(int64_t id, std::string_view text, int64_t type, const std::string& where) {
  if (id < 0 || static_cast<uint64_t>(id) >= Vocabulary::kMaxTokens) {
    fail(ErrorKind::kInvalidModel, "{}: {} has the id {}, expected 0 to {}", printable(label_, 4096), where, id,
         Vocabulary::kMaxTokens - 1);
  }
  const auto at = static_cast<size_t>(id);
  if (at >= data_.tokens.size()) {
    data_.tokens.resize(at + 1);
    data_.types.resize(at + 1, kHole);
  }
  if (data_.types[at] != kHole && data_.tokens[at] != text) {
    fail(ErrorKind::kInvalidModel, "{}: {}: the id {} is that of \"{}\" and of \"{}\"", printable(label_, 4096), where, id,
         printable(data_.tokens[at]), printable(text));
  }
  data_.tokens[at] = text;
  data_.types[at] = type;
}

void JsonTokenizerFile::read_vocabulary(const json& model) {
  const JsonFields fields(model, label_, "model");
  for (const auto& entry : fields.object("vocab").items()) {
    const std::string& text = entry.key();
    const auto id = whole_number(entry.value());
    const std::string where = "model.vocab: \"" + printable(text) + "\"";
    if (!id) fail(ErrorKind::kInvalidModel, "{}: {} has no whole number as id", printable(label_, 4096), where);
    if (*id >= 0 && static_cast<size_t>(*id) < data_.types.size() && data_.types[static_cast<size_t>(*id)] != kHole) {
      fail(ErrorKind::kInvalidModel, "{}: {} has the id {}, which is also that of \"{}\"", printable(label_, 4096), where, *id,
           printable(data_.tokens[static_cast<size_t>(*id)]));
    }
    const bool is_byte = data_.model == "llama" && byte_of_sentencepiece_name(text) >= 0;
    place(*id, text, is_byte ? kByte : kNormal, where);
  }
}

void JsonTokenizerFile::read_added_tokens() {
  const JsonFields file(document_, label_, "file");
  if (file.find("added_tokens") == nullptr) return;
  const json& list = file.array("added_tokens");
  for (size_t i = 0; i < list.size(); ++i) {
    const JsonFields token(list[i], label_, fmt::format("added_tokens[{}]", i));
    const std::string_view text = token.text("content");
    const bool special = token.flag("special", false);
    if (text.empty()) token.refuse("content is empty");
    place(token.integer("id"), text, special ? kControl : kUserDefined, token.name());
    for (const char* trait : {"lstrip", "rstrip", "single_word"}) {
      if (!token.flag(trait, false)) continue;
      data_.doubts.push_back(fmt::format("{}: \"{}\" has {}, which is not done: text around it stays as it is", token.name(),
                                         printable(text), trait));
    }
  }
}

void JsonTokenizerFile::read_unknown(const json& model) {
  const JsonFields fields(model, label_, "model");
  const std::string_view name = fields.text("unk_token", "");
  if (name.empty()) return;
  const auto at = std::find(data_.tokens.begin(), data_.tokens.end(), name);
  if (at == data_.tokens.end()) fields.refuse("unk_token \"{}\" is no token of the vocabulary", printable(name));
  data_.unk = at - data_.tokens.begin();
  int64_t& type = data_.types[static_cast<size_t>(*data_.unk)];
  if (type == kNormal && data_.model == "llama") type = kUnknown;
}

// An id without a token yields no text and is never made from one.
void JsonTokenizerFile::fill_holes() {
  const auto holes = std::count(data_.types.begin(), data_.types.end(), kHole);
  if (holes == 0) return;
  std::replace(data_.types.begin(), data_.types.end(), kHole, kControl);
  data_.notes.push_back(fmt::format("{} ids of the vocabulary have no token", holes));
}

void JsonTokenizerFile::read_merges(const json& model) {
  const JsonFields fields(model, label_, "model");
  const json& list = fields.array("merges");
  data_.merges.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const json& rule = list[i];
    if (rule.is_string()) {
      data_.merges.push_back(text_of(rule));
      continue;
    }
    if (!rule.is_array() || rule.size() != 2 || !rule[0].is_string() || !rule[1].is_string()) {
      fields.refuse("merges[{}] is neither a text nor a pair of texts", i);
    }
    // As one text it would have more than one place to part it.
    for (const json& side : rule) {
      if (text_of(side).find(' ', 1) != std::string_view::npos || (text_of(side) == " ")) {
        fields.refuse("merges[{}] has a space inside a token, which such vocabularies spell differently", i);
      }
    }
    data_.merges.push_back(strings_.emplace_back(std::string(text_of(rule[0])).append(" ").append(text_of(rule[1]))));
  }
}

// post_processor: which tokens stand around a text.
void JsonTokenizerFile::read_template() {
  const JsonFields file(document_, label_, "file");
  const json* top = file.find("post_processor");
  if (top == nullptr) return;
  std::vector<JsonFields> parts{JsonFields(*top, label_, "post_processor")};
  if (parts[0].text("type") == "Sequence") {
    const json& list = parts[0].array("processors");
    parts.clear();
    for (size_t i = 0; i < list.size(); ++i)
      parts.emplace_back(list[i], label_, fmt::format("post_processor.processors[{}]", i));
  }
  for (const JsonFields& part : parts) {
    const std::string_view type = part.text("type");
    if (type == "ByteLevel") continue;  // trims offsets, which nobody asks for here
    if (type != "TemplateProcessing") {
      part.refuse("\"{}\" is not supported, expected TemplateProcessing", printable(type));
    }
    data_.add_bos = data_.add_eos = false;
    bool behind_text = false;
    for (const json& piece : part.array("single")) {
      const JsonFields fields(piece, label_, part.name_of("single"));
      if (fields.find("Sequence") != nullptr) {
        if (std::exchange(behind_text, true)) part.refuse("\"single\" has the text twice");
        continue;
      }
      const JsonFields special(fields.object("SpecialToken"), label_, part.name_of("single.SpecialToken"));
      const std::string_view name = special.text("id");
      const auto at = std::find(data_.tokens.begin(), data_.tokens.end(), name);
      if (at == data_.tokens.end()) part.refuse("\"{}\" is no token of the vocabulary", printable(name));
      std::optional<bool>& add = behind_text ? data_.add_eos : data_.add_bos;
      if (*add) part.refuse("\"single\" puts several tokens on one side of a text, which is not supported");
      add = true;
      (behind_text ? data_.eos : data_.bos) = at - data_.tokens.begin();
    }
    if (!behind_text) part.refuse("\"single\" has no text");
  }
}

}  // namespace bitnet
