// tokenizer/json_splitting.cpp - the table of known sequences of pre-tokenizers, and the few normalizers that can be honoured.
#include "tokenizer/json_splitting.h"

#include <algorithm>
#include <array>

namespace bitnet {
namespace {

using nlohmann::json;

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581

// Regular expressions as published tokenizer.json files spell them.
#define LLAMA_3_BEGIN R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
#define LLAMA_3_END R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"
#define GPT_2 R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"

struct KnownSequence {
  std::array<std::string_view, 3> steps;  // as step_name() has them
  std::string_view rule;
};
constexpr KnownSequence kKnownSequences[] = {
    {{"Split " LLAMA_3_BEGIN "{1,3}" LLAMA_3_END, "ByteLevel"}, "llama-bpe"},
    {{"Split " LLAMA_3_BEGIN LLAMA_3_END, "ByteLevel"}, "qwen2"},
    {{"ByteLevel with its expression"}, "gpt-2"},
    {{"Split " GPT_2, "ByteLevel"}, "gpt-2"},
    {{"Punctuation", "ByteLevel with its expression", "Split [0-9][0-9][0-9]"}, "falcon"},
    {{"Punctuation", "ByteLevel with its expression", "Digits one by one"}, "falcon_e"},
};

// The parts of a Normalizer, PreTokenizer or Decoder with those of sequences in their place. Sequences are not nested in
// published files.
std::vector<JsonFields> parts_of(const JsonFields& file, const char* key, const char* list, const std::string& label) {
  std::vector<JsonFields> parts;
  const json* top = file.find(key);
  if (top == nullptr) return parts;
  parts.emplace_back(*top, label, key);
  if (parts.front().text("type") != "Sequence") return parts;
  const json& elements = parts.front().array(list);
  parts.clear();
  for (size_t i = 0; i < elements.size(); ++i) parts.emplace_back(elements[i], label, fmt::format("{}.{}[{}]", key, list, i));
  return parts;
}

bool is_literal_space(const JsonFields& part) {
  const json& pattern = part.object("pattern");
  return pattern.contains("String") && pattern["String"] == " ";
}

std::string step_name(const JsonFields& part, const std::string& label) {
  const std::string_view type = part.text("type");
  const std::string_view behavior = part.text("behavior", "");
  if (type == "ByteLevel") {
    if (part.flag("add_prefix_space", true)) {
      part.refuse("puts a space in front of every text (add_prefix_space), which is not supported for byte-level vocabularies");
    }
    return part.flag("use_regex", true) ? "ByteLevel with its expression" : "ByteLevel";
  }
  if (type == "Split") {
    const JsonFields pattern(part.object("pattern"), label, part.name_of("pattern"));
    const bool inverted = part.flag("invert", false);
    // Expressions that cover the whole text cut it the same way whichever side of a match is kept.
    if (behavior != (inverted ? "Removed" : "Isolated")) {
      part.refuse("behavior \"{}\" with invert {}, expected Isolated, or Removed and inverted", printable(behavior), inverted);
    }
    return fmt::format("Split {}", pattern.text("Regex"));
  }
  if (type == "Punctuation" && behavior == "Contiguous") return "Punctuation";
  if (type == "Digits") return part.flag("individual_digits", false) ? "Digits one by one" : "Digits in a row";
  return fmt::format("{}{}{}", type, behavior.empty() ? "" : " ", behavior);
}

void read_byte_level(const std::vector<JsonFields>& parts, const std::string& label, JsonSplitting& out) {
  std::vector<std::string> steps;
  for (const JsonFields& part : parts) steps.push_back(step_name(part, label));
  for (const KnownSequence& known : kKnownSequences) {
    const auto end = std::find(known.steps.begin(), known.steps.end(), std::string_view());
    if (!std::equal(steps.begin(), steps.end(), known.steps.begin(), end)) continue;
    out.pre = known.rule;
    return;
  }
  throw Error(
      ErrorKind::kInvalidModel,
      fmt::format("{}: pre_tokenizer: the sequence \"{}\" is not known, so texts could be cut wrongly; known are those of "
                  "Llama 3, Qwen2, GPT-2, Falcon and Falcon-E",
                  printable(label, 4096), printable(fmt::format("{}", fmt::join(steps, ", ")), 400)));
}

void read_metaspace(const JsonFields& part, JsonSplitting& out) {
  if (part.text("replacement", kSpaceMark) != kSpaceMark) part.refuse("the replacement of a space is to be U+2581");
  const std::string_view scheme = part.text("prepend_scheme", part.flag("add_prefix_space", true) ? "always" : "never");
  if (scheme == "always") {
    out.space_prefix = SpacePrefix::kAlways;
  } else if (scheme == "first") {
    out.space_prefix = SpacePrefix::kStart;
  } else if (scheme != "never") {
    part.refuse("prepend_scheme \"{}\", expected always, first or never", printable(scheme));
  }
  out.split_at_spaces = part.flag("split", true);
}

// Normalizers of vocabularies whose tokens spell a space as U+2581. Returns whether they replace spaces.
bool read_space_normalizers(const std::vector<JsonFields>& parts, JsonSplitting& out) {
  bool replaces = false;
  for (const JsonFields& part : parts) {
    const std::string_view type = part.text("type");
    if (type == "Prepend" && part.text("prepend") == kSpaceMark) {
      out.space_prefix = SpacePrefix::kAlways;
    } else if (type == "Replace" && is_literal_space(part) && part.text("content") == kSpaceMark) {
      replaces = true;
    } else {
      part.refuse("the normalizer \"{}\" is not supported here; known are Prepend and Replace with U+2581", printable(type));
    }
  }
  return replaces;
}

void read_characters(const std::vector<JsonFields>& normalizers, const std::vector<JsonFields>& parts, const JsonFields& file,
                     JsonSplitting& out) {
  out.spelling = Spelling::kSentencePiece;
  bool replaces = read_space_normalizers(normalizers, out);
  for (const JsonFields& part : parts) {
    const std::string_view type = part.text("type");
    if (type == "Metaspace" && parts.size() == 1 && out.space_prefix == SpacePrefix::kNever) {
      read_metaspace(part, out);
      replaces = true;
    } else if (type == "Split" && replaces && is_literal_space(part)) {
      // Gemma's: the normalizer has left no space to split at.
    } else {
      part.refuse("the pre-tokenizer \"{}\" is not supported here; known is Metaspace alone", printable(type));
    }
  }
  if (!replaces) {
    file.refuse("neither normalizer nor pre_tokenizer turns spaces into U+2581, and nothing is byte-level: not supported");
  }
}

void read_byte_level_normalizers(const std::vector<JsonFields>& parts, JsonSplitting& out) {
  for (const JsonFields& part : parts) {
    const std::string_view type = part.text("type");
    if (type != "NFC") part.refuse("the normalizer \"{}\" is not supported here; known is NFC", printable(type));
    out.notes.push_back(
        "normalizer NFC is left out, so that every text comes back as it was; text that is not in NFC gets other tokens than "
        "from the original program");
  }
}

void check_decoder(const JsonFields& file, const std::string& label, Spelling spelling) {
  for (const JsonFields& part : parts_of(file, "decoder", "decoders", label)) {
    const std::string_view type = part.text("type");
    const bool known = spelling == Spelling::kByteLevel ? type == "ByteLevel"
                                                        : type == "Replace" || type == "ByteFallback" || type == "Fuse" ||
                                                              type == "Strip" || type == "Metaspace";
    if (!known) part.refuse("the decoder \"{}\" does not belong to such a vocabulary", printable(type));
  }
}

json split_json(const char* expression) {
  return {{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
}

json byte_level_json(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

json sequence_json(std::initializer_list<json> parts) {
  return {{"type", "Sequence"}, {"pretokenizers", json::array_t(parts)}};
}

}  // namespace

std::optional<json> json_splitting_of(std::string_view rule) {
  const json punctuation = {{"type", "Punctuation"}, {"behavior", "Contiguous"}};
  if (rule == "llama-bpe" || rule == "falcon3") {
    return sequence_json({split_json(LLAMA_3_BEGIN "{1,3}" LLAMA_3_END), byte_level_json(false)});
  }
  if (rule == "qwen2") return sequence_json({split_json(LLAMA_3_BEGIN LLAMA_3_END), byte_level_json(false)});
  if (rule == "gpt-2") return byte_level_json(true);
  if (rule == "falcon") return sequence_json({punctuation, byte_level_json(true), split_json("[0-9][0-9][0-9]")});
  if (rule == "falcon_e") {
    return sequence_json({punctuation, byte_level_json(true), {{"type", "Digits"}, {"individual_digits", true}}});
  }
  return std::nullopt;
}

JsonSplitting read_json_splitting(const JsonFields& file, const std::string& label) {
  const auto normalizers = parts_of(file, "normalizer", "normalizers", label);
  const auto parts = parts_of(file, "pre_tokenizer", "pretokenizers", label);
  const bool byte_level =
      std::any_of(parts.begin(), parts.end(), [](const JsonFields& part) { return part.text("type") == "ByteLevel"; });
  JsonSplitting out;
  if (byte_level) {
    read_byte_level_normalizers(normalizers, out);
    read_byte_level(parts, label, out);
  } else {
    read_characters(normalizers, parts, file, out);
  }
  check_decoder(file, label, out.spelling);
  return out;
}

}  // namespace bitnet
