// tokenizer/json_splitting.h - what normalizer, pre_tokenizer and decoder of a tokenizer.json mean in this program's terms.
//
// Only what is known to give the same pieces is accepted: the parts below have one name each for what they do, and a sequence
// of them must be in a table. Whatever else stands there is Error{kInvalidModel} saying what was found and what is known.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tokenizer/json_fields.h"
#include "tokenizer/vocabulary.h"

namespace bitnet {

struct JsonSplitting {
  Spelling spelling = Spelling::kByteLevel;
  std::string pre;  // byte-level: the rule of pre_tokenizer_rules.cpp
  SpacePrefix space_prefix = SpacePrefix::kNever;
  bool split_at_spaces = false;
  std::vector<std::string> notes;
};

// `file` is the whole document.
JsonSplitting read_json_splitting(const JsonFields& file, const std::string& label);

// The way back: the pre_tokenizer of a tokenizer.json that cuts by this rule of pre_tokenizer_rules.cpp. Empty: no form of it
// is known.
std::optional<nlohmann::json> json_splitting_of(std::string_view rule);

}  // namespace bitnet
